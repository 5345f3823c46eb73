"""Wells too far from a curve: suggestions, never removals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from halfmax.curves import Curve, curve
from halfmax.errors import FitError
from halfmax.estimate.fitting import fit
from halfmax.estimate.result import Estimate
from halfmax.estimate.reweighted import Wells, optimum, require_wells, wells_of
from halfmax.estimate.select import false_discovery
from halfmax.estimate.status import Direction
from halfmax.response import Response
from halfmax.units import format_concentration, p_value

__all__ = ["Outliers", "Suspect", "find_outliers", "find_outliers_all", "fit_without"]

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

#: Share of a normal distribution within one standard deviation of its mean.
_WITHIN = 0.6827
#: Share of the wells, the nearest to the curve, that are never called outliers.
_NEVER = 0.7
#: Responses judged at once; each well of each is left out in turn.
_BATCH = 100


@dataclass(frozen=True)
class Suspect:
    """A well that lies too far from the curve.

    Parameters
    ----------
    row : int
        Its place in the response.
    well, plate, role : str
    concentration, signal, expected, residual : float
        `expected` is the robust curve, or the centre of the control wells.
    p, q : float
        P-value of the residual, and the false-discovery rate at which it would just be suggested.
    """

    row: int
    well: str
    plate: str
    role: str
    concentration: float
    signal: float
    expected: float
    residual: float
    p: float
    q: float

    @property
    def name(self) -> str:
        """The well, or its row where wells have no names."""
        return " ".join(part for part in (self.plate, self.well) if part) if self.well else f"row {self.row + 1}"


@dataclass(frozen=True, eq=False)
class Outliers:
    """Suggestions, never removals: wells to look at.

    Parameters
    ----------
    response : Response
        As it was given, with nothing excluded.
    model : str or Curve
    suspects : tuple of Suspect
        The farthest first.
    q : float
        False-discovery rate at which they are suggested.
    n, df : int
        Wells judged, and degrees of freedom.
    scale : float
        Robust standard deviation of the residuals.
    """

    response: Response
    model: str | Curve
    suspects: tuple[Suspect, ...]
    q: float
    n: int
    df: int
    scale: float

    def __len__(self) -> int:
        return len(self.suspects)

    def __str__(self) -> str:
        if not self.suspects:
            return f"{self.response.label}: none of {self.n} wells is suggested (false-discovery rate {self.q:g})"
        count = f"{len(self)} of {self.n} wells to look at"
        lines = [f"{self.response.label}: {count} (false-discovery rate {self.q:g}); all of them still take part"]
        for one in self.suspects:
            dose = f" at {_dose(one.concentration, self.response)}" if one.role == "sample" else ""
            away = f"{abs(one.residual) / self.scale:.1f} SD {'above' if one.residual > 0 else 'below'}"
            lines.append(f"{one.name} ({one.role}{dose}): {one.signal:.4g}, {away} {one.expected:.4g}; {_q(one.q)}")
        return "\n".join(lines)

    def records(self) -> list[dict[str, object]]:
        """One flat record a suggestion."""
        return [
            {**vars(one), "concentration": one.concentration if math.isfinite(one.concentration) else None}
            for one in self.suspects
        ]


def _dose(concentration: float, response: Response) -> str:
    if response.concentration_unit == "M":
        return format_concentration(concentration)
    return f"{concentration:g} {response.concentration_unit}".strip()


def _q(value: float) -> str:
    return p_value(value).replace("p", "q", 1)


def find_outliers(response: Response, model: str | Curve = "hill4", *, q: float = 0.01) -> Outliers:
    """Wells that lie too far from a robust curve: suggestions, for a person to look at.

    After the ROUT method: a fit with Lorentzian errors, a robust standard deviation (the
    68.27th percentile of the residuals' sizes, times n / (n - parameters)), a t-test of each
    residual, and the false-discovery rate over all wells. The 70 % of the wells nearest to the
    curve are never suggested. Kill wells, or blanks where there are none, are held against
    their own centre, whether or not the drug reaches them.

    A wrong family makes outliers of good wells: see `select`. So does scatter that grows with
    the signal.

    Parameters
    ----------
    response : Response
    model : str or Curve
    q : float
        False-discovery rate, 0 < q < 1.

    Returns
    -------
    Outliers

    Raises
    ------
    FitError
        If there are too few wells.

    References
    ----------
    .. [1] Motulsky & Brown (2006), BMC Bioinformatics 7:123, doi 10.1186/1471-2105-7-123.

    Examples
    --------
    >>> import numpy as np
    >>> from halfmax import Response
    >>> from halfmax.curves import hill
    >>> dose = np.repeat([0, 1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4], 2)
    >>> signal = hill(dose, ec50=2e-6, hill_slope=-1.2, top=1.0, bottom=0.1) + np.tile([-0.01, 0.01], 8)
    >>> signal[5] += 0.4
    >>> [suspect.name for suspect in find_outliers(Response.of(dose, signal)).suspects]
    ['row 6']
    """
    return find_outliers_all([response], model, q=q)[0]


def find_outliers_all(
    responses: Sequence[Response], model: str | Curve = "hill4", *, q: float = 0.01
) -> list[Outliers]:
    """`find_outliers` of many responses, in batches; each is judged by itself."""
    if not 0 < q < 1:
        raise FitError(f"find_outliers: q is a false-discovery rate between 0 and 1, found {q}.")
    family = curve(model)
    for response in responses:
        require_wells(response, family)
    found: list[Outliers] = []
    for start in range(0, len(responses), _BATCH):
        some = responses[start : start + _BATCH]
        wells, best, rows = wells_of(some, family, tied=False)
        robust = optimum(wells, best, _Lorentzian())
        expected = wells.around(robust.best, robust.weight)
        for k, response in enumerate(some):
            at, df = np.flatnonzero(wells.used[:, k]), int(wells.n[k] - wells.size[k])
            judged = _Judged(rows[k], expected[at, k], robust.residual[at, k], df, float(robust.scale[k]))
            suspects = judged.suspects(response, q)
            found.append(Outliers(response, model, suspects, q, at.size, df, judged.scale))
    return found


@dataclass(frozen=True)
class _Judged:
    """Wells of one response beside what is expected of them."""

    rows: Rows
    expected: Array
    residual: Array
    df: int
    scale: float

    def suspects(self, response: Response, q: float) -> tuple[Suspect, ...]:
        """Those too far away, the farthest first."""
        from scipy import stats

        p = 2.0 * stats.t.sf(np.abs(self.residual) / self.scale, self.df)
        rate = false_discovery(p)
        most = self.rows.size - int(_NEVER * self.rows.size) + 1
        far = np.argsort(-np.abs(self.residual), kind="stable")[:most]
        return tuple(
            Suspect(
                row, str(response.well[row]), str(response.plate[row]), str(response.role[row]),
                float(response.concentration[row]), float(response.signal[row]), float(self.expected[k]),
                float(self.residual[k]), float(p[k]), float(rate[k]),
            )
            for k, row in zip(far, self.rows[far].tolist(), strict=True) if rate[k] <= q
        )  # fmt: skip


def fit_without(
    found: Outliers,
    reason: str,
    *,
    wells: Sequence[str] | None = None,
    level: float = 0.95,
    direction: Direction = "either",
) -> Estimate:
    """Fit once more without suggested wells, for a reason that is recorded with each.

    Parameters
    ----------
    found : Outliers
    reason : str
        What is known of these wells besides being far away ("tip blocked"). Kept in
        `Response.excluded` of the estimate's response.
    wells : sequence of str, optional
        Names (`Suspect.name`, or the well alone) of those to leave out; all, unless given.
    level, direction
        As for `fit`.

    Raises
    ------
    FitError
        If there is no reason, or a name is not among the suggestions.
    """
    if not reason.strip():
        raise FitError(f"{found.response.label}: an exclusion needs a reason.")
    chosen = [one for one in found.suspects if wells is None or one.name in wells or (one.well and one.well in wells)]
    known = {name for one in chosen for name in (one.name, one.well)}
    for name in wells or ():
        if name not in known:
            suggested = ", ".join(one.name for one in found.suspects) or "none"
            raise FitError(f'{found.response.label}: "{name}" is not among the suggested wells ({suggested}).')
    excluded = found.response.excluded.astype(object)
    excluded[[one.row for one in chosen]] = reason
    return fit(replace(found.response, excluded=excluded.astype(str)), found.model, level=level, direction=direction)


class _Lorentzian:
    """Motulsky and Brown's rule: weight 1 / (1 + t²), t in units of a robust standard deviation."""

    def scale(self, residual: Array, wells: Wells, before: Array | None) -> Array:  # noqa: ARG002
        """68.27th percentile of the residuals' sizes, times n / (n - parameters)."""
        ordered = np.sort(np.where(wells.used, np.abs(residual), np.inf), axis=0)
        at = _WITHIN * (wells.n - 1)
        low = np.floor(at).astype(np.intp)
        high = np.minimum(low + 1, (wells.n - 1).astype(np.intp))
        first, second = (np.take_along_axis(ordered, place[None, :], axis=0)[0] for place in (low, high))
        return np.asarray((first + (at - low) * (second - first)) * wells.n / wells.df)

    def weight(self, t: Array) -> Array:
        """Of a residual of `t` standard deviations."""
        return np.asarray(1.0 / (1.0 + t * t))

    def objective(self, residual: Array, wells: Wells, scale: Array) -> Array:  # noqa: ARG002
        """Lower is better: of several optima the one that most wells lie close to."""
        return scale
