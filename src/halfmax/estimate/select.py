"""Choosing: a family of curves for one response, and the curves of a batch that are not flat.

All candidates are compared on the same wells, those with cells and with the compound or the
vehicle.  Control wells of full effect take no part in the comparison: they are points of a
curve only where the drug is taken to reach them, which a family without a lower plateau
cannot do, and likelihoods of different data are not comparable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.curves import MODELS, Curve, curve
from halfmax.errors import FitError, RangeError, nearest
from halfmax.estimate.batch import Constraints, pack, solved
from halfmax.estimate.fitting import fit_all
from halfmax.estimate.least_squares import Problem, Solution
from halfmax.estimate.points import as_points
from halfmax.estimate.result import Estimate
from halfmax.estimate.significance import f_tests
from halfmax.estimate.status import Direction
from halfmax.response import Response
from halfmax.units import p_value

__all__ = [
    "NESTED",
    "Candidate",
    "Criterion",
    "Selection",
    "false_discovery",
    "q_values",
    "select",
    "select_all",
    "with_q_values",
]

Array = NDArray[np.float64]
Criterion = Literal["aicc", "f"]
Correction = Literal["bh", "by"]

_SIGMOID = ("hill4", "hill3", "hill2", "gr3", "flat")
#: Family → the families that it becomes when some of its parameters are held at values that it can reach,
#: or, for ``flat``, when its EC50 lies beyond all doses. Not here: what a family reaches only where other
#: parameters lose their meaning besides (``hill4`` in ``biphasic`` or ``bell``), or only in a limit that the search
#: does not reach (``weibull1`` in ``hill5``).
NESTED: dict[str, tuple[str, ...]] = {
    "hill3": ("hill2", "flat"),
    "hill4": _SIGMOID[1:],
    "hill5": _SIGMOID,
    "weibull1": ("flat",),
    "weibull2": ("flat",),
    "lognormal": ("flat",),
    "brain_cousens": _SIGMOID,
    "crs_a": _SIGMOID,
    "crs_b": _SIGMOID,
    "crs_c": _SIGMOID,
    "two_sites": ("flat",),
    "biphasic": ("two_sites", "flat"),
    "bell": ("flat",),
}
#: Candidates unless others are named.
MODELS_COMPARED = ("flat", "hill3", "hill4", "hill5")
#: Difference of AICc up to which another family is nearly as well supported (Burnham & Anderson).
NEARLY = 2.0
#: Residual sum of squares, as a share of that of the signals, below which it is rounding.
_ROUNDING = 1e-24
_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Candidate:
    """One family in a comparison.

    Parameters
    ----------
    model : str
    parameters : int
        Fitted parameters of the curve, without the standard deviation.
    n, df : int
        Wells, and degrees of freedom of the residuals.
    rss : float
        Residual sum of squares.
    aicc, delta, weight : float
        AICc, its distance from the lowest, and the Akaike weight. NaN where refused.
    against : str
        The family against which the F-test is made; empty where none is nested in this one.
    p_nested : float
        P-value of that F-test.
    p_flat : float
        P-value of the F-test against a flat line, with the degrees of freedom that `fit` gives it.
    status : str
        ``ok``, or what is to be said against this fit.
    """

    model: str
    parameters: int
    n: int
    df: int
    rss: float = math.nan
    aicc: float = math.nan
    delta: float = math.nan
    weight: float = math.nan
    against: str = ""
    p_nested: float = math.nan
    p_flat: float = math.nan
    status: str = "ok"

    def record(self) -> dict[str, object]:
        """Flat record for CSV and JSON."""
        numbers = {name: getattr(self, name) for name in ("rss", "aicc", "delta", "weight", "p_nested", "p_flat")}
        finite = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        whole = {"model": self.model, "parameters": self.parameters, "n": self.n, "df": self.df}
        return {**whole, **finite, "against": self.against, "status": self.status}


@dataclass(frozen=True, eq=False)
class Selection:
    """A family chosen for one response, with all that were compared.

    Parameters
    ----------
    estimate : Estimate
        Fit of the chosen family, by `fit`: with its control wells of full effect.
    candidates : tuple of Candidate
        The chosen one first, then in the order of preference.
    criterion : {"aicc", "f"}
    """

    estimate: Estimate
    candidates: tuple[Candidate, ...]
    criterion: Criterion = "aicc"

    @property
    def model(self) -> str:
        """Name of the chosen family."""
        return self.candidates[0].model

    @property
    def nearly(self) -> tuple[str, ...]:
        """Families that lost and are nearly as well supported: within 2 of the chosen one's AICc."""
        chosen = self.candidates[0].aicc
        return tuple(one.model for one in self.candidates[1:] if one.aicc - chosen <= NEARLY)

    def __str__(self) -> str:
        rule = "lowest AICc" if self.criterion == "aicc" else "F-tests between nested families"
        head = f"{self.model} is chosen ({rule}, {self.candidates[0].n} wells)"
        rows = [("", "parameters", "df", "RSS", "ΔAICc", "weight", "F-test", ""), *map(_row, self.candidates)]
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = [
            "  ".join(text.ljust(w) if k in (0, 6, 7) else text.rjust(w) for k, (text, w) in enumerate(cells))
            for cells in (zip(row, widths, strict=True) for row in rows)
        ]
        also = [f"Nearly as well supported: {', '.join(self.nearly)}."] if self.nearly else []
        return "\n".join([head, *(line.rstrip() for line in lines), *also])

    def records(self) -> list[dict[str, object]]:
        """One flat record a candidate, with the rank and whether it was chosen."""
        return [
            {"rank": rank, "chosen": rank == 1, "criterion": self.criterion, **one.record()}
            for rank, one in enumerate(self.candidates, start=1)
        ]

    def record(self) -> dict[str, object]:
        """The chosen estimate's record, with the weight of its family and what came near it."""
        return {
            **self.estimate.record(), "criterion": self.criterion, "weight": self.candidates[0].record()["weight"],
            "nearly": ", ".join(self.nearly),
        }  # fmt: skip


