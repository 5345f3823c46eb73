"""What an estimation gives back: named parameters, each with an interval, an operator and a status in words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.curves import Curve, curve
from halfmax.errors import RangeError, nearest
from halfmax.estimate.batch import Constraints
from halfmax.response import Response
from halfmax.units import format_interval

__all__ = ["Estimate", "Operator", "Parameter"]

Operator = Literal["=", ">", "<", "?"]
Array = NDArray[np.float64]
#: Half width, on a logarithm, from which on an interval by the delta method holds every number, and is none.
_WIDEST = 700.0


@dataclass(frozen=True)
class Parameter:
    """One estimated quantity.

    Parameters
    ----------
    name, unit : str
    value : float
        The estimate; where the interval is open on one side, the bound that the
        data do give; NaN where they give none.
    low, high : float
        Ends of the interval at the estimate's level; infinite (or 0 for a
        positive quantity) where open.
    operator : {"=", ">", "<", "?"}
        ``=`` both ends are bounded; ``>`` only the lower one; ``<`` only the
        upper one; ``?`` not identified.
    best : float
        The optimum, whether or not the data bound it. For a start value or a
        line in a figure, never to be quoted.
    se : float
        Standard error by the delta method; of ln(value) where `log` is true.
    log : bool
        Whether the quantity is estimated on its logarithm.
    method : str
        How the interval was made.
    delta_low, delta_high : float
        Interval by the delta method with a t quantile, beside the other for
        comparison: one-sidedly wrong where the data bound a value badly.
    """

    name: str
    value: float
    low: float
    high: float
    operator: Operator = "="
    unit: str = ""
    best: float = float("nan")
    se: float = float("nan")
    log: bool = False
    method: str = "profile likelihood"
    delta_low: float = float("nan")
    delta_high: float = float("nan")

    @classmethod
    def bounded(
        cls,
        name: str,
        best: float,
        low: float,
        high: float,
        *,
        log: bool = False,
        unit: str = "",
        se: float = float("nan"),
        quantile: float = float("nan"),
    ) -> Parameter:
        """Parameter whose operator follows from which ends are open; `quantile` is that of the delta method.

        Examples
        --------
        >>> Parameter.bounded("ec50", 2e-5, 1e-5, float("inf"), log=True, unit="M").operator
        '>'
        """  # fmt: skip
        floor = 0.0 if log else -math.inf
        open_low, open_high = not low > floor, not high < math.inf
        operator: Operator
        if open_low and open_high:
            operator, value = "?", math.nan
        elif open_high:
            operator, value = ">", low
        elif open_low:
            operator, value = "<", high
        else:
            operator, value = "=", best
        half = quantile * se
        if log:
            half = half if half < _WIDEST else math.nan
        delta = (best * math.exp(-half), best * math.exp(half)) if log else (best - half, best + half)
        return cls(
            name, value, low, high, operator, unit, best, se, log, delta_low=delta[0], delta_high=delta[1]
        )  # fmt: skip

    def scaled(self, factor: float, unit: str) -> Parameter:
        """Same quantity in another unit."""
        values = {k: getattr(self, k) * factor for k in ("value", "low", "high", "best", "delta_low", "delta_high")}
        return replace(self, unit=unit, se=self.se if self.log else self.se * factor, **values)

    def text(self) -> str:
        """As a scientist writes it.

        Examples
        --------
        >>> Parameter("ec50", 4.9e-6, 3.6e-6, 6.7e-6, unit="M").text()
        '4.9 µM (3.6–6.7)'
        """
        return format_interval(self.value, self.low, self.high, self.operator, unit=self.unit)


@dataclass(frozen=True, eq=False)
class Estimate:
    """Named parameters with intervals, how well they fit, and a status in words.

    Parameters
    ----------
    model : str
        Curve, or the way several estimates were joined.
    parameters : tuple of Parameter
    level : float
        Level of the intervals.
    n : int
        Wells for a fit, experiments for a combination.
    rss, df : float, int
        Residual sum of squares and its degrees of freedom.
    status : str
        A sentence. Begins with ``ok`` when nothing is to be said against the estimate.
    notes : tuple of str
        What the reader should know besides.
    response : Response or None
        The data fitted.
    covariance : array, shape (parameters, parameters), or None
        Of the curve's parameters in their order, on the scale of estimation (ln ec50,
        hill_slope, top, bottom); rows of held ones are zero.
    p_flat, p_full, p_curve : float
        P-values: of the F-test against a flat line; of the F-test that the
        drug's full effect is that of the kill control; of the lack-of-fit F-test
        against the means of the doses. NaN where the test cannot be made.
    parts : tuple of Estimate
        The estimates that a combination or a comparison was made of.
    curve : Curve or None
        The curve that was fitted.
    constraints : Constraints
        What was held, and what was bounded.
    noise : float
        Power of the signal to which the wells' standard deviation is in proportion.
    """

    model: str
    parameters: tuple[Parameter, ...]
    level: float = 0.95
    n: int = 0
    rss: float = float("nan")
    df: int = 0
    status: str = "ok"
    notes: tuple[str, ...] = ()
    response: Response | None = None
    covariance: Array | None = None
    p_flat: float = float("nan")
    p_full: float = float("nan")
    p_curve: float = float("nan")
    parts: tuple[Estimate, ...] = field(default=())
    label: str = ""
    curve: Curve | None = None
    constraints: Constraints = field(default_factory=Constraints)
    noise: float = 0.0

    def __getitem__(self, name: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise RangeError(f'no parameter "{name}". {nearest(name, [p.name for p in self.parameters])}')

    def __contains__(self, name: str) -> bool:
        return any(parameter.name == name for parameter in self.parameters)

    def __str__(self) -> str:
        lines = [f"{p.name} {p.text()}" for p in self.parameters]
        return "\n".join([f"{self.model}: {self.status}", *lines])

    @property
    def sigma(self) -> float:
        """Residual standard deviation, in the unit of the response."""
        return math.sqrt(self.rss / self.df) if self.df > 0 else math.nan

    def predict(self, concentration: ArrayLike) -> Array:
        """Fitted signal at concentrations, shape of the input."""
        return self._curve().value(concentration, **self._best())

    def band(self, concentration: ArrayLike) -> tuple[Array, Array]:
        """Pointwise confidence band of the fitted curve by the delta method with a t quantile.

        Returns
        -------
        low, high : array, unit of the response
        """
        from scipy import stats

        x = np.atleast_1d(np.asarray(concentration, dtype=float))
        if self.covariance is None or self.df <= 0:
            return np.full(x.size, np.nan), np.full(x.size, np.nan)
        gradient = self._curve().derivative(x, **self._best())
        variance = np.einsum("ij,jk,ik->i", gradient, self.covariance, gradient)
        half = stats.t.ppf(0.5 + self.level / 2, self.df) * np.sqrt(np.maximum(variance, 0.0))
        centre = self.predict(x)
        return centre - half, centre + half

    def _curve(self) -> Curve:
        return curve(self.model) if self.curve is None else self.curve

    def _best(self) -> dict[str, float]:
        return {name: self[name].best for name in self._curve().outside_names}

    def record(self) -> dict[str, object]:
        """Flat record for CSV and JSON: each parameter with its interval, fit quality, status, the test against flat.

        Open ends, and a test that was not made, are None, so that JSON stays JSON.
        """
        fields: dict[str, object] = {"model": self.model}
        for parameter in self.parameters:
            name = parameter.name
            fields[name] = _finite(parameter.value)
            fields[f"{name}_low"] = _finite(parameter.low) if parameter.low != 0 or not parameter.log else None
            fields[f"{name}_high"] = _finite(parameter.high)
            fields[f"{name}_operator"] = parameter.operator
            if parameter.log:
                fields[f"{name}_delta_low"] = _finite(parameter.delta_low)
                fields[f"{name}_delta_high"] = _finite(parameter.delta_high)
            if parameter.log and parameter.unit:
                fields[f"{name}_unit"] = parameter.unit
        fields |= {"rss": _finite(self.rss), "df": self.df, "n": self.n, "level": self.level}
        return fields | {"status": self.status, "notes": " ".join(self.notes), "p_flat": _finite(self.p_flat)}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
