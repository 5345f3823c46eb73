"""A response in numbers: how high, how soon, how long, what of it passes and what stays; and its time constants.

`measure_events` reads them off the traces.  `fit_kinetics` fits a rise and a decay to a plateau, whose
time constants are bounds where the recording does not hold their end.  All cells at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.assays.calcium import windows
from halfmax.assays.calcium.windows import Window
from halfmax.errors import RangeError
from halfmax.units import format_interval

__all__ = ["Events", "Kinetics", "TimeConstants", "fit_kinetics", "measure_events"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Text = NDArray[np.str_]

#: Share of the response window, at its end, that is the plateau unless another is named.
LAST = 0.2
#: Reads that a fit of six parameters needs.
LEAST_READS = 12
#: Cells that are fitted at once: their derivatives fit into the processor's cache.
_BATCH = 128
#: A time constant is followed to this many times the length of the window.
_REACH = 30.0
#: Onsets from which a fit starts, as shares of the window.
_ONSETS = (0.0, 1 / 30, 1 / 10, 1 / 4)
#: ln of the least ratio of decay to rise.
_LEAST_RATIO = math.log(1.1)
#: Values at which a time constant is held for its profile.
_PROFILE = 21


@dataclass(frozen=True, eq=False)
class Events:
    """Responses of cells, dishes or wells; all arrays of shape (traces,).

    Parameters
    ----------
    base : array, in `unit`
        Mean of the baseline.
    peak : array, in `unit`
        Maximum of the running median above the baseline.
    peak_s, time_to_10_s, time_to_50_s, time_to_90_s : array, s
        From the start of the response window.
    area : array, `unit` · s
    sustained : array, in `unit`
        Mean of the plateau window above the baseline.
    transient : array, in `unit`
        ``peak − sustained``.
    half_decay_s : array, s
        From the peak to half its height; where `half_decay_operator` is ``>``, until the last read.
    half_decay_operator : array of str
        ``=``, ``>``, or empty where nothing rises.
    unit : str
        Of the signal.
    """

    base: Array
    peak: Array
    peak_s: Array
    time_to_10_s: Array
    time_to_50_s: Array
    time_to_90_s: Array
    area: Array
    sustained: Array
    transient: Array
    half_decay_s: Array
    half_decay_operator: Text
    unit: str = ""


def measure_events(
    signal: ArrayLike, time_s: ArrayLike, *, response: Window, baseline: Window, plateau: Window | None = None,
    reads: int = 3, unit: str = "",
) -> Events:  # fmt: skip
    """Peak, times, area, plateau and decay of each trace.

    Parameters
    ----------
    signal : array, shape (traces, reads)
        NaN where a read is missing.
    time_s : array, shape (reads,) or (traces, reads), s
    response, baseline : Window
    plateau : Window, optional
        Default: the last fifth of the response window, or of the recording where that ends first.
    reads : int
        Of the running median for peak and times.
    unit : str
        Of the signal.

    Raises
    ------
    RangeError
        If the baseline or the response window holds no read.

    Examples
    --------
    >>> traces = [[1.0, 1.0, 3.0, 5.0, 3.0, 2.0, 2.0]]
    >>> found = measure_events(traces, np.arange(7.0), response=Window(1.5), baseline=Window(0, 1.5), reads=1,
    ...     plateau=Window(5))
    >>> [float(x[0]) for x in (found.peak, found.sustained, found.transient, found.half_decay_s)]
    [4.0, 1.0, 3.0, 1.0]
    """
    values, times = np.atleast_2d(np.asarray(signal, dtype=float)), np.asarray(time_s, dtype=float)
    _look(times, response, baseline)
    plateau = plateau or _last_part(times, response)
    base = windows.baseline(values, times, baseline)
    top = windows.peak(values, times, response, base, reads=reads)
    rise = windows.rise_times(values, times, response, base, reads=reads)
    decay = windows.decay_half_time(values, times, response, base, reads=reads)
    sustained = windows.plateau(values, times, plateau, base)
    return Events(
        base, top.height, top.time_s - np.asarray(response.start), rise[:, 0], rise[:, 1], rise[:, 2],
        windows.area(values, times, response, base), sustained, top.height - sustained, decay.half_time_s,
        decay.operator, unit,
    )  # fmt: skip


def _look(times: Array, response: Window, baseline: Window) -> None:
    """Whether both windows hold reads."""
    for name, window in (("baseline", baseline), ("response", response)):
        if not window.inside(times).any():
            raise RangeError(
                f"the {name} window ({np.min(window.start):g}–{np.max(window.end):g} s) holds no read: the recording "
                f"runs from {np.nanmin(times):g} s to {np.nanmax(times):g} s. Look at the time of the stimulus."
            )


def _last_part(times: Array, response: Window) -> Window:
    """Last fifth of the response window, ending with the recording where that ends first."""
    start = np.asarray(response.start, dtype=float)
    end = np.minimum(np.asarray(response.end, dtype=float), np.nanmax(times, axis=-1))
    since = end - LAST * (end - np.maximum(start, np.nanmin(times, axis=-1)))
    return Window(since if since.ndim else float(since), response.end)


@dataclass(frozen=True, eq=False)
class TimeConstants:
    """A time constant of each cell with its interval; all of shape (cells,), s.

    `value` is the optimum; where `operator` is ``>`` or ``<``, the bound that the data give; NaN with
    ``?``, where they give none.
    """

    value: Array
    low: Array
    high: Array
    operator: Text

    def text(self, cell: int) -> str:
        """As a scientist writes it.

        Examples
        --------
        >>> TimeConstants(np.array([120.0]), np.array([120.0]), np.array([np.inf]), np.array([">"])).text(0)
        '> 120 s'
        """
        return format_interval(
            float(self.value[cell]), float(self.low[cell]), float(self.high[cell]), str(self.operator[cell]), unit="s"
        )


@dataclass(frozen=True, eq=False)
class Kinetics:
    """Rise and decay of each cell; all arrays of shape (cells,).

    Parameters
    ----------
    base, transient, sustained : array, in the unit of the signal
        ``base``, A and P of the equation of `fit_kinetics`. Where the decay is open, A and P are not told apart.
    onset_s : array, s
        From the start of the response window.
    rise, decay : TimeConstants
    noise : array, in the unit of the signal
        Residual standard deviation.
    autocorrelation : array
        Of neighbouring residuals.
    level : float
        Of the intervals.
    status : array of str
        Begins with ``ok``, ``open`` or ``refused``.
    """

    base: Array
    transient: Array
    sustained: Array
    onset_s: Array
    rise: TimeConstants
    decay: TimeConstants
    noise: Array
    autocorrelation: Array
    level: float
    status: Text


class _Data(NamedTuple):
    """Traces without gaps in memory: missing reads have weight 0; times from the start of the window."""

    values: Array
    seen: Array
    time: Array
    low: Array
    high: Array

    def take(self, rows: NDArray[np.intp] | Mask | slice) -> _Data:
        return self._replace(values=self.values[rows], seen=self.seen[rows])


class _Fit(NamedTuple):
    """Parameters, shape (cells, 6): onset, ln rise, ln decay, base, A, P; and the sums of squares."""

    theta: Array
    rss: Array


def fit_kinetics(
    signal: ArrayLike, time_s: ArrayLike, *, response: Window, baseline: Window, level: float = 0.95
) -> Kinetics:
    """Rise and decay to a plateau, by least squares, with profile intervals of both time constants.

    From the onset on, with the time t since::

        y = base + A (exp(-t/decay) - exp(-t/rise)) + P (1 - exp(-t/rise))

    Time constants are searched from a tenth of the reads' distance (rise) or half of it (decay) to
    30 times the window.  A profile that does not rise to the threshold before leaves that end open:
    a decay that has no end within the recording is "> x s", a rise within one read "< x s".
    The threshold is that of F with 1 and n_eff − 6 degrees of freedom; n_eff counts autocorrelated
    reads as ``n (1 − r)/(1 + r)``, r the correlation of neighbouring residuals, where r > 0.

    Parameters
    ----------
    signal : array, shape (cells, reads)
        NaN where a read is missing.
    time_s : array, shape (reads,), s
    response, baseline : Window
        Of one start and end for all cells; reads of neither take no part.
    level : float

    Returns
    -------
    Kinetics
        ``refused`` where a cell has fewer than 12 reads or none before or after, or no noise and no response.

    Raises
    ------
    RangeError
        If a window holds no read.

    Examples
    --------
    >>> t = np.arange(-30.0, 120.0)
    >>> true = np.where(t > 0, np.exp(-t / 25) - np.exp(-t / 4) + 0.3 * (1 - np.exp(-t / 4)), 0.0)
    >>> noisy = true + np.random.default_rng(1).normal(0, 0.02, t.size)
    >>> found = fit_kinetics(noisy, t, response=Window(0), baseline=Window(-30, 0))
    >>> bool(found.decay.low[0] < 25 < found.decay.high[0])
    True
    """
    values, times = np.atleast_2d(np.asarray(signal, dtype=float)), np.asarray(time_s, dtype=float)
    _look(times, response, baseline)
    data, usable = _data(values, times, response, baseline)
    parts = [data.take(rows) for rows in np.array_split(np.flatnonzero(usable), math.ceil(usable.sum() / _BATCH) or 1)]
    found = [_fitted(part, level) for part in parts if part.values.size]
    return _spread_out(found, usable, level)


def _data(values: Array, times: Array, response: Window, baseline: Window) -> tuple[_Data, Mask]:
    """Reads of both windows, and which cells have enough of them."""
    after = response.inside(times)
    keep = after | baseline.inside(times)
    time = times[keep] - float(np.min(response.start))
    seen = np.isfinite(values[:, keep])
    n_after, n = (seen & after[keep]).sum(axis=1), seen.sum(axis=1)
    moves = np.nanmax(np.where(seen, values[:, keep], -np.inf), axis=1) > np.nanmin(
        np.where(seen, values[:, keep], np.inf), axis=1
    )
    usable = (n >= LEAST_READS) & (n_after >= LEAST_READS // 2) & (n > n_after + 1) & moves
    step, length = float(np.median(np.diff(time))), float(time[-1] - max(0.0, time[after[keep]][0]))
    low = np.array([0.0, math.log(step / 10), math.log(step / 2), -np.inf, -np.inf, -np.inf])
    high = np.array([length / 2, math.log(length), math.log(_REACH * length), np.inf, np.inf, np.inf])
    return _Data(np.where(seen, values[:, keep], 0.0), seen.astype(float), time, low, high), usable


def _columns(data: _Data, theta: Array) -> tuple[Array, Array, Array]:
    """Time since the onset, and what is left of rise and of decay, shape (cells, reads); 1 before the onset."""
    since = np.maximum(data.time[None, :] - theta[:, :1], 0.0)
    return since, np.exp(-since * np.exp(-theta[:, 1:2])), np.exp(-since * np.exp(-theta[:, 2:3]))


def _residual(data: _Data, theta: Array) -> Array:
    _, rise, decay = _columns(data, theta)
    base, a, p = (theta[:, k : k + 1] for k in (3, 4, 5))
    return np.asarray((data.values - base - a * (decay - rise) - p * (1 - rise)) * data.seen)


def _slopes(data: _Data, theta: Array) -> Array:
    """Derivatives of the fitted values, shape (cells, reads, 6)."""
    since, rise, decay = _columns(data, theta)
    a, p = theta[:, 4:5], theta[:, 5:6]
    k_rise, k_decay = np.exp(-theta[:, 1:2]), np.exp(-theta[:, 2:3])
    by_rise, by_decay = -(a + p) * rise * since * k_rise, a * decay * since * k_decay
    by_onset = np.where(since > 0, a * decay * k_decay - (a + p) * rise * k_rise, 0.0)
    ones = np.ones_like(rise)
    return np.stack([by_onset, by_rise, by_decay, ones, decay - rise, 1 - rise], axis=-1) * data.seen[..., None]


def _started(data: _Data) -> _Fit:
    """Best optimum from the best places of a grid with each of a few onsets."""
    length = data.high[0] * 2
    fits = [_minimise(data, _grid(data, onset), np.ones(6, dtype=bool)) for onset in length * np.array(_ONSETS)]
    rss = np.stack([fit.rss for fit in fits])
    best = rss.argmin(axis=0)
    cells = np.arange(best.size)
    return _Fit(np.stack([fit.theta for fit in fits])[best, cells], rss[best, cells])


def _grid(data: _Data, onset: float) -> Array:
    """Best of a grid of time constants, its linear parameters by least squares, shape (cells, 6)."""
    length = data.high[0] * 2
    step = math.exp(data.low[2]) * 2
    best = np.full(data.values.shape[0], np.inf)
    theta = np.zeros((data.values.shape[0], 6))
    rises = np.log(np.geomspace(step / 2, length / 2, 8))
    decays = np.log(np.geomspace(step, 4 * length, 10))
    places = [(onset, r, d) for r in rises for d in decays if d > r]
    for place in places:
        one = np.array([[*place, 0.0, 0.0, 0.0]])
        _, rise, decay = _columns(data, one)
        design = np.stack([np.ones(data.time.size), (decay - rise)[0], (1 - rise)[0]], axis=1)
        linear, rss = _linear(data, design)
        better = rss < best
        best[better] = rss[better]
        theta[better, :3], theta[better, 3:] = place, linear[better]
    return theta


def _linear(data: _Data, design: Array) -> tuple[Array, Array]:
    """Least squares of one design for all cells, each with its own missing reads."""
    k = design.shape[1]
    products = (design[:, :, None] * design[:, None, :]).reshape(design.shape[0], -1)
    gram = (data.seen @ products).reshape(-1, k, k)
    gram += 1e-9 * np.trace(gram, axis1=1, axis2=2)[:, None, None] * np.eye(k)
    right = data.values @ design
    linear = np.linalg.solve(gram, right[..., None])[..., 0]
    return np.asarray(linear), np.asarray((data.values**2).sum(axis=1) - (linear * right).sum(axis=1))


def _minimise(data: _Data, theta: Array, free: Mask, turns: int = 60) -> _Fit:
    """Levenberg–Marquardt of the free parameters of all cells at once, within the limits."""
    theta = _apart(np.clip(theta, data.low, data.high), free)
    rss = (_residual(data, theta) ** 2).sum(axis=1)
    damping = np.full(rss.size, 1e-3)
    rows = np.arange(rss.size)
    for _ in range(turns):
        if not rows.size:
            break
        part = data.take(rows)
        residual, slopes = _residual(part, theta[rows]), _slopes(part, theta[rows])[..., free]
        gram = np.swapaxes(slopes, 1, 2) @ slopes
        right = (np.swapaxes(slopes, 1, 2) @ residual[..., None])[..., 0]
        size = np.einsum("cii->ci", gram)
        size = np.maximum(size, 1e-12 * size.max(axis=1, keepdims=True) + 1e-300)
        step = np.linalg.solve(
            gram + (damping[rows, None] * size)[..., None] * np.eye(int(free.sum())), right[..., None]
        )
        trial = theta[rows].copy()
        trial[:, free] += np.clip(step[..., 0], -1e12, 1e12)
        trial[:, 1:3] = np.clip(trial[:, 1:3], theta[rows, 1:3] - 1.5, theta[rows, 1:3] + 1.5)
        trial = _apart(np.clip(trial, data.low, data.high), free)
        new = (_residual(part, trial) ** 2).sum(axis=1)
        good = new <= rss[rows]
        gain = np.where(good, rss[rows] - new, np.inf)
        theta[rows[good]], rss[rows[good]] = trial[good], new[good]
        damping[rows] = np.where(good, np.maximum(damping[rows] / 5, 1e-10), damping[rows] * 7)
        done = (gain <= 1e-8 * rss[rows]) & (damping[rows] < 1e-2) | (damping[rows] > 1e10)
        rows = rows[~done]
    return _Fit(theta, rss)


def _apart(theta: Array, free: Mask) -> Array:
    """Parameters whose decay is slower than their rise: equal ones would let A grow without end."""
    result = theta.copy()
    if free[2]:
        result[:, 2] = np.maximum(theta[:, 2], theta[:, 1] + _LEAST_RATIO)
    else:
        result[:, 1] = np.minimum(theta[:, 1], theta[:, 2] - _LEAST_RATIO)
    return result


def _fitted(data: _Data, level: float) -> Kinetics:
    """Optimum and profiles of some cells."""
    from scipy import special

    fit, places = _explored(data, _started(data))
    n = data.seen.sum(axis=1)
    r = np.clip(_autocorrelation(_residual(data, fit.theta), data.seen), 0.0, 0.95)
    freedom = np.maximum(n * (1 - r) / (1 + r) - 6, 1.0)
    least = np.minimum(fit.rss, np.minimum(places[0][1].min(axis=1), places[1][1].min(axis=1)))
    allowed = least * (1 + special.fdtri(1, freedom, level) / freedom)
    rise, decay = (_interval(*place, fit.theta[:, which], fit.rss, allowed)
                   for which, place in zip((1, 2), places, strict=True))  # fmt: skip
    flat = (data.values**2).sum(axis=1) - data.values.sum(axis=1) ** 2 / n
    # The F-test of five parameters, two of them searched for: taken at a fifth of the level, it holds.
    nothing = flat <= least * (1 + 5 * special.fdtri(5, freedom, 1 - (1 - level) / 5) / freedom)
    rise, decay = _without(rise, nothing), _without(decay, nothing)
    status = _status(rise, decay, nothing)
    noise = np.sqrt(fit.rss / np.maximum(n - 6, 1))
    onset, _, _, base, a, p = fit.theta.T
    return Kinetics(base, a, p, onset, rise, decay, noise, r, level, status)


def _autocorrelation(residual: Array, seen: Array) -> Array:
    """Correlation of neighbouring residuals; 0 where there are none."""
    pairs = seen[:, 1:] * seen[:, :-1]
    products = (residual[:, 1:] * residual[:, :-1] * pairs).sum(axis=1) / np.maximum(pairs.sum(axis=1), 1)
    square = (residual**2).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return np.asarray(np.where(square > 0, products / np.where(square > 0, square, 1.0), 0.0))


def _explored(data: _Data, fit: _Fit) -> tuple[_Fit, list[tuple[Array, Array]]]:
    """Optimum and both profiles; where a profile comes upon a better place, again from there."""
    rows = np.arange(fit.rss.size)
    rss = [np.full((rows.size, _PROFILE), np.inf) for _ in range(2)]
    for _ in range(3):
        part, old = data.take(rows), _Fit(fit.theta[rows], fit.rss[rows])
        found = [_profile(part, old, which) for which in (1, 2)]
        for whole, (_, one, _) in zip(rss, found, strict=True):
            whole[rows] = np.minimum(whole[rows], one)
        starts = [_minimise(part, best.theta, np.ones(6, dtype=bool)) for _, _, best in found]
        first = starts[0].rss < starts[1].rss
        new = _Fit(np.where(first[:, None], starts[0].theta, starts[1].theta), np.minimum(starts[0].rss, starts[1].rss))
        better = new.rss < old.rss
        fit.theta[rows[better]], fit.rss[rows[better]] = new.theta[better], new.rss[better]
        rows = rows[new.rss < (1 - 1e-4) * old.rss]
        if not rows.size:
            break
    return fit, [(values, whole) for (values, _, _), whole in zip(found, rss, strict=True)]


def _profile(data: _Data, fit: _Fit, which: int) -> tuple[Array, Array, _Fit]:
    """Sums of squares with a time constant held at each of many values, the rest fitted: values, (cells, values).

    Walked both ways from the optimum, so that each place starts from its neighbour. With the best place met.
    """
    best = _Fit(fit.theta.copy(), np.full(fit.rss.size, np.inf))
    values = np.linspace(data.low[which], data.high[which], _PROFILE)
    free = np.arange(6) != which
    rss = np.full((fit.rss.size, values.size), np.inf)
    for order in (range(values.size), range(values.size - 1, -1, -1)):
        theta = fit.theta.copy()
        for place in order:
            ahead = values[place] > fit.theta[:, which] if order.step > 0 else values[place] < fit.theta[:, which]
            start = np.where(ahead[:, None], theta, fit.theta)
            start[:, which] = values[place]
            found = _minimise(data, start, free, 10)
            theta = found.theta
            rss[:, place] = np.minimum(rss[:, place], found.rss)
            better = found.rss < best.rss
            best.theta[better], best.rss[better] = found.theta[better], found.rss[better]
    return values, rss, best


def _interval(values: Array, rss: Array, best: Array, least: Array, allowed: Array) -> TimeConstants:
    """Ends at which the profile passes the threshold, by straight lines on ln of the time constant."""
    inside = rss <= allowed[:, None]
    cells = np.arange(best.size)
    ends = []
    for side in (-1, 1):
        beyond = (values[None, :] - best[:, None]) * side > 0
        out = beyond & ~inside
        place = out.argmax(axis=1) if side > 0 else values.size - 1 - out[:, ::-1].argmax(axis=1)
        before = np.clip(place - side, 0, values.size - 1)
        near = beyond[cells, before] & inside[cells, before]
        x0, y0 = np.where(near, values[before], best), np.where(near, rss[cells, before], least)
        x1, y1 = values[place], rss[cells, place]
        share = np.sqrt(np.clip((allowed - y0) / np.where(y1 > y0, y1 - y0, 1.0), 0.0, 1.0))
        ends.append(np.where(out.any(axis=1), np.exp(x0 + share * (x1 - x0)), np.inf if side > 0 else 0.0))
    low, high = ends
    open_low, open_high = low <= 0, np.isinf(high)
    operator = np.where(open_low & open_high, "?", np.where(open_high, ">", np.where(open_low, "<", "=")))
    value = np.where(operator == "?", np.nan, np.where(open_high, low, np.where(open_low, high, np.exp(best))))
    return TimeConstants(value, low, high, operator)


def _without(found: TimeConstants, nothing: Mask) -> TimeConstants:
    """No time constant where there is no response."""
    return TimeConstants(
        np.where(nothing, np.nan, found.value), np.where(nothing, 0.0, found.low),
        np.where(nothing, np.inf, found.high), np.where(nothing, "?", found.operator),
    )  # fmt: skip


def _status(rise: TimeConstants, decay: TimeConstants, nothing: Mask) -> Text:
    """In words, one a cell."""
    plain = "ok"
    no_end = "open: the decay has no end within the recording"
    no_rise = "open: the rise is faster than the reads show"
    unknown = "open: the data do not bound the time constants"
    status = np.where(decay.operator == ">", no_end, np.where(rise.operator == "<", no_rise, plain))
    odd = np.isin(rise.operator, (">", "?")) | np.isin(decay.operator, ("<", "?"))
    status = np.where(odd & (status == plain), unknown, status)
    return np.asarray(np.where(nothing, "open: no response that stands out of the noise", status), dtype=str)


def _spread_out(found: list[Kinetics], usable: Mask, level: float) -> Kinetics:
    """The cells that were fitted among all."""

    def column(parts: list[Array]) -> Array:
        whole = np.full(usable.size, np.nan)
        if parts:
            whole[usable] = np.concatenate(parts)
        return whole

    def words(parts: list[Text], otherwise: str) -> Text:
        whole = np.full(usable.size, otherwise, dtype="<U80")
        if parts:
            whole[usable] = np.concatenate(parts)
        return whole

    def constants(parts: list[TimeConstants]) -> TimeConstants:
        value, low, high = (column([getattr(part, name) for part in parts]) for name in ("value", "low", "high"))
        return TimeConstants(value, low, high, words([part.operator for part in parts], "?"))

    names = ("base", "transient", "sustained", "onset_s", "noise", "autocorrelation")
    base, transient, sustained, onset, noise, r = (column([getattr(one, name) for one in found]) for name in names)
    return Kinetics(
        base, transient, sustained, onset, constants([one.rise for one in found]),
        constants([one.decay for one in found]), noise, r, level,
        words([one.status for one in found], f"refused: fewer than {LEAST_READS} reads, or none before or after"),
    )  # fmt: skip