def _row(one: Candidate) -> tuple[str, ...]:
    """A candidate as a line of the table."""
    test = f"over {one.against}, {p_value(one.p_nested)}" if one.against else ""
    said = "" if one.status == "ok" else one.status
    if not math.isfinite(one.aicc):
        return (one.model, str(one.parameters), "", "", "", "", "", said)
    numbers = (f"{one.rss:.4g}", f"{one.delta:.1f}", f"{one.weight:.2f}")
    return (one.model, str(one.parameters), str(one.df), *numbers, test, said)


def select(
    response: Response,
    models: Sequence[str | Curve] = MODELS_COMPARED,
    *,
    criterion: Criterion = "aicc",
    significance: float = 0.05,
    level: float = 0.95,
    direction: Direction = "either",
) -> Selection:
    """The family of curves that a response supports, with all candidates.

    ``aicc`` takes the family with the lowest corrected Akaike criterion::

        AICc = n ln(RSS / n) + 2 K + 2 K (K + 1) / (n - K - 1)

    with n wells and K parameters, the standard deviation among them.  ``f`` begins with the
    smallest family and moves to a larger one where an F-test gives up the smaller; each
    must be nested in the next (`NESTED`).

    Wells of full effect (kill control, blanks) take no part in the comparison, so that all
    candidates answer for the same data; the chosen family is then fitted with them.

    Parameters
    ----------
    response : Response
    models : sequence of str or Curve
        At least two.
    criterion : {"aicc", "f"}
    significance : float
        Of the F-tests.
    level, direction
        As for `fit`, of the chosen family.

    Returns
    -------
    Selection

    Raises
    ------
    FitError
        If no candidate can be fitted, a name comes twice, or ``f`` is asked for families
        that are not nested.

    References
    ----------
    .. [1] Hurvich & Tsai (1989), Biometrika 76:297, doi 10.1093/biomet/76.2.297.
    .. [2] Burnham & Anderson (2002), Model Selection and Multimodel Inference, 2nd ed.

    Examples
    --------
    >>> import numpy as np
    >>> from halfmax.curves import hill
    >>> dose = np.repeat([0, 1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4], 2)
    >>> signal = hill(dose, ec50=2e-6, hill_slope=-1.2, top=1.0, bottom=0.1) + np.tile([-0.01, 0.01], 8)
    >>> select(Response.of(dose, signal)).model
    'hill4'
    """
    found = select_all(
        [response], models, criterion=criterion, significance=significance, level=level, direction=direction
    )[0]
    if found.estimate.status.startswith("refused"):
        raise FitError(f"{response.label}: {found.candidates[0].status.removeprefix('refused: ')}")
    return found


