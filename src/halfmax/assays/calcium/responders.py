"""Which cells respond, with a known false-positive rate.

A cell is judged by a score that depends on one stretch of its trace only: a baseline, and
the response window after it.  The same score is taken from stretches of the same lengths
that end before the stimulus (sham windows), or from cells that were given vehicle.  How often
these reach the score of a cell is the cell's p-value.

What this rests on: but for the response, a stretch before the stimulus and the one around it
are alike (noise that stays the same, drift that goes on as it was).  Noise may be
autocorrelated and differ from cell to cell, and drifts may differ: the shares of all cells in
the sham scores are equal, so the rate holds for the cells together.  It need not hold for each
one: a cell noisier in its own way than its baseline shows is called more often than a quiet one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.assays.calcium import windows
from halfmax.assays.calcium.windows import Window
from halfmax.errors import RangeError, nearest

__all__ = [
    "Drift", "FalsePositiveRate", "Null", "Recording", "ResponderCalls", "Rule", "Score", "benjamini_hochberg",
    "call_responders",
]  # fmt: skip

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: What of a window is scored.
Score = Literal["peak", "area", "plateau"]
#: What is taken off a window: the straight line through its baseline, carried on, or the baseline's mean.
Drift = Literal["line", "level"]
#: What cells are judged by. ``both`` calls only what exceeds shams and vehicle; ``auto`` takes all there is.
Null = Literal["auto", "sham", "vehicle", "both"]

#: Sham windows side by side below which the time before the stimulus is too short.
MIN_WINDOWS = 3
#: Scores from windows side by side that the null must hold for each call by chance among them.
MIN_SCORES = 3.0
#: Most sham windows; more are thinned.
MOST_WINDOWS = 64
#: Share of the reads of a baseline or window that must be there.
ENOUGH = 0.8
#: Reads that a baseline needs to show its noise.
LEAST_READS = 5


@dataclass(frozen=True, eq=False)
class Recording:
    """Traces of all cells of a dish, and where to look for the response.

    Parameters
    ----------
    signal : array, shape (cells, frames)
        Ratio, ΔF/F0 or [Ca²⁺]. All segmented cells, active or not; NaN where one has left the picture.
    time_s : array, shape (frames,), s
    response : Window
        After the stimulus.
    baseline : Window
        Before it.
    quiet : Window, optional
        In which nothing was done, for sham windows. Default: all before the end of `baseline`.

    Raises
    ------
    RangeError
        If the shapes differ, the windows hold too few frames, or the response is not after the baseline.
    """

    signal: Array
    time_s: Array
    response: Window
    baseline: Window
    quiet: Window | None = None

    @classmethod
    def of(
        cls, signal: ArrayLike, time_s: ArrayLike, *, response: Window, baseline: Window, quiet: Window | None = None
    ) -> Recording:
        """Recording from anything that arrays can be made of."""
        return cls(np.atleast_2d(np.asarray(signal, float)), np.asarray(time_s, float), response, baseline, quiet)

    def __post_init__(self) -> None:
        if self.signal.ndim != 2 or self.time_s.shape != self.signal.shape[1:]:
            raise RangeError(
                f"traces must be (cells, frames) with one time a frame, found {self.signal.shape} and "
                f"{self.time_s.shape}."
            )
        if not np.all(np.diff(self.time_s) > 0):
            raise RangeError("the times of the frames must rise from each to the next. Look for frames out of order.")
        span = f"the recording runs from {self.time_s[0]:g} s to {self.time_s[-1]:g} s"
        base, window = (np.flatnonzero(part.inside(self.time_s)) for part in (self.baseline, self.response))
        if base.size < LEAST_READS:
            raise RangeError(
                f"the baseline holds {base.size} frames, at least {LEAST_READS} are needed; {span}. Take a longer one."
            )
        if window.size < 1:
            raise RangeError(
                f"the response window from {np.min(self.response.start):g} s holds no frame; {span}. "
                "Look whether the stimulus lies after its end."
            )
        if base[-1] >= window[0]:
            raise RangeError(
                f"the baseline must end before the response window begins, found {self.time_s[base[-1]]:g} s and "
                f"{self.time_s[window[0]]:g} s. Shorten the baseline."
            )

    @property
    def cells(self) -> int:
        """Number of cells, active or not."""
        return int(self.signal.shape[0])


@dataclass(frozen=True)
class Rule:
    """How a stretch of a trace becomes a score.

    Parameters
    ----------
    score : {"peak", "area", "plateau"}
        Maximum of the running median, area by trapezoids, or mean of the window above the baseline.
    drift : {"line", "level"}
        ``line`` carries the baseline's straight line on: right where cells drift, but it
        wavers where the window is longer than the baseline. ``level`` takes off its mean.
    reads : int
        Of the running median.
    level : float
        Share of cells that are called by chance.
    """

    score: Score = "peak"
    drift: Drift = "line"
    reads: int = 3
    level: float = 0.05

    def __post_init__(self) -> None:
        for name, value, known in (("score", self.score, get_args(Score)), ("drift", self.drift, get_args(Drift))):
            if value not in known:
                raise RangeError(f'unknown {name} "{value}". {nearest(value, known)}')
        if not 0 < self.level < 0.5:
            raise RangeError(f"level must lie between 0 and 0.5, found {self.level:g}. Take 0.05.")


@dataclass(frozen=True)
class FalsePositiveRate:
    """How often cells that have nothing to respond to are called.

    Parameters
    ----------
    source : str
        ``sham windows`` or ``vehicle cells``.
    expected : float
        The level asked for.
    measured : float
        Share of scores called, each by a threshold that it had no part in.
    low, high : float
        The same for the window or the dish with the fewest and the most calls.
    parts, scores : int
        Number of windows or dishes, and of scores.
    """

    source: str
    expected: float
    measured: float
    low: float
    high: float
    parts: int
    scores: int

    def text(self) -> str:
        """In words."""
        between = f", {100 * self.low:.1f}–{100 * self.high:.1f} % among {self.parts}" if self.parts > 1 else ""
        return f"{100 * self.measured:.1f} % on held-out {self.source}{between}"


@dataclass(frozen=True, eq=False)
class ResponderCalls:
    """Which cells respond.

    Parameters
    ----------
    called : array of bool, shape (cells,)
        p ≤ level. A cell that cannot be judged is not called.
    discovered : array of bool, shape (cells,)
        q ≤ level: among these a share of `level` is expected to be false.
    p, q : array, shape (cells,)
        One-sided, and after Benjamini and Hochberg; NaN where a cell cannot be judged.
    score, threshold : array, shape (cells,), in the unit of the signal (area: signal · s)
        Above the baseline.
    level : float
    false_positive_rates : tuple of FalsePositiveRate
        One for each null; empty where calls were refused.
    null : str
        ``sham``, ``vehicle``, ``both``, or empty where calls were refused.
    status : str
        Begins with ``ok`` or ``refused``.
    notes : tuple of str
    """

    called: Mask
    discovered: Mask
    p: Array
    q: Array
    score: Array
    threshold: Array
    level: float
    false_positive_rates: tuple[FalsePositiveRate, ...] = ()
    null: str = ""
    status: str = "ok"
    notes: tuple[str, ...] = field(default=())

    @property
    def cells(self) -> int:
        """All segmented cells: the denominator of every fraction."""
        return self.called.size

    @property
    def judged(self) -> int:
        """Cells that have a score."""
        return int(np.isfinite(self.p).sum())

    @property
    def fraction(self) -> float:
        """Called cells among all; NaN where calls were refused."""
        return math.nan if self.status.startswith("refused") else float(self.called.mean())

    @property
    def fraction_above_chance(self) -> float:
        """``(f - a) / (1 - a)`` of the cells judged, a the measured false-positive rate: never below 0.

        What is left of the fraction f when those are taken off who would be called anyhow.  A
        cell that responds and is missed is still missing in it.
        """
        if not self.false_positive_rates or not self.judged:
            return math.nan
        chance = max(rate.measured for rate in self.false_positive_rates)
        share = float(self.called.sum()) / self.judged
        return max(0.0, (share - chance) / (1 - chance)) if chance < 1 else math.nan

    def text(self) -> str:
        """The fraction with the false-positive rate beside it."""
        if self.status.startswith("refused"):
            return f"No cell of {self.cells} is called. {self.status[0].upper()}{self.status[1:]}"
        measured = " and ".join(rate.text() for rate in self.false_positive_rates)
        most = "at most " if self.null == "both" else ""
        missing = self.cells - self.judged
        unjudged = f" {missing} could not be judged and count as not responding." if missing else ""
        return (
            f"{int(self.called.sum())} of {self.cells} cells ({100 * self.fraction:.1f} %) respond; by chance {most}"
            f"{100 * self.level:g} % are expected ({self.level * self.judged:.0f} cells), measured {measured}. "
            f"{int(self.discovered.sum())} at a false discovery rate of {100 * self.level:g} %.{unjudged}"
        )


class _Layout(NamedTuple):
    """Frames of a stretch: of its baseline, between, of its window; the baseline's first; how long it lasts."""

    base: int
    gap: int
    window: int
    start: int
    lasts: float

    @property
    def frames(self) -> int:
        return self.base + self.gap + self.window


