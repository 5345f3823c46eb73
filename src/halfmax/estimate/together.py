"""Fit many responses together, with parameters that they share, and test whether they may share them."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from halfmax.curves import Curve, curve
from halfmax.errors import FitError, nearest
from halfmax.estimate.batch import Column, Constraints, outside, pack, roots, solved
from halfmax.estimate.comparing import delta_pec50, natural_ratio
from halfmax.estimate.fieller import Pair
from halfmax.estimate.fitting import fit_all
from halfmax.estimate.joint_fit import Data, Fit, Groups, Term, fitted, profiled, ratio_ends
from halfmax.estimate.points import unit_of
from halfmax.estimate.result import Estimate, Parameter
from halfmax.estimate.significance import unseen_plateau
from halfmax.estimate.status import SIGNIFICANCE, with_status
from halfmax.response import Response
from halfmax.units import p_value

__all__ = ["ExtraSumOfSquares", "Together", "fit_together"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
_METHOD = "joint profile likelihood"


def fit_together(
    responses: Sequence[Response],
    model: str | Curve = "hill4",
    *,
    shared: Sequence[str] | Mapping[str, Sequence[Hashable]] = ("top", "bottom"),
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    level: float = 0.95,
) -> Together:
    """One least-squares fit of several responses that share parameters.

    All wells have one residual variance, and the sum of squares of all responses together is
    smallest::

        RSS = Σ over responses c, wells i of (y_ci - f(x_ci; own_c, shared))²

    Intervals are joint profiles: a value of a parameter belongs to its interval when the best
    fit of all responses that has it is not significantly worse than the best of all,
    ``RSS(v) <= RSS * (1 + F(1, df; level) / df)`` with df wells less parameters.

    Parameters
    ----------
    responses : sequence of Response
        At least two, in one unit of concentration and one of signal. Each with its control
        wells, which take part as they do in `fit`.
    model : str or Curve
    shared : sequence of str, or mapping
        Names of the parameters that all responses share; or name → one label for each
        response, those with the same label sharing it. Of a Hill slope the size is shared;
        ``top`` of a falling and of a rising curve are one value.
    fixed, bounds : mapping, optional
        As for `fit`; of every response.
    level : float
        Level of the intervals.

    Returns
    -------
    Together

    Raises
    ------
    FitError
        If there are fewer than two responses, their units differ, the curve has no parameter
        of a name, labels are not one a response, or there are too few doses or wells.

    References
    ----------
    .. [1] Bates & Watts (1988), Nonlinear Regression Analysis and Its Applications, chapters 3 and 6.
    .. [2] Ritz et al. (2015), PLoS ONE 10:e0146021, doi 10.1371/journal.pone.0146021.

    Examples
    --------
    >>> import numpy as np
    >>> from halfmax.curves import hill
    >>> from halfmax.response import Response
    >>> dose = np.repeat([0, 1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4], 2)
    >>> def response(ec50, compound):
    ...     clean = hill(dose, ec50=ec50, hill_slope=-1.2, top=1.0, bottom=0.1)
    ...     return Response.of(dose, clean + np.tile([-0.01, 0.01], 8), compound=compound)
    >>> found = fit_together([response(2e-6, "parent"), response(1e-5, "amine")])
    >>> found["top"].text(), found["ec50", "amine"].text()
    ('1.000 (0.992–1.01)', '10.00 µM (9.46–10.6)')
    >>> found.ratio(one="parent", other="amine")["ratio"].text()
    '5.00 (4.71–5.31)'
    """
    family = curve(model)
    constraints = Constraints(fixed or {}, bounds or {}).of(family)
    _check(responses)
    groups = _groups(shared, family, len(responses))
    alone = fit_all(responses, family, level=level, fixed=fixed, bounds=bounds)
    data = Data.of(responses, alone, family, constraints)
    return _together(data, fitted(data, groups), level)


def _check(responses: Sequence[Response]) -> None:
    """Whether there are several responses in the same units."""
    if len(responses) < 2:
        raise FitError(f"fit_together needs at least two responses, found {len(responses)}. One is fitted by fit.")
    for what in ("concentration_unit", "signal_unit"):
        first = getattr(responses[0], what)
        for index, response in enumerate(responses):
            if getattr(response, what) != first:
                raise FitError(
                    f"{response.label} (response {index}): its {what.replace('_', ' ')} is "
                    f'"{getattr(response, what)}", that of {responses[0].label} "{first}". '
                    "Responses that are fitted together must come in the same units."
                )


def _groups(shared: Sequence[str] | Mapping[str, Sequence[Hashable]], family: Curve, count: int) -> Groups:
    """Group of each response, for every parameter of the curve."""
    if isinstance(shared, str):
        shared = (shared,)
    labels = shared if isinstance(shared, Mapping) else dict.fromkeys(shared, (0,) * count)
    known = list(family.outside_names)
    groups = {name: tuple(range(count)) for name in known}
    for name, given in labels.items():
        if name not in known:
            raise FitError(f'{family.name} has no parameter "{name}" to be shared. {nearest(name, known)}')
        if len(given) != count:
            raise FitError(f"shared: {name} needs one label for each of {count} responses, found {len(given)}.")
        order = {label: place for place, label in enumerate(dict.fromkeys(given))}
        groups[name] = tuple(order[label] for label in given)
    return groups


def _together(data: Data, fit: Fit, level: float) -> Together:
    """Intervals, covariance and words of a joint optimum."""
    fit, low, high = profiled(fit, level)
    estimates = _estimates(data, fit, (low, high), level)
    notes = []
    wrong = [data.labels[int(i)] for i in np.flatnonzero(fit.actual != fit.rises)]
    if wrong:
        notes.append(f"Runs against the direction in which it shares its plateaus: {', '.join(wrong)}.")
    p = _lack_of_fit(data, fit)
    if p < 0.01:
        notes.append(f"The curves together miss the means of the doses (lack of fit, {p_value(p)}).")
    names = tuple(_said(data, term) for term in fit.terms)
    scale = _slope_scale(fit)
    with np.errstate(invalid="ignore"):
        outer = fit.covariance * scale[:, None] * scale
    return Together(
        estimates, tuple(name for name in fit.groups if len(set(fit.groups[name])) < len(data.responses)), names,
        outer, fit.rss, fit.df, data.n, level, p, tuple(notes), data, fit,
    )  # fmt: skip


def _said(data: Data, term: Term) -> str:
    """Name of a joint parameter."""
    if len(term.members) == len(data.responses):
        return term.name
    return f"{term.name} of {', '.join(data.labels[i] for i in term.members)}"


def _slope_scale(fit: Fit) -> Array:
    """Derivative of what is outside by what is inside: the slope itself for a Hill slope, else 1."""
    return np.array(
        [
            math.exp(value) * (1.0 if fit.rises[term.members[0]] else -1.0) if term.name == "hill_slope" else 1.0
            for term, value in zip(fit.terms, fit.phi, strict=True)
        ]
    )


def _lack_of_fit(data: Data, fit: Fit) -> float:
    """P-value of the F-test of the joint fit against the means of all doses; NaN where there is none."""
    from scipy import stats

    levels, pure = int((data.packed.weight > 0).sum()), float(data.packed.base.sum())
    more, rest = levels - fit.joint.design.size, data.n - levels
    if more < 1 or rest < 1 or not pure > fit.joint.rounding:
        return math.nan
    return float(stats.f.sf(max(fit.rss - pure, 0.0) / more / (pure / rest), more, rest))


def _estimates(
    data: Data, fit: Fit, intervals: tuple[Array, Array], level: float
) -> tuple[Estimate, ...]:  # fmt: skip
    """One estimate for each response; all have the joint sum of squares and its degrees of freedom."""
    from scipy import stats

    design, solution = fit.joint.design, fit.solution
    inside, held = solution.parameters(), design.place == design.size
    least, most = (np.where(held, inside, np.r_[ends, 0.0][design.place]) for ends in intervals)
    place = np.where(held, 0, design.place).T
    matrix = fit.covariance[place[:, :, None], place[:, None, :]]
    matrix = np.where(held.T[:, :, None] | held.T[:, None, :], 0.0, matrix)
    columns = outside(fit.joint.problem, solution, np.minimum(least, inside), np.maximum(most, inside), roots(matrix).T)
    quantile = float(stats.t.ppf(0.5 + level / 2, fit.df))
    untested = _untested(data)
    return tuple(
        with_status(_estimate(data, fit, i, columns, (matrix[i], quantile, level)), data.points[i], bool(data.tied[i]),
                    bool(untested[i]))
        for i in range(len(data.responses))
    )  # fmt: skip


def _estimate(
    data: Data, fit: Fit, i: int, columns: Mapping[str, Column], numbers: tuple[Array, float, float]
) -> Estimate:
    """Estimate of one response, before its status."""
    inside, quantile, level = numbers
    response, terms = data.responses[i], data.family.terms
    parameters = []
    for name, column in columns.items():
        unit = unit_of(terms[column.row[i]], response)
        one = Parameter.bounded(
            name, float(column.best[i]), float(column.low[i]), float(column.high[i]), log=column.log, unit=unit,
            se=float(column.se[i]), quantile=quantile,
        )  # fmt: skip
        parameters.append(replace(one, method=_METHOD))
    order = [int(column.row[i]) for column in columns.values()]
    scale = np.array([float(c.best[i]) if name == "hill_slope" else 1.0 for name, c in columns.items()])
    with np.errstate(invalid="ignore"):
        outer = inside[np.ix_(order, order)] * scale[:, None] * scale
    return Estimate(
        _model(data.family, fit.groups), tuple(parameters), level, int(data.packed.weight[:, i].sum()), fit.rss,
        fit.df, response=response, covariance=outer, p_flat=_flat_test(data, fit, i),
        p_full=data.alone[i].p_full, label=response.label, curve=data.family, constraints=data.constraints,
    )  # fmt: skip


def _flat_test(data: Data, fit: Fit, i: int) -> float:
    """P-value of a response's own test against a flat line; NaN where it shares a plateau with one that is not flat.

    A plateau that another response determines makes a flat line a finding: its EC50 lies beyond.
    """
    for name in ("top", "bottom"):
        group = np.array(fit.groups.get(name, range(len(data.responses))))
        partners = group == group[i]
        if partners.sum() > 1 and data.curved[partners].any():
            return math.nan
    return data.alone[i].p_flat


def _model(family: Curve, groups: Groups) -> str:
    common = [name for name, group in groups.items() if len(set(group)) < len(group) and name in family.parameters]
    return f"{family.name}, {', '.join(common)} shared" if common else f"{family.name}, nothing shared"


def _untested(data: Data) -> Flags:
    """Responses whose doses do not reach far enough to test the full effect, as in `fit`."""
    result = np.zeros(len(data.points), dtype=bool)
    rows = np.flatnonzero(data.tied)
    if rows.size:
        free = pack(data.family, [data.points[i].columns(tied=False) for i in rows])
        result[rows] = unseen_plateau(*solved(free, data.constraints))
    return result


@dataclass(frozen=True)
class ExtraSumOfSquares:
    """F-test of a fit against one that is less restricted.

    ``F = (RSS_restricted - RSS_free) / df / (RSS_free / df_free)``, with df the number of
    parameters that the restriction saves.

    Parameters
    ----------
    f : float
    df, df_free : int
        Degrees of freedom above and below the line.
    rss, rss_free : float
        Residual sums of squares of the restricted and of the free fit.
    p : float
    status : str
        A sentence.
    """

    f: float
    df: int
    df_free: int
    rss: float
    rss_free: float
    p: float
    status: str

    def __str__(self) -> str:
        return self.status

    @property
    def text(self) -> str:
        """F, its degrees of freedom and p-value."""
        return f"F({self.df}, {self.df_free}) = {self.f:.3g}, {p_value(self.p)}"

    @classmethod
    def of(cls, restricted: Fit, free: Fit, words: tuple[str, str]) -> ExtraSumOfSquares:
        """The test, with what is said where it is kept and where it is given up."""
        from scipy import stats

        df = free.joint.design.size - restricted.joint.design.size
        f = max(restricted.rss - free.rss, 0.0) / df / max(free.rss / free.df, free.joint.rounding)
        p = float(stats.f.sf(f, df, free.df))
        test = cls(f, df, free.df, restricted.rss, free.rss, p, "")
        said = words[1] if p < SIGNIFICANCE else words[0]
        return replace(test, status=said.replace("{test}", test.text))


@dataclass(frozen=True, eq=False)
class Together:
    """Several responses fitted together.

    Parameters
    ----------
    estimates : tuple of Estimate
        One for each response, in their order. Each has the residual sum of squares and the
        degrees of freedom of the joint fit, and the number of its own wells.
    shared : tuple of str
        Parameters that some of them share.
    names : tuple of str
        Joint parameters, the shared ones first.
    covariance : array, shape (names, names)
        Gauss–Newton covariance of the joint parameters on the scale of estimation (ln ec50,
        hill_slope, top, bottom).
    rss, df : float, int
        Residual sum of squares of all wells, and wells less parameters.
    n : int
        Wells.
    level : float
    p_curve : float
        P-value of the lack-of-fit F-test against the means of all doses; NaN where there are
        no replicates.
    notes : tuple of str
    """

    estimates: tuple[Estimate, ...]
    shared: tuple[str, ...]
    names: tuple[str, ...]
    covariance: Array
    rss: float
    df: int
    n: int
    level: float
    p_curve: float
    notes: tuple[str, ...]
    _data: Data = field(repr=False)
    _fit: Fit = field(repr=False)

    def __getitem__(self, key: str | tuple[str, int | str]) -> Parameter:
        """A parameter that all responses share, by name; of one response, by name and its place or label."""
        if isinstance(key, tuple):
            return self.estimates[self._data.find(key[1])][key[0]]
        group = self._fit.groups.get(key)
        if group is not None and len(set(group)) > 1:
            raise FitError(f'{key} is not shared by all responses: ask for one of them, such as ["{key}", 0].')
        return self.estimates[0][key]

    def __str__(self) -> str:
        model, count = self.estimates[0].model, len(self.estimates)
        head = f"{model}: {count} responses, {self.n} wells, RSS {self.rss:.4g}, df {self.df}"
        common = [name for name in self.shared if len(set(self._fit.groups[name])) == 1]
        lines = [f"shared: {name} {self.estimates[0][name].text()}" for name in common]
        for i, one in enumerate(self.estimates):
            own = ", ".join(f"{p.name} {p.text()}" for p in one.parameters if p.name not in common)
            lines.append(f"{self._data.labels[i]}: {own or 'nothing of its own'} [{one.status.split('.')[0]}]")
        return "\n".join([head, *lines, *self.notes])

    def records(self) -> list[dict[str, object]]:
        """One flat record a response, for CSV and JSON."""
        return [{"response": self._data.labels[i], **one.record()} for i, one in enumerate(self.estimates)]

    def ratio(self, parameter: str = "ec50", one: int | str = 0, other: int | str = 1) -> Estimate:
        """Ratio of a parameter of two responses, ``other / one``, with its joint profile interval.

        The fit is written anew with ``ln ec50_other = ln ec50_one + ln r``, and ln r is a joint
        parameter like the others: its profile takes account of all that both curves share.
        ``ratio_fieller`` and ``ratio_delta`` stand beside it, for comparison with other programs:
        both take the standard errors and the covariance of the two EC50s from the joint fit.

        Parameters
        ----------
        parameter : str
            Estimated on its logarithm, such as an EC50, or a Hill slope (the ratio of the sizes).
        one, other : int or str
            Place or label of the responses.

        Returns
        -------
        Estimate
            With ``ratio``, ``ratio_fieller``, ``ratio_delta``, and for EC50s ``delta_pec50``, the log10 of the ratio.
            An EC50 that is open leaves its ratio open.

        Raises
        ------
        FitError
            If the parameter is shared by the two, held, or not estimated on a logarithm.

        References
        ----------
        .. [1] Fieller (1954), J R Stat Soc B 16:175, doi 10.1111/j.2517-6161.1954.tb00159.x.
        """
        return _ratio(self, parameter, self._data.find(one), self._data.find(other))

    def compare(self, other: Together | None = None) -> ExtraSumOfSquares:
        """F-test of this fit against one of the same wells that shares less; against separate fits where not given.

        Raises
        ------
        FitError
            If the other is not a fit of the same wells that shares less, or a response cannot
            be fitted alone.
        """
        free = self._separate() if other is None else other._fit
        if other is not None:
            _check_nested(self, other)
        if free.joint.design.size <= self._fit.joint.design.size:
            raise FitError("compare needs a fit that shares less than this one: the two have the same parameters.")
        what = ", ".join(self.shared) or "what they share"
        return ExtraSumOfSquares.of(self._fit, free, (
            f"ok: sharing {what} fits not significantly worse ({{test}})",
            f"not shared: sharing {what} fits significantly worse ({{test}}). Share less",
        ))  # fmt: skip

    def parallel(self) -> ExtraSumOfSquares:
        """Test of parallelism: all curves have one shape and differ in EC50 only, against curves of their own.

        Raises
        ------
        FitError
            If the curve has no EC50, or a response cannot be fitted alone.
        """
        family, count = self._data.family, len(self.estimates)
        positions = {n.name for n in family.names(False) if family.terms[n.row].kind == "position"}
        if not positions:
            raise FitError(f"{family.name} has no EC50, so its curves cannot be parallel in ln concentration.")
        one = {n: tuple(range(count)) if n in positions else (0,) * count for n in self._fit.groups}
        return ExtraSumOfSquares.of(fitted(self._data, one), self._separate(), (
            "ok: curves of one shape fit not significantly worse ({test}). As far as these wells tell, one ratio of "
            "EC50s describes them",
            "not parallel: the curves differ in more than EC50 ({test}). A ratio of EC50s holds at half effect only",
        ))  # fmt: skip

    def _separate(self) -> Fit:
        """The same wells, nothing shared."""
        for one in self._data.alone:
            if one.status.startswith("refused"):
                raise FitError(f"{one.label} cannot be fitted alone: {one.status.removeprefix('refused: ')}")
        count = len(self.estimates)
        return fitted(self._data, {name: tuple(range(count)) for name in self._fit.groups})


def _check_nested(small: Together, large: Together) -> None:
    """Whether `large` is a fit of the same wells that shares less than `small`."""
    one, two = small._data, large._data
    same = one.packed.curve == two.packed.curve and all(
        np.array_equal(getattr(one.packed, name), getattr(two.packed, name))
        for name in ("u", "signal", "weight", "base")
    )
    if not same:
        raise FitError("compare needs two fits of one curve to the same responses in the same order.")
    held = all(one.constraints.fixed.get(n) == v for n, v in two.constraints.fixed.items())
    for name, group in large._fit.groups.items():
        ours = small._fit.groups[name]
        held &= len(set(zip(group, ours, strict=True))) == len(set(group)) or name in one.constraints.fixed
    if not held or one.constraints.bounds != two.constraints.bounds:
        raise FitError(
            f"compare needs a fit that shares less: this one shares {', '.join(small.shared) or 'nothing'}, "
            f"the other {', '.join(large.shared) or 'nothing'}. Call it on the fit that shares more."
        )


def _ratio(of: Together, name: str, one: int, other: int) -> Estimate:
    """Joint profile of a log ratio, with the other two intervals."""
    from scipy import stats

    pair = _pair(of, name, one, other)
    a, b = of.estimates[one][name], of.estimates[other][name]
    low, high = ratio_ends(of._fit, (name, one, other), pair, of.level)
    low = 0.0 if _open(a)[1] or _open(b)[0] else low
    high = math.inf if _open(a)[0] or _open(b)[1] else high
    spread = of._fit.covariance[np.ix_(pair, pair)]
    quantile = float(stats.t.ppf(0.5 + of.level / 2, of.df))
    difference = float(spread[0, 0] + spread[1, 1] - 2 * spread[0, 1]) if np.isfinite(spread).all() else math.inf
    best, error = abs(b.best / a.best), math.sqrt(max(difference, 0.0))
    ratio = Parameter.bounded("ratio", best, low, high, log=True, se=error, quantile=quantile)
    ratio = replace(ratio, method="joint profile")
    beside = _natural((abs(a.best), abs(b.best)), spread, quantile)
    parameters = (ratio, *beside, delta_pec50(ratio)) if name == "ec50" else (ratio, *beside)
    return Estimate(
        "ratio, joint profile", parameters, of.level, of.estimates[one].n + of.estimates[other].n, of.rss, of.df,
        status="ok" if ratio.operator == "=" else "open: the data do not bound the ratio on both sides",
        parts=(of.estimates[one], of.estimates[other]), label=f"{of._data.labels[other]} / {of._data.labels[one]}",
    )  # fmt: skip


def _pair(of: Together, name: str, one: int, other: int) -> list[int]:
    """Joint parameters of two responses whose ratio is asked for."""
    fit, family = of._fit, of._data.family
    known = list(fit.groups)
    if name not in known:
        raise FitError(f'{family.name} has no parameter "{name}". {nearest(name, known)}')
    if {n.name: n.scale for n in family.names(False)}[name] == "plain":
        raise FitError(
            f"ratio: {name} is not estimated on a logarithm. Only ratios of positive parameters are profiled."
        )
    first, second = fit.where(name, one), fit.where(name, other)
    if first == second:
        why = "held" if first == fit.joint.design.size else "shared by the two"
        raise FitError(f"ratio: {name} is {why}, so there is no ratio to be estimated.")
    return [first, second]


def _open(parameter: Parameter) -> tuple[bool, bool]:
    """Whether a positive parameter, or the size of a slope, is open below, and above."""
    if parameter.log:
        return not parameter.low > 0, math.isinf(parameter.high)
    low, high = math.isinf(parameter.low), math.isinf(parameter.high)
    return (high, low) if parameter.best < 0 else (low, high)


def _natural(values: tuple[float, float], spread: Array, quantile: float) -> tuple[Parameter, ...]:
    """Ratio of the second value over the first after Fieller and by the delta method; `spread` is of their logs."""
    a, b = values
    if not np.isfinite(spread).all():
        spread = np.full((2, 2), np.nan)
    errors = np.sqrt(np.maximum(np.diag(spread), 0.0))
    pair = Pair(a, float(a * errors[0]), b, float(b * errors[1]), float(a * b * spread[0, 1]))
    return tuple(
        natural_ratio(f"ratio_{method}", pair, method, quantile, log=True)[0] for method in ("fieller", "delta")
    )