def select_all(
    responses: Sequence[Response],
    models: Sequence[str | Curve] = MODELS_COMPARED,
    *,
    criterion: Criterion = "aicc",
    significance: float = 0.05,
    level: float = 0.95,
    direction: Direction = "either",
) -> list[Selection]:
    """`select` for many responses, one batch a family.

    A response that no candidate can be fitted to does not stop the others: its estimate's
    status begins with ``refused``.
    """
    families = _families(models, criterion)
    columns = [_compared(responses, family) for family in families]
    ranked = [
        _ranked([column[i] for column in columns], criterion, significance) for i in range(len(responses))
    ]  # fmt: skip
    known = {family.name: family for family in families}
    estimates: dict[int, Estimate] = {}
    for family in families:
        rows = [i for i, candidates in enumerate(ranked) if candidates[0].model == family.name]
        fits = fit_all([responses[i] for i in rows], known[family.name], level=level, direction=direction)
        estimates |= dict(zip(rows, fits, strict=True))
    return [Selection(_lost(estimates[i], one), one, criterion) for i, one in enumerate(ranked)]


def _lost(estimate: Estimate, candidates: tuple[Candidate, ...]) -> Estimate:
    """The estimate, refused where no candidate could be compared."""
    if candidates[0].status.startswith("refused") and not estimate.status.startswith("refused"):
        return replace(estimate, status=candidates[0].status)
    return estimate


def _families(models: Sequence[str | Curve], criterion: str) -> list[Curve]:
    """The candidates, the smallest first."""
    if criterion not in get_args(Criterion):
        raise FitError(f'select: no criterion "{criterion}". {nearest(criterion, get_args(Criterion))}')
    families = sorted(map(curve, models), key=lambda family: family.size)
    names = [family.name for family in families]
    for family in families:
        if MODELS.get(family.name, family) is not family:
            raise FitError(f'select: "{family.name}" is the name of another family. Give your curve a name of its own.')
    if len(set(names)) < len(names) or len(names) < 2:
        raise FitError(f"select: needs at least two families with names of their own, found {', '.join(names)}.")
    if criterion == "f":
        for small, large in pairwise(families):
            if not _nested(small.name, large.name):
                raise FitError(
                    f"select: an F-test needs nested families, and {small.name} is not nested in {large.name}. "
                    'Use criterion="aicc", or leave one of them out.'
                )
    return families


def _nested(small: str, large: str) -> bool:
    return small in NESTED.get(large, ())


def _compared(responses: Sequence[Response], family: Curve) -> list[Candidate]:
    """Least squares of one family through the compared wells of each response."""
    points = [as_points(response) for response in responses]
    troubles = [_trouble(response, point.n, family) for response, point in zip(responses, points, strict=True)]
    rows = [i for i, trouble in enumerate(troubles) if not trouble]
    found = [Candidate(family.name, family.size, p.n, 0, status=t) for p, t in zip(points, troubles, strict=True)]
    if not rows:
        return found
    packed = pack(family, [points[i].columns(tied=False) for i in rows])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        problem, best = solved(packed, Constraints().of(family))
        squares = (problem.weight * problem.signal**2).sum(0)
        p_flat = f_tests(problem, best)[0]
    rss = np.maximum(best.rss, _ROUNDING * squares + _TINY)
    said = _said(problem, best)
    for k, i in enumerate(rows):
        n, size = points[i].n, family.size
        if math.isfinite(rss[k]):
            aicc = n * math.log(rss[k] / n) + 2 * (size + 1) * n / (n - size - 2)
            found[i] = replace(
                found[i], df=n - size, rss=float(rss[k]), aicc=aicc, p_flat=float(p_flat[k]), status=said[k]
            )
        else:
            found[i] = replace(found[i], status="refused: the signals cannot be squared. Give them in another unit.")
    return found


def _trouble(response: Response, n: int, family: Curve) -> str:
    """Why a family takes no part in the comparison, or nothing."""
    doses, size = response.doses().size, family.size
    if doses < max(size - 1, 1):
        return f"refused: {family.name} needs at least {max(size - 1, 1)} doses above zero, found {doses}."
    if n < size + 3:
        return f"refused: AICc of {family.name} needs at least {size + 3} wells, found {n}. Add replicates or doses."
    return ""


def _said(problem: Problem, best: Solution) -> list[str]:
    """What is to be said against each fit: parameters at the limits of the search."""
    terms = problem.curve.terms[: problem.curve.q]
    said = [""] * best.rss.size
    for row, term in enumerate(terms):
        free = problem.low[row] < problem.high[row]
        ends = (best.theta[row] <= problem.low[row]) | (best.theta[row] >= problem.high[row])
        for k in np.flatnonzero(free & ends):
            said[k] += f"{', ' if said[k] else ''}{term.name} at its limit"
    for k in np.flatnonzero(~best.converged):
        said[k] += f"{', ' if said[k] else ''}not converged"
    return [text or "ok" for text in said]