class _Scores(NamedTuple):
    """Scores and variances of the baselines' noise, shape (cells,) or (stretches, cells)."""

    score: Array
    variance: Array


class _NullScores(NamedTuple):
    """Scores of windows or dishes without a stimulus, one array each, and which of them share frames."""

    source: str
    parts: tuple[_Scores, ...]
    shares: NDArray[np.bool_]


def call_responders(
    recording: Recording, *, rule: Rule | None = None, vehicle: Sequence[Recording] = (), null: Null = "auto"
) -> ResponderCalls:
    """Cells whose response exceeds what sham windows, or cells given vehicle, show by chance.

    ``z = score / s``, s the noise of the baseline just before the window, drawn towards that of
    all cells as far as their variances are alike (moderated variance [1]_).  With n null scores,
    ``p = (1 + #{null z ≥ z}) / (n + 1)``; q after Benjamini and Hochberg [2]_, which holds for
    p-values that share one set of null scores [3]_.  Sham windows slide by a quarter of
    their length; the false-positive rate is measured on each with the threshold of those that
    share no frame of their windows with it, on vehicle with that of the other dishes.

    Parameters
    ----------
    recording : Recording
    rule : Rule, optional
    vehicle : sequence of Recording
        Dishes that were given vehicle, with the window of its addition, of the same lengths.
    null : {"auto", "sham", "vehicle", "both"}
        ``both`` takes the larger p-value. ``auto`` takes both where there are both: shams do not
        know what the addition itself does, vehicle does not know how this dish drifts.

    Returns
    -------
    ResponderCalls
        Refused, with a status that says so, where there is too little to judge by.

    Raises
    ------
    RangeError
        If the rule or the null is unknown, or a vehicle dish was sampled otherwise.

    References
    ----------
    .. [1] Smyth (2004), Stat Appl Genet Mol Biol 3:3, doi 10.2202/1544-6115.1027.
    .. [2] Benjamini & Hochberg (1995), J R Stat Soc B 57:289, doi 10.1111/j.2517-6161.1995.tb02031.x.
    .. [3] Bates et al. (2023), Ann Stat 51:149, doi 10.1214/22-AOS2244.

    Examples
    --------
    >>> noise = np.random.default_rng(1).normal(1.0, 0.02, (60, 300))
    >>> noise[:15, 240:] += 0.2
    >>> found = call_responders(Recording.of(noise, np.arange(300.0), response=Window(240, 270),
    ...     baseline=Window(200, 240)))
    >>> int(found.discovered[:15].sum()), int(found.discovered[15:].sum())
    (15, 0)
    """
    rule = rule or Rule()
    if null not in get_args(Null):
        raise RangeError(f'unknown null "{null}". {nearest(null, get_args(Null))}')
    layout = _layout(recording)
    own = _scores(recording, layout.start, layout, rule)
    nulls, notes = _nulls(recording, layout, rule, vehicle, null)
    notes += _remarks(layout, recording, rule, own)
    if not nulls or (null == "both" and len(nulls) < 2):
        return _refused(own, rule, notes)
    prior = _prior([own, *(part for one in nulls for part in one.parts)], layout.base - _fitted(rule))
    return _called(own, nulls, prior, rule, notes)


