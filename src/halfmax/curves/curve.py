"""What a curve is: named parameters, those that enter linearly apart, and how to evaluate many at once.

A curve is a sum of columns, each with a linear parameter (a plateau, a span) as its
coefficient; the columns depend on the other, nonlinear parameters.  The fit eliminates the
linear ones in closed form, so a curve need only give its columns and their slopes.

Inside, arrays are laid out points × curves, positive parameters are natural logarithms, and
the abscissa is ln concentration where the curve says so.  Outside, a parameter has the name
and the scale that the field gives it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.errors import RangeError, nearest

__all__ = ["FAR", "STEEPNESS_LIMITS", "Curve", "Named", "Shape", "Term"]

Array = NDArray[np.float64]
Kind = Literal["position", "gap", "steepness", "asymmetry", "share", "rate", "log", "plain", "linear", "plateau"]

#: Stands for ln 0 (negative) and ln infinity: far enough for every curve to have reached its plateau.
FAR = 1e4
#: Natural logarithm of the smallest and largest steepness |Hill slope| that is considered.
STEEPNESS_LIMITS = (float(np.log(0.1)), float(np.log(20.0)))
#: The same of the asymmetry of a five-parameter curve.
ASYMMETRY_LIMITS = (float(np.log(0.05)), float(np.log(20.0)))
_DECADES_BEYOND = 4.0 * float(np.log(10.0))
#: Logarithm of the largest number.
_LARGEST = 709.0
_LOG_KINDS = ("position", "gap", "steepness", "asymmetry", "rate", "log")
_POSITIONS = np.linspace(-0.05, 1.15, 19)
_GRIDS: dict[str, Array] = {
    "steepness": np.log([0.35, 0.6, 1.0, 1.7, 3.0, 7.0]),
    "asymmetry": np.log([0.3, 1.0, 4.0]),
    "share": np.array([0.2, 0.5, 0.8]),
    "gap": np.log([1.2, 2.5, 5.0, 9.0]),
}
_LIMITS: dict[str, tuple[float, float]] = {
    "steepness": STEEPNESS_LIMITS,
    "asymmetry": ASYMMETRY_LIMITS,
    "share": (0.0, 1.0),
    "gap": (float(np.log(0.5)), float(np.log(20.0))),
}


@dataclass(frozen=True)
class Term:
    """One parameter of a curve, as the fit sees it.

    Parameters
    ----------
    name : str
    kind : str
        ``position`` ln concentration; ``gap`` ln of a distance in ln concentration;
        ``steepness`` ln |Hill slope|; ``asymmetry`` its logarithm; ``share`` 0…1; ``rate``
        ln of a rate by the abscissa; ``log`` another logarithm; ``plain`` anything else;
        ``linear`` a coefficient; ``plateau`` one that is in the signals' own unit.
    held : float or None
        Value, inside, at which the curve holds it.
    limits : (float, float)
        Of a plain parameter, or another logarithm.
    starts : tuple of float
        Where the search for such a parameter begins.
    """

    name: str
    kind: Kind
    held: float | None = None
    limits: tuple[float, float] = (-np.inf, np.inf)
    starts: tuple[float, ...] = ()

    @property
    def log(self) -> bool:
        """Whether inside it is the logarithm of what it is outside."""
        return self.kind in _LOG_KINDS

    def range(self, least: Array, most: Array) -> tuple[Array, Array]:
        """Limits for curves whose abscissae run from `least` to `most`, each shape (curves,)."""
        ones = np.ones_like(least)
        if self.held is not None:
            held = np.full_like(least, self.held)
            return held, held
        if self.kind == "position":
            return least - _DECADES_BEYOND, most + _DECADES_BEYOND
        if self.kind == "rate":
            low, high = np.log(1e-4) - np.log(most), np.log(1e4) - np.log(least)
            return np.minimum(low, _LARGEST - 18.0), np.minimum(high, _LARGEST)
        low, high = _LIMITS.get(self.kind, self.limits)
        return low * ones, high * ones

    def grid(self, least: Array, most: Array, *, coarse: bool) -> Array:
        """Places from which to look for it, shape (places, curves)."""
        step = 3 if coarse else 1
        if self.held is not None:
            return np.full((1, least.size), self.held)
        if self.kind == "position":
            return np.asarray(least + _POSITIONS[::step, None] * (most - least))
        if self.kind == "rate":
            slowest, fastest = np.log(0.3) - np.log(most), np.log(10.0) - np.log(least)
            return np.asarray(slowest + np.linspace(0, 1, 13)[::step, None] * (fastest - slowest))
        places = _GRIDS.get(self.kind)
        if places is None:
            places = np.array(self.starts)
        return places[step // 2 :: step, None] * np.ones(least.size) if places.size > 2 else places[:, None] + 0 * least


@dataclass(frozen=True)
class Named:
    """A parameter's outside name, which inside row it is, and how the two are related."""

    name: str
    row: int
    scale: Literal["log", "slope", "plain"]


@dataclass
class Shape:
    """Columns of curves at a place, each shape (points, curves), and what their slopes are made of."""

    columns: list[Array]
    inner: list[Array] = field(default_factory=list)