def _ranked(candidates: Sequence[Candidate], criterion: Criterion, significance: float) -> tuple[Candidate, ...]:
    """Candidates of one response with their tests, the chosen one first."""
    good = [one for one in candidates if math.isfinite(one.aicc)]
    if not good:
        return tuple(candidates)
    lowest = min(one.aicc for one in good)
    total = sum(math.exp(-0.5 * (one.aicc - lowest)) for one in good)
    tested = []
    for one in good:
        within = [other for other in good if _nested(other.model, one.model)]
        delta = one.aicc - lowest
        one = replace(one, delta=delta, weight=math.exp(-0.5 * delta) / total)
        if within:
            other = max(within, key=lambda small: small.parameters)
            one = replace(one, against=other.model, p_nested=_f_test(other, one))
        tested.append(one)
    order = sorted(tested, key=lambda one: (one.aicc, one.parameters))
    chosen = order[0] if criterion == "aicc" else _climbed(tested, significance)
    rest = [one for one in order if one is not chosen]
    return (chosen, *rest, *(one for one in candidates if not math.isfinite(one.aicc)))


def _climbed(candidates: Sequence[Candidate], significance: float) -> Candidate:
    """From the smallest family to the larger ones that an F-test prefers."""
    chosen = candidates[0]
    for larger in candidates[1:]:
        if _f_test(chosen, larger) < significance:
            chosen = larger
    return chosen


def _f_test(small: Candidate, large: Candidate) -> float:
    """P-value of the F-test of a family against one that is nested in it."""
    from scipy import stats

    if small.model == "flat":
        return large.p_flat
    more = large.parameters - small.parameters
    statistic = max(small.rss - large.rss, 0.0) / more / (large.rss / large.df)
    return float(stats.f.sf(statistic, more, large.df))


def false_discovery(p_values: ArrayLike, method: Correction = "bh") -> Array:
    """Q-values: the false-discovery rate at which each p-value would just be called.

    Parameters
    ----------
    p_values : array
        NaN where there was no test; it stays NaN and is not counted.
    method : {"bh", "by"}
        Benjamini–Hochberg, valid for independent and positively dependent tests, or
        Benjamini–Yekutieli, for any dependence.

    Returns
    -------
    array, shape of `p_values`

    Raises
    ------
    RangeError
        If a p-value is not between 0 and 1.

    References
    ----------
    .. [1] Benjamini & Hochberg (1995), J R Stat Soc B 57:289, doi 10.1111/j.2517-6161.1995.tb02031.x.
    .. [2] Benjamini & Yekutieli (2001), Ann Stat 29:1165, doi 10.1214/aos/1013699998.

    Examples
    --------
    >>> false_discovery([0.01, float("nan"), 0.04]).tolist()
    [0.02, nan, 0.04]
    """
    from scipy import stats

    p = np.asarray(p_values, dtype=float)
    if ((p < 0) | (p > 1)).any():
        raise RangeError("a p-value lies between 0 and 1; NaN stands for a test that was not made.")
    q = np.full(p.shape, np.nan)
    tested = np.isfinite(p)
    if tested.any():
        q[tested] = stats.false_discovery_control(p[tested], method=method)
    return q


def q_values(estimates: Sequence[Estimate], method: Correction = "bh") -> Array:
    """Q-values of the F-tests against a flat line of a batch of fits; NaN where there was no test.

    All curves of a screen must be there, the flat ones too: a rate of false discoveries is one
    of all that were tested.

    Parameters
    ----------
    estimates : sequence of Estimate
    method : {"bh", "by"}

    Returns
    -------
    array, shape (estimates,)
    """
    return false_discovery([estimate.p_flat for estimate in estimates], method)


def with_q_values(estimates: Sequence[Estimate], method: Correction = "bh") -> list[Estimate]:
    """The estimates of a batch, each with a note of its q-value against a flat line.

    Nothing else changes. To keep those that depend on the dose at a false-discovery rate of 5 %,
    take those with ``q_values(estimates) < 0.05``.

    Examples
    --------
    >>> from halfmax.estimate import Estimate
    >>> with_q_values([Estimate("hill4", (), p_flat=0.01), Estimate("hill4", (), p_flat=0.04)])[0].notes
    ('Against a flat line among the 2 curves of this batch: q = 0.02 (false-discovery rate).',)
    """
    rates = q_values(estimates, method)
    count = int(np.isfinite(rates).sum())
    found = []
    for estimate, rate in zip(estimates, rates, strict=True):
        shown = p_value(float(rate)).replace("p", "q", 1)
        note = f"Against a flat line among the {count} curves of this batch: {shown} (false-discovery rate)."
        notes = (*estimate.notes, note) if math.isfinite(rate) else estimate.notes
        found.append(replace(estimate, notes=notes))
    return found
