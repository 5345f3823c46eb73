"""Fits of a function of several conditions: what was set in each well (concentrations, times), and shared parameters.

A curve depends on one concentration.  A competition at several radioligands, an inactivation
after several pre-incubations, or a full agonist beside several doses of an antagonist depends
on more.  Here the wells of one experiment are rows of conditions, one function of them all is
fitted, and its parameters get what those of every curve get: profile intervals, operators,
constraints, noise models.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.curves import Curve
from halfmax.curves.custom import own_curve
from halfmax.errors import FitError, RangeError
from halfmax.estimate.batch import Constraints, pack
from halfmax.estimate.fitting import fit_all
from halfmax.estimate.least_squares import solve
from halfmax.estimate.noise import Noise
from halfmax.estimate.points import as_points
from halfmax.estimate.result import Estimate, Parameter
from halfmax.response import Response

__all__ = ["Asked", "Options", "Surface", "fit_surface", "fit_surface_all"]

Array = NDArray[np.float64]
#: A positive parameter is looked for this many times below its lowest and above its highest start.
_REACH = 1e6
#: Correlation of two parameters at the optimum from which on the ends of their intervals are looked at again.
_RIDGE = 0.98


class Asked(TypedDict, total=False):
    """What every fit may be asked: the level of its intervals, its noise model, a label for messages."""

    level: float
    noise: Noise | float
    label: str


class Options(Asked, total=False):
    """What a fit may be asked besides where its parameters are the caller's: what is held, bounded, left out."""

    fixed: Mapping[str, float] | None
    bounds: Mapping[str, tuple[float, float]] | None
    excluded: Sequence[str] | str


@dataclass(frozen=True)
class Surface:
    """A function of conditions and named parameters, and how to look for these.

    Parameters
    ----------
    function : callable
        ``f(**conditions, **parameters)`` of arrays that broadcast; NumPy arithmetic, no `if`.
    starts : mapping
        Where the search for each parameter begins: one value or several. Linear ones need none.
    linear : tuple of str
        Parameters in which the function is linear, all together.
    positive : tuple of str
        Parameters that are estimated on their logarithm.
    limits : mapping
        Name → (low, high) of a parameter with a start. A positive one without is followed to
        a million times its starts, and called open there.
    units : mapping
        Name → unit, for the estimates.
    name, reference : str
    """

    function: Callable[..., Array]
    starts: Mapping[str, float | Sequence[float]]
    linear: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    name: str = "surface"
    reference: str = "–"

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of what is fitted."""
        return (*self.starts, *self.linear)

    @property
    def followed(self) -> tuple[str, ...]:
        """Positive parameters without limits of their own: what they are followed to is no limit of the data."""
        return tuple(name for name in self.positive if name in self.starts and name not in self.limits)

    def curve(self, conditions: Mapping[str, Array]) -> Curve:
        """The surface at given rows of conditions, as a curve of the row's number, counted from 1."""
        last = len(next(iter(conditions.values()))) - 1

        def at_rows(number: Array, **parameters: Array) -> Array:
            row = np.clip(np.asarray(number).round() - 1, 0, last).astype(np.intp)
            return self.function(**{name: values[row] for name, values in conditions.items()}, **parameters)

        asked = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in self.parameters]
        number = inspect.Parameter("number", inspect.Parameter.POSITIONAL_ONLY)
        at_rows.__signature__ = inspect.Signature([number, *asked])  # type: ignore[attr-defined]
        at_rows.__doc__ = self.function.__doc__
        limits = {name: self._reach(name) for name in self.followed} | dict(self.limits)
        return own_curve(
            at_rows, starts=self.starts, linear=self.linear, positive=self.positive, limits=limits,
            name=self.name, reference=self.reference,
        )  # fmt: skip

    def _reach(self, name: str) -> tuple[float, float]:
        starts = np.atleast_1d(np.asarray(self.starts[name], dtype=float))
        return float(starts.min()) / _REACH, float(starts.max()) * _REACH


def fit_surface(
    surface: Surface,
    conditions: Mapping[str, ArrayLike],
    signal: ArrayLike,
    **options: Unpack[Options],
) -> Estimate:
    """Parameters of a surface through the wells of one experiment, with profile intervals.

    Parameters
    ----------
    surface : Surface
    conditions : mapping of str to array, each shape (wells,)
        What was set in each well, in the units that the function takes.
    signal : array, shape (wells,)
        What was read; NaN where a well is missing.
    **options
        `Options`: ``level``, ``fixed``, ``bounds`` and ``noise`` as for `fit`; ``excluded``, why a well
        takes no part, empty where it does; ``label``, for messages.

    Returns
    -------
    Estimate
        Its ``response`` holds the numbers of the rows of distinct conditions as concentrations.

    Raises
    ------
    FitError
        If there are too few wells, or conditions and signals differ in length.
    RangeError
        If a condition is not a number.

    Examples
    --------
    >>> import numpy as np
    >>> decay = Surface(lambda time, dose, rate: np.exp(-rate * dose * time), starts={"rate": 1.0}, positive=("rate",))
    >>> time, dose = np.meshgrid([0.5, 1.0, 2.0], [1.0, 3.0])
    >>> signal = np.exp(-0.7 * dose * time) + np.array([[1, -1, 1], [-1, 1, -1]]) * 0.01
    >>> fit_surface(decay, {"time": time.ravel(), "dose": dose.ravel()}, signal.ravel())["rate"].text()
    '0.699 (0.672–0.727)'
    """
    rows = np.atleast_2d(np.asarray(signal, dtype=float))
    if len(rows) != 1:
        raise FitError(f"signal must be (wells,), found {np.shape(signal)}. Several experiments go to fit_surface_all.")
    return fit_surface_all(surface, conditions, rows, **options)[0]