@dataclass(frozen=True)
class Curve(ABC):
    """A family of curves that can be fitted; a kind of curve says what its columns are (`at`), and their `slopes`.

    Parameters
    ----------
    name, title, equation, reference : str
        `equation` is in the outside names.
    terms : tuple of Term
        Nonlinear ones first, then the linear ones in the order of the columns.
    logarithmic : bool
        Whether the abscissa is ln concentration.
    held : mapping
        Outside name → value of what this family does not fit.
    page : str
        Name of its page in the documentation.
    """

    name: str
    title: str
    equation: str
    reference: str
    terms: tuple[Term, ...]
    logarithmic: bool = True
    held: Mapping[str, float] = field(default_factory=dict, hash=False)
    page: str = ""

    #: Whether rising and falling are two different curves.
    oriented = False
    #: How many parameters beyond a flat line the family is worth in pure noise at n doses, as (a, b) of a + b ln n;
    #: None where no flat line is in the family. Measured: see the page on "no curve" in the documentation.
    worth: ClassVar[tuple[float, float] | None] = None
    #: Whether its columns may be so alike that normal equations lose them.
    delicate = False

    @property
    def flattens(self) -> bool:
        """Whether a flat line is one of the family."""
        return self.worth is not None

    @property
    def ends(self) -> bool:
        """Whether the last parameter is the plateau at infinite dose."""
        return self.logarithmic and self.terms[-1].name == "end"

    @property
    def q(self) -> int:
        """Number of nonlinear parameters."""
        return sum(term.kind not in ("linear", "plateau") for term in self.terms)

    @property
    def p(self) -> int:
        """Number of linear parameters."""
        return len(self.terms) - self.q

    @property
    def size(self) -> int:
        """Number of parameters that are fitted."""
        inner = [term.name for term in self.terms if term.held is not None]
        return len(self.terms) - len(inner) - sum(name not in inner for name in self.held)

    @property
    def outside_names(self) -> tuple[str, ...]:
        """Outside names of all parameters."""
        return tuple(named.name for named in self.names(False))

    @property
    def parameters(self) -> tuple[str, ...]:
        """Outside names of what is fitted."""
        return tuple(name for name in self.outside_names if name not in self.held)

    def names(self, rising: bool) -> tuple[Named, ...]:  # noqa: ARG002
        """Outside names of the inside rows (nonlinear, then linear)."""
        return tuple(Named(t.name, row, "log" if t.log else "plain") for row, t in enumerate(self.terms))

    def rises(self, sign: Array, linear: Array) -> NDArray[np.bool_]:  # noqa: ARG002
        """Whether each curve rises; it matters where names depend on it."""
        return np.zeros(sign.shape, dtype=bool)

    def abscissa(self, x: ArrayLike) -> Array:
        """Abscissa inside."""
        x = np.asarray(x, dtype=float)
        if not self.logarithmic:
            return x
        with np.errstate(divide="ignore"):
            return np.asarray(np.clip(np.log(x), -FAR, FAR))

    @abstractmethod
    def at(self, u: Array, theta: Array, sign: Array) -> Shape:
        """Columns at nonlinear parameters `theta`, shape (q, curves)."""

    @abstractmethod
    def slopes(self, u: Array, theta: Array, sign: Array, shape: Shape, linear: Array) -> list[Array]:
        """Derivative of the curves by each nonlinear parameter, each shape (points, curves)."""

    def inside(self, values: Mapping[str, float]) -> tuple[Array, Array, Array]:
        """Sign, nonlinear and linear parameters, each with one column, of outside values."""
        rising = self._rises_outside(values)
        rows = np.array([[np.nan if term.held is None else term.held] for term in self.terms])
        for named in self.names(rising):
            value = self._value(values, named.name)
            if named.scale == "log" and value < 0:
                raise RangeError(f"{self.name}: {named.name} must be positive, found {value:g}.")
            with np.errstate(divide="ignore"):
                rows[named.row] = np.log(abs(value)) if named.scale != "plain" else value
        return np.array([1.0 if rising else -1.0]), rows[: self.q], rows[self.q :]

    def _rises_outside(self, values: Mapping[str, float]) -> bool:  # noqa: ARG002
        return False

    def _value(self, values: Mapping[str, float], name: str) -> float:
        if name in values:
            return float(values[name])
        if name in self.held:
            return self.held[name]
        raise RangeError(f'{self.name} needs its parameter "{name}". It has: {", ".join(self.parameters)}.')

    def value(self, x: ArrayLike, **parameters: float) -> Array:
        """The curve at abscissae `x`, shape of `x`.

        Raises
        ------
        RangeError
            If a parameter is missing or unknown, or negative where it cannot be.
        """
        self._check(parameters)
        sign, theta, linear = self.inside(parameters)
        u = self.abscissa(x)
        with np.errstate(over="ignore"):
            columns = self.at(np.atleast_1d(u).reshape(-1, 1), theta, sign).columns
        result = sum(linear[k, 0] * column[:, 0] for k, column in enumerate(columns))
        return np.asarray(result, dtype=float).reshape(u.shape)

    def derivative(self, x: ArrayLike, **parameters: float) -> Array:
        """Derivative of the curve by all that `names` lists, on the scale of estimation, shape (n, names).

        By ln of what is estimated on its logarithm, such as ``ec50``; by ``hill_slope`` itself.
        """
        self._check(parameters)
        sign, theta, linear = self.inside(parameters)
        u = np.atleast_1d(self.abscissa(x)).reshape(-1, 1)
        with np.errstate(over="ignore"):
            shape = self.at(u, theta, sign)
            rows = [slope[:, 0] for slope in self.slopes(u, theta, sign, shape, linear)]
        rows += [column[:, 0] for column in shape.columns]
        named = self.names(self._rises_outside(parameters))
        scale = [1.0 / self._value(parameters, n.name) if n.scale == "slope" else 1.0 for n in named]
        return np.stack([rows[n.row] * s for n, s in zip(named, scale, strict=True)], axis=-1)

    def _check(self, parameters: Mapping[str, float]) -> None:
        known = self.outside_names
        for name in parameters:
            if name not in known:
                raise RangeError(f'{self.name} has no parameter "{name}". {nearest(name, list(known))}')