def benjamini_hochberg(p: ArrayLike) -> Array:
    """Smallest false discovery rate at which each p-value is still a discovery, same shape; NaN takes no part.

    ``q(i) = min over j ≥ i of p(j) m / j``, m p-values in rising order.

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, np.nan, 0.03]).round(3).tolist()
    [0.03, 0.04, nan, 0.04]
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values)
    m = int(np.isfinite(values).sum())
    q = np.full(values.shape, np.nan)
    scaled = values[order[:m]] * m / np.arange(1, m + 1)
    q[order[:m]] = np.minimum.accumulate(scaled[::-1])[::-1]
    return np.asarray(np.minimum(q, 1.0))


def _fitted(rule: Rule) -> int:
    """Numbers that are taken from a baseline."""
    return 2 if rule.drift == "line" else 1


def _layout(recording: Recording) -> _Layout:
    """Frames of the stretch around the stimulus."""
    base = np.flatnonzero(recording.baseline.inside(recording.time_s))
    window = np.flatnonzero(recording.response.inside(recording.time_s))
    lasts = float(recording.time_s[window[-1]] - recording.time_s[base[0]])
    return _Layout(base.size, int(window[0] - base[-1] - 1), window.size, int(base[0]), lasts)


def _scores(recording: Recording, start: int, layout: _Layout, rule: Rule) -> _Scores:
    """Score of each cell in the stretch that begins at a frame; NaN where too many reads are missing."""
    first = start + layout.base + layout.gap
    before, after = slice(start, start + layout.base), slice(first, first + layout.window)
    time_s = recording.time_s - recording.time_s[before].mean()
    level, slope, variance = _line(recording.signal[:, before], time_s[before], rule.drift)
    window, times = recording.signal[:, after], time_s[after]
    excess = window - level[:, None] - slope[:, None] * times
    if rule.score == "peak":
        value = windows.peak(excess, times, Window(-np.inf), reads=rule.reads).height
    else:
        value = (windows.area if rule.score == "area" else windows.plateau)(excess, times, Window(-np.inf))
    there = np.isfinite(window).mean(axis=1) >= ENOUGH
    return _Scores(np.where(there, value, np.nan), variance)


def _line(values: Array, time_s: Array, drift: Drift) -> tuple[Array, Array, Array]:
    """Level at time 0 and slope of each baseline, and the variance round it; NaN where too many reads are missing."""
    seen = np.isfinite(values)
    count = seen.sum(axis=1)
    enough = count >= max(LEAST_READS, ENOUGH * values.shape[1])
    n = np.maximum(count, 1)
    filled = np.where(seen, values, 0.0)
    mean, middle = filled.sum(axis=1) / n, (seen @ time_s) / n
    away = np.where(seen, values - mean[:, None], 0.0)
    ahead = np.where(seen, time_s - middle[:, None], 0.0)
    slope = np.zeros(n.size)
    if drift == "line":
        slope = (away * ahead).sum(axis=1) / np.maximum((ahead**2).sum(axis=1), np.finfo(float).tiny)
    residual = away - slope[:, None] * ahead
    variance = (residual**2).sum(axis=1) / np.maximum(count - (2 if drift == "line" else 1), 1)
    return np.where(enough, mean - slope * middle, np.nan), slope, np.where(enough, variance, np.nan)


def _nulls(
    recording: Recording, layout: _Layout, rule: Rule, vehicle: Sequence[Recording], null: Null
) -> tuple[list[_NullScores], list[str]]:
    """What cells are judged by, and what is to be said of it."""
    found, notes = [], []
    if null != "vehicle":
        shams, problem = _shams(recording, layout, rule)
        notes += [problem] if problem else []
        found += [shams] if shams else []
    if null != "sham" and vehicle:
        dishes, problem = _vehicles(layout, rule, vehicle)
        notes += [problem] if problem else []
        found += [dishes] if dishes else []
    elif null in ("vehicle", "both"):
        notes.append("No vehicle dish was given.")
    return found, notes


def _shams(recording: Recording, layout: _Layout, rule: Rule) -> tuple[_NullScores | None, str]:
    """Scores of sham windows, or why there are none."""
    quiet = recording.quiet or Window(-np.inf, recording.time_s[layout.start + layout.base - 1] + 1e-9)
    frames = np.flatnonzero(quiet.inside(recording.time_s))
    starts = _sham_starts(recording.time_s, frames, layout)
    apart = 1 + (int(starts[-1]) - int(starts[0])) // layout.window if starts.size else 0
    if apart < MIN_WINDOWS:
        step = float(np.median(np.diff(recording.time_s)))
        needed = (layout.base + layout.gap + MIN_WINDOWS * layout.window) * step
        return None, (
            f"The time before the stimulus ({frames.size * step:.0f} s) holds {apart} sham windows side by side, "
            f"{MIN_WINDOWS} are needed: {needed:.0f} s with this baseline and window. Record longer before the "
            "stimulus, or take a shorter window."
        )
    parts = tuple(_scores(recording, int(start), layout, rule) for start in starts)
    scores = recording.cells * apart
    if scores * rule.level < MIN_SCORES:
        return None, (
            f"{recording.cells} cells in {apart} sham windows side by side make {scores} scores, too few for a "
            f"threshold at {100 * rule.level:g} %: {math.ceil(MIN_SCORES / rule.level)} are needed."
        )
    shares = np.abs(starts[:, None] - starts[None, :]) < layout.window
    return _NullScores("sham windows", parts, shares), ""


def _sham_starts(time_s: Array, frames: NDArray[np.intp], layout: _Layout) -> NDArray[np.intp]:
    """First frames of stretches within the quiet time, as long in time as the true one."""
    last = frames.size - layout.frames
    if last < 0:
        return np.empty(0, dtype=np.intp)
    step = max(1, layout.window // 4, math.ceil((last + 1) / MOST_WINDOWS))
    starts = frames[0] + np.arange(last, -1, -step)[::-1]
    lasts = time_s[starts + layout.frames - 1] - time_s[starts]
    return np.asarray(starts[np.abs(lasts - layout.lasts) <= 0.1 * layout.lasts], dtype=np.intp)


def _vehicles(layout: _Layout, rule: Rule, vehicle: Sequence[Recording]) -> tuple[_NullScores | None, str]:
    """Scores of the cells of vehicle dishes, or why there are none."""
    parts = []
    for place, dish in enumerate(vehicle, 1):
        own = _layout(dish)
        close = abs(own.base - layout.base) <= 0.1 * layout.base and abs(own.window - layout.window) <= max(
            1, 0.1 * layout.window
        )
        if not close:
            raise RangeError(
                f"vehicle dish {place}: baseline and window must have as many frames as those of the recording, found "
                f"{own.base} and {own.window} for {layout.base} and {layout.window}. Give it windows of the same "
                "length; a dish with another frame interval cannot serve."
            )
        parts.append(_scores(dish, own.start, own, rule))
    scores = sum(dish.cells for dish in vehicle)
    if scores * rule.level < MIN_SCORES:
        return None, (
            f"The vehicle dishes hold {scores} cells, too few for a threshold at {100 * rule.level:g} %: "
            f"{math.ceil(MIN_SCORES / rule.level)} are needed."
        )
    return _NullScores("vehicle cells", tuple(parts), np.eye(len(parts), dtype=bool)), ""


def _prior(scored: Sequence[_Scores], freedom: int) -> tuple[float, float, float]:
    """Variance that those of all cells are drawn to, with how many degrees of freedom, and their own.

    From the mean and the spread of the logarithms of the variances (Smyth 2004, section 6.2).
    """
    from scipy import special

    pooled = np.concatenate([one.variance for one in scored])
    logs = np.log(pooled[np.isfinite(pooled) & (pooled > 0)])
    half = freedom / 2
    if logs.size < 2:
        return math.nan, 0.0, float(freedom)
    shifted = logs - special.digamma(half) + math.log(half)
    excess = float(shifted.var(ddof=1) - special.polygamma(1, half))
    if excess <= 0:
        return math.exp(float(shifted.mean())), math.inf, float(freedom)
    prior = 2 * _inverse_trigamma(excess)
    return math.exp(float(shifted.mean() + special.digamma(prior / 2) - math.log(prior / 2))), prior, float(freedom)


def _inverse_trigamma(value: float) -> float:
    """The x at which the trigamma function has a value, by Newton steps on its reciprocal."""
    from scipy import special

    x = 0.5 + 1.0 / value
    for _ in range(50):
        here = float(special.polygamma(1, x))
        step = here * (1 - here / value) / float(special.polygamma(2, x))
        x += step
        if abs(step) < 1e-10 * x:
            break
    return x


def _scale(variance: Array, prior: tuple[float, float, float]) -> Array:
    """Noise of each cell, drawn towards that of all."""
    centre, weight, freedom = prior
    if math.isinf(weight):
        moderated = np.where(np.isfinite(variance), centre, np.nan)
    else:
        moderated = (weight * np.nan_to_num(centre) + freedom * variance) / (weight + freedom)
    return np.sqrt(np.where(moderated > 0, moderated, np.nan))


def _called(
    own: _Scores, nulls: Sequence[_NullScores], prior: tuple[float, float, float], rule: Rule, notes: list[str]
) -> ResponderCalls:
    scale = _scale(own.variance, prior)
    z = own.score / scale
    p, cut, rates = np.zeros(z.size), -math.inf, []
    for one in nulls:
        parts = [part.score / _scale(part.variance, prior) for part in one.parts]
        pool = _finite(parts)
        p = np.maximum(p, _p_values(z, pool))
        cut = max(cut, _cut(pool, rule.level))
        rates.append(_held_out(one, parts, rule.level))
        notes += [remark] if (remark := _trend_remark(one, parts)) else []
    notes += [remark for rate in rates if (remark := _rate_remark(rate))]
    p = np.where(np.isfinite(z), p, np.nan)
    q = benjamini_hochberg(p)
    names = {"sham windows": "sham", "vehicle cells": "vehicle"}
    return ResponderCalls(
        np.asarray(p <= rule.level), np.asarray(q <= rule.level), p, q, own.score, cut * scale, rule.level,
        tuple(rates), "both" if len(nulls) > 1 else names[nulls[0].source], "ok", tuple(notes),
    )  # fmt: skip


def _finite(parts: Sequence[Array]) -> Array:
    """All finite scores, rising."""
    pool = np.concatenate(parts) if parts else np.empty(0)
    return np.sort(pool[np.isfinite(pool)])


def _p_values(z: Array, pool: Array) -> Array:
    """Share of null scores at least as large, the score itself counted among them."""
    return np.asarray((1.0 + pool.size - np.searchsorted(pool, z, side="left")) / (pool.size + 1.0))


def _cut(pool: Array, level: float) -> float:
    """Score that must be exceeded for p ≤ level."""
    allowed = math.floor(level * (pool.size + 1) + 1e-9) - 1
    return float(pool[pool.size - 1 - allowed]) if allowed >= 0 else math.inf


def _held_out(null: _NullScores, parts: Sequence[Array], level: float) -> FalsePositiveRate:
    """Rate of calls in each window or dish by the threshold of the others; of one dish, of each half by the other."""
    if len(parts) == 1:
        parts = [parts[0][::2], parts[0][1::2]]
        shares = np.eye(2, dtype=bool)
    else:
        shares = null.shares
    share, weight = [], []
    for place, part in enumerate(parts):
        others = [other for k, other in enumerate(parts) if not shares[place, k]]
        pool, tested = _finite(others), part[np.isfinite(part)]
        if tested.size and pool.size * level >= 1:
            share.append(float((tested > _cut(pool, level)).mean()))
            weight.append(tested.size)
    if not share:
        return FalsePositiveRate(null.source, level, math.nan, math.nan, math.nan, 0, 0)
    mean = float(np.average(share, weights=weight))
    halves = len(null.parts) == 1
    return FalsePositiveRate(
        null.source, level, mean, min(share), max(share), 1 if halves else len(share), int(sum(weight))
    )


def _rate_remark(rate: FalsePositiveRate) -> str:
    """What is to be said of windows or dishes that differ by more than the cells in each explain."""
    if not rate.parts > 1:
        if rate.source == "vehicle cells":
            return "One vehicle dish: its held-out rate does not show how much dishes differ."
        return ""
    cells = rate.scores / rate.parts
    by_chance = rate.expected + 4 * math.sqrt(rate.expected * (1 - rate.expected) / cells)
    if rate.high <= by_chance:
        return ""
    kind = "sham windows" if rate.source == "sham windows" else "vehicle dishes"
    return (
        f"The {kind} differ by more than their cells explain ({100 * rate.low:.1f}–{100 * rate.high:.1f} % called): "
        "something moves all cells at once (lamp, focus, flow). The rate holds only over many such stretches."
    )


def _trend_remark(null: _NullScores, parts: Sequence[Array]) -> str:
    """What is to be said of sham scores that move along the time before the stimulus: then they still move at it."""
    third = len(parts) // 3
    if null.source != "sham windows" or third < 1:
        return ""
    early, late = (_finite(part) for part in (parts[:third], parts[-third:]))
    middle = float(np.median(_finite(parts)))
    moved = float((late > middle).mean() - (early > middle).mean()) if early.size and late.size else 0.0
    alone = max(parts[0].size, 1) * max(1.0, third / 4)
    if abs(moved) <= max(0.1, 3 / math.sqrt(2 * alone)):
        return ""
    word, more = ("rise", "more") if moved > 0 else ("fall", "fewer")
    return (
        f"Sham scores {word} along the time before the stimulus: the drift bends, and {more} cells than said are "
        'called by chance. Correct the bleaching, or take drift="line" and a shorter window.'
    )


def _remarks(layout: _Layout, recording: Recording, rule: Rule, own: _Scores) -> list[str]:
    notes = []
    if rule.drift == "line" and layout.window > 2 * layout.base:
        notes.append(
            f"The line through {layout.base} frames is carried on over {layout.window}: thresholds are high. "
            'Take a longer baseline, or drift="level" where cells do not drift.'
        )
    missing = int((~np.isfinite(own.score)).sum())
    if missing:
        notes.append(
            f"{missing} of {recording.cells} cells lack more than {100 * (1 - ENOUGH):.0f} % of the reads of the "
            "baseline or the window; they stay in the denominator."
        )
    return notes


def _refused(own: _Scores, rule: Rule, notes: Sequence[str]) -> ResponderCalls:
    """No calls: nothing to judge cells by."""
    nothing = np.full(own.score.size, np.nan)
    none = np.zeros(own.score.size, dtype=bool)
    why = " ".join(notes) or "There are no sham windows."
    return ResponderCalls(
        none, none, nothing, nothing, own.score, nothing, rule.level, null="",
        status=f"refused: no false-positive rate can be known. {why} Vehicle dishes recorded alike would do.",
    )  # fmt: skip