def fit_surface_all(
    surface: Surface,
    conditions: Mapping[str, ArrayLike],
    signals: ArrayLike,
    *,
    level: float = 0.95,
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    noise: Noise | float = "constant",
    excluded: Sequence[str] | str = "",
    label: str = "",
) -> list[Estimate]:
    """`fit_surface` of many experiments with the same conditions, `signals` of shape (experiments, wells), at once."""
    rows = np.asarray(signals, dtype=float)
    number, distinct = _numbered(conditions, rows.shape[-1])
    model = surface.curve(distinct)
    texts: Sequence[str] = [excluded] * number.size if isinstance(excluded, str) else excluded
    responses = [
        Response.of(number, signal, role="sample", excluded=texts, quantity=label or surface.name) for signal in rows
    ]
    found = fit_all(responses, model, level=level, fixed=fixed, bounds=bounds, noise=noise)
    for one in found:
        if one.status.startswith("refused"):
            raise FitError(f"{label or surface.name}: {one.status.removeprefix('refused: ')}")
    constraints = Constraints(fixed or {}, bounds or {}).of(model)
    opened = _opened(found, surface, constraints)
    return [_with_units(one, surface) for one in opened]


def _numbered(conditions: Mapping[str, ArrayLike], wells: int) -> tuple[Array, dict[str, Array]]:
    """Number of each well's conditions among the distinct ones, from 1, and these."""
    columns = {name: np.broadcast_to(np.asarray(value, dtype=float), wells) for name, value in conditions.items()}
    for name, column in columns.items():
        bad = np.flatnonzero(~np.isfinite(column))
        if bad.size:
            raise RangeError(f"row {bad[0] + 1}: {name} must be a finite number, found {column[bad[0]]:g}.")
    table, number = np.unique(np.column_stack(list(columns.values())), axis=0, return_inverse=True)
    return np.asarray(number.ravel() + 1.0), dict(zip(columns, table.T, strict=True))


def _opened(found: Sequence[Estimate], surface: Surface, constraints: Constraints) -> list[Estimate]:
    """Estimates whose intervals do not end where another parameter met the end of its search.

    Along a ridge, one parameter makes up for another. A walk then stops where the other can follow
    no farther, which is where we stopped looking and no finding.
    """
    result = list(found)
    rows = [index for index, one in enumerate(found) if _has_ridge(one)]
    followed = [name for name in surface.followed if name not in constraints.fixed and name not in constraints.bounds]
    if not rows or not followed:
        return result
    some = [found[index] for index in rows]
    stuck = _stuck(some, surface, constraints, followed)
    for index, one, at_end in zip(rows, some, stuck, strict=True):
        parameters = tuple(map(_freed, one.parameters, at_end))
        names = [p.name for p in parameters if p.operator != "="]
        status = one.status
        if names and status == "ok":
            status = f"open: the data do not bound {', '.join(names)} on both sides. Add points, or hold a parameter."
        result[index] = replace(one, parameters=parameters, status=status)
    return result


def _stuck(
    some: Sequence[Estimate], surface: Surface, constraints: Constraints, followed: Sequence[str]
) -> NDArray[np.bool_]:
    """Ends at which another parameter stands where its search ends, shape (estimates, parameters, 2)."""
    model = some[0].curve
    assert model is not None
    points = [as_points(one.response).columns(tied=False) for one in some if one.response is not None]
    problem = constraints.apply(pack(model, points), rising=False)
    names = [term.name for term in model.terms]
    reach = {names.index(name): np.log(surface._reach(name)) for name in followed}
    result = np.zeros((len(some), len(some[0].parameters), 2), dtype=bool)
    for place, named in enumerate(model.names(False)):
        for side, end in enumerate(("low", "high")):
            outside = np.array([getattr(one.parameters[place], end) for one in some])
            with np.errstate(divide="ignore"):
                inside = np.log(outside) if named.scale == "log" else outside
            rows = np.flatnonzero(np.isfinite(inside) & problem.free()[named.row])
            if rows.size:
                at = solve(problem.take(rows).holding(np.full(rows.size, named.row), inside[rows])).theta
                for row, (low, high) in reach.items():
                    if row != named.row:
                        result[rows, place, side] |= (at[row] < low + 1e-3) | (at[row] > high - 1e-3)
    return result


def _freed(one: Parameter, at_end: NDArray[np.bool_]) -> Parameter:
    """A parameter with the ends opened that are none."""
    if not at_end.any():
        return one
    low = (0.0 if one.log else -math.inf) if at_end[0] else one.low
    bounded = Parameter.bounded(
        one.name, one.best, low, math.inf if at_end[1] else one.high, log=one.log, unit=one.unit, se=one.se
    )
    return replace(bounded, method=one.method, delta_low=one.delta_low, delta_high=one.delta_high)


def _has_ridge(estimate: Estimate) -> bool:
    """Whether two parameters nearly make up for each other at the optimum."""
    spread = estimate.covariance
    if spread is None or not np.isfinite(spread).all():
        return True
    size = np.sqrt(np.diag(spread))
    size = np.where(size > 0, size, np.inf)
    away = np.abs(spread / size[:, None] / size) - np.eye(size.size)
    return bool(away.max(initial=0.0) > _RIDGE)


def _with_units(estimate: Estimate, surface: Surface) -> Estimate:
    parameters = tuple(replace(one, unit=surface.units.get(one.name, "")) for one in estimate.parameters)
    return replace(estimate, parameters=parameters)
