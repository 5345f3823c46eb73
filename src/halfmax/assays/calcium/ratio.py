"""Ratios, relative changes, and the two checks that a change of light is one of calcium.

A cell's ratio is the ratio of its mean lights, never the mean of the ratios of its pixels:
that is too high by the relative variance of a pixel's denominator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.assays.calcium.traces import Traces
from halfmax.assays.calcium.windows import Window
from halfmax.errors import RangeError

__all__ = [
    "Alpha", "Artefact", "CellRatio", "RelativeChange", "SumShift", "compound_artefact", "estimate_alpha", "ratio",
    "relative_change", "saturation", "sum_shift",
]  # fmt: skip

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: A channel less than so many of its own SDs above the background is too dark to divide by.
DARK = 3.0
#: A step of this many standard errors in both channels, the same way, is no calcium.
STEP = 3.0


@dataclass(frozen=True, eq=False)
class CellRatio:
    """Ratio of two channels of each cell.

    Parameters
    ----------
    value : array, shape (cells, frames)
        NaN where the lower channel is too dark to divide by.
    variance : array, shape (cells, frames)
        Of `value`, from the variances of both channels. What all cells share (rates of
        bleaching, calibration) is no part of it.
    time_s : array, shape (frames,), s
        Middle of the two exposures.
    saturated, dark : array of bool, shape (cells, frames)
        Frames with a saturated pixel in either channel, which have a value; and those that
        have none for want of light.
    channels : (str, str)
        Over, under.
    """

    value: Array
    variance: Array
    time_s: Array
    saturated: Mask
    dark: Mask
    channels: tuple[str, str]

    @property
    def log_variance(self) -> Array:
        """Variance of the natural logarithm, shape (cells, frames); NaN where the ratio is not above 0."""
        return np.where(self.value > 0, self.variance / self.value**2, np.nan)


def ratio(traces: Traces, over: int | str = 0, under: int | str = 1) -> CellRatio:
    """Ratio of the mean lights of each cell, with its variance::

        R = A / B;   var(ln R) = var(A) / A**2 + var(B) / B**2

    The variances of the traces hold the error of the background, and so does this.  By the
    delta method the ratio is too high by var(B)/B², which is its relative variance at most:
    below 1 % wherever the ratio is known to 10 %.

    Parameters
    ----------
    traces : Traces
        Background taken off, bleaching made good.
    over, under : int or str
        Channels, by place or name. For Fura-2: excited at 340 and 380 nm.

    Raises
    ------
    RangeError
        If there is no such channel.
    """
    first, second = _channel(traces, over), _channel(traces, under)
    a, b = traces.signal[first], traces.signal[second]
    var_a, var_b = traces.variance[first], traces.variance[second]
    seen = np.isfinite(a) & np.isfinite(b)
    dark = seen & ~(b > DARK * np.sqrt(var_b))
    below = np.where(seen & ~dark, b, np.nan)
    value = a / below
    variance = (var_a + value**2 * var_b) / below**2
    full = (traces.saturated[first] > 0) | (traces.saturated[second] > 0)
    time = (traces.time_s[:, first] + traces.time_s[:, second]) / 2
    return CellRatio(value, variance, time, full, dark, (traces.channels[first], traces.channels[second]))


def _channel(traces: Traces, which: int | str) -> int:
    if isinstance(which, str):
        if which in traces.channels:
            return traces.channels.index(which)
    elif -len(traces.signal) <= which < len(traces.signal):
        return which % len(traces.signal)
    raise RangeError(f"there is no channel {which!r}; found {', '.join(traces.channels)}. Name one of them.")


@dataclass(frozen=True, eq=False)
class RelativeChange:
    """Change of a trace relative to its baseline, (F − F0)/F0.

    Parameters
    ----------
    value, variance : array, shape (cells, frames)
        `variance` has both the frame's noise and the error of F0.
    base, base_variance : array, shape (cells,)
        F0 and its variance. Its error is common to all frames of the cell.
    """

    value: Array
    variance: Array
    base: Array
    base_variance: Array


def relative_change(signal: ArrayLike, variance: ArrayLike, time_s: ArrayLike, before: Window) -> RelativeChange:
    """ΔF/F0 or ΔR/R0, F0 from the window before the stimulus, with its error::

        y = F / F0 − 1;   var(y) = (var(F) + (F/F0)**2 var(F0) − 2 (F/F0) cov(F, F0)) / F0**2

    ``var(F0)`` is the larger of what the variances and what the scatter in the window say,
    so that cells that are restless before the stimulus get the error they deserve.  Only
    frames of the window share noise with F0 (``cov``).  Where F0 is not `DARK` standard
    errors above 0 the change is missing.

    Parameters
    ----------
    signal, variance : array, shape (cells, frames)
    time_s : array, shape (frames,), s
    before : Window

    Raises
    ------
    RangeError
        If no frame lies in the window.

    Examples
    --------
    >>> trace = np.array([[9.0, 11.0, 10.0, 15.0]])
    >>> change = relative_change(trace, np.full((1, 4), 0.75), np.arange(4.0), Window(0, 3))
    >>> change.value.round(2).tolist(), change.base.tolist()
    ([[-0.1, 0.1, 0.0, 0.5]], [10.0])
    """
    light, noise = np.atleast_2d(np.asarray(signal, float)), np.atleast_2d(np.asarray(variance, float))
    inside = before.inside(np.asarray(time_s, dtype=float))
    if not inside.any():
        raise RangeError(
            f"no frame lies between {np.min(before.start):g} and {np.max(before.end):g} s, so there is no F0. "
            "Choose a window before the stimulus."
        )
    base, base_variance, count = _level(light, noise, np.broadcast_to(inside, light.shape))
    base = np.where(base > DARK * np.sqrt(base_variance), base, np.nan)
    f0 = base[:, None]
    relative = light / f0
    shared = np.where(inside, noise / count[:, None], 0.0)
    total = noise + relative**2 * base_variance[:, None] - 2 * relative * shared
    return RelativeChange(relative - 1, np.maximum(total, 0.0) / f0**2, base, base_variance)


def _level(light: Array, noise: Array, inside: Mask) -> tuple[Array, Array, Array]:
    """Mean over the frames inside, its variance (propagated, or by scatter if that is larger), and how many there were.

    The last axis is time.
    """
    seen = inside & np.isfinite(light) & np.isfinite(noise)
    count = np.where(seen.any(axis=-1), seen.sum(axis=-1), np.nan)
    mean = np.where(seen, light, 0.0).sum(axis=-1) / count
    propagated = np.where(seen, noise, 0.0).sum(axis=-1) / count**2
    squares = np.where(seen, (light - mean[..., None]) ** 2, 0.0).sum(axis=-1)
    scatter = np.where(count > 2, squares / np.maximum(count - 1, 1) / count, 0.0)
    return mean, np.maximum(propagated, scatter), count


class _Step(NamedTuple):
    """Means of two channels after and before, and their variances; each of shape (2, cells)."""

    before: Array
    after: Array
    before_variance: Array
    after_variance: Array

    @property
    def change(self) -> Array:
        return self.after - self.before

    @property
    def variance(self) -> Array:
        return self.before_variance + self.after_variance


def _step(traces: Traces, pair: tuple[int | str, int | str], before: Window, after: Window) -> _Step:
    found = []
    for window, name in ((before, "before"), (after, "after")):
        levels = [_window_level(traces, _channel(traces, which), window, name) for which in pair]
        found.append([np.stack(part) for part in zip(*levels, strict=True)])
    (low, low_variance), (high, high_variance) = found
    return _Step(low, high, low_variance, high_variance)


def _window_level(traces: Traces, channel: int, window: Window, name: str) -> tuple[Array, Array]:
    inside = window.inside(traces.time_s[:, channel])
    if not inside.any():
        raise RangeError(
            f"no frame of channel {traces.channels[channel]} lies in the window {name} the stimulus "
            f"({np.min(window.start):g} to {np.max(window.end):g} s). Choose one within the recording."
        )
    light = traces.signal[channel]
    return _level(light, traces.variance[channel], np.broadcast_to(inside, light.shape))[:2]


@dataclass(frozen=True)
class Alpha:
    """The factor α that makes F340 + αF380 blind to calcium, its standard error, and the number of cells it is from."""

    value: float
    se: float
    cells: int


def estimate_alpha(
    traces: Traces,
    before: Window,
    after: Window,
    *,
    over: int | str = 0,
    under: int | str = 1,
    responders: Mask | None = None,
) -> Alpha:
    """α for which F340 + αF380 stays the same across a response.

    Calcium moves a cell's two lights along a line, ``ΔF340 = −α ΔF380``.  α minimises
    ``Σ (ΔF340 + α ΔF380)² / (var ΔF340 + α² var ΔF380)`` over the cells: both lights have
    errors.  Standard error: sandwich, cells are the sample.

    Whatever else changes the light of these cells at the same moment goes into α.  For
    `sum_shift`, take α from another response: ionomycin, a reference agonist, a calibration.

    Parameters
    ----------
    traces : Traces
        Bleaching made good.
    before, after : Window, s
        On both sides of the start of the response.
    responders : array of bool, shape (cells,), optional
        Default: cells in which both lights move by three standard errors, in opposite directions.

    Raises
    ------
    RangeError
        If fewer than three cells respond.
    """
    step = _step(traces, (over, under), before, after)
    good = (np.isfinite(step.change) & np.isfinite(step.variance) & (step.variance > 0)).all(axis=0)
    if responders is None:
        sure = (np.abs(step.change) > STEP * np.sqrt(step.variance)).all(axis=0)
        responders = sure & (step.change[0] * step.change[1] < 0)
    good &= np.asarray(responders, dtype=bool)
    if good.sum() < 3:
        raise RangeError(
            f"{int(good.sum())} cells in which the two lights move in opposite directions, at least 3 are needed for "
            "the factor alpha. Take another response (ionomycin), or the factor of a calibration."
        )
    return _flat_sum(step.change[:, good], step.variance[:, good])


def _flat_sum(change: Array, variance: Array) -> Alpha:
    """α by least squares with errors in both lights, and its sandwich error."""
    from scipy import optimize

    def score(alpha: float) -> Array:
        off, spread = change[0] + alpha * change[1], variance[0] + alpha**2 * variance[1]
        return np.asarray(off * change[1] / spread - off**2 * alpha * variance[1] / spread**2)

    def cost(log_alpha: float) -> float:
        alpha = math.exp(log_alpha)
        return float(((change[0] + alpha * change[1]) ** 2 / (variance[0] + alpha**2 * variance[1])).sum())

    guess = math.log(max(float(np.median(-change[0] / change[1])), 1e-6))
    found = optimize.minimize_scalar(cost, bounds=(guess - 3, guess + 3), method="bounded", options={"xatol": 1e-10})
    alpha, count = math.exp(float(found.x)), change.shape[1]
    small = 1e-4 * alpha
    slope = float((score(alpha + small) - score(alpha - small)).sum()) / (2 * small)
    squares = float((score(alpha) ** 2).sum()) * count / (count - 1)
    return Alpha(alpha, math.sqrt(squares) / abs(slope), count)


@dataclass(frozen=True, eq=False)
class SumShift:
    """By how much F340 + αF380 moves at a stimulus, relative to before.

    Parameters
    ----------
    shift, se : array, shape (cells,)
        `se` has the cell's noise and the error of α times the change of F380: what calcium
        can explain is in it.
    moved : array of bool, shape (cells,)
        Cells that moved by more than three standard errors.
    dish, dish_se : float
        Mean over cells; cells are the sample, and the error of α does not shrink with them.
    """

    shift: Array
    se: Array
    moved: Mask
    dish: float
    dish_se: float

    @property
    def dish_moved(self) -> bool:
        """Whether the dish as a whole moved by more than three standard errors."""
        return abs(self.dish) > STEP * self.dish_se

    def text(self) -> str:
        """The finding in a sentence."""
        verdict = "more than calcium can explain" if self.dish_moved else "no more than calcium and noise explain"
        return (
            f"The calcium-free sum of the two lights moves by {100 * self.dish:+.1f} ± {196 * self.dish_se:.1f} % at "
            f"the stimulus, {verdict}; {int(self.moved.sum())} of {int(np.isfinite(self.shift).sum())} cells move for "
            "themselves."
        )


def sum_shift(
    traces: Traces, alpha: Alpha, before: Window, after: Window, *, over: int | str = 0, under: int | str = 1
) -> SumShift:
    """Whether the calcium-free sum F340 + αF380 moves at a stimulus: dye lost, cells moved, light of a compound.

    Parameters
    ----------
    traces : Traces
        Bleaching made good.
    alpha : Alpha
        From another response (`estimate_alpha`) or a calibration; from the same one, only
        cells that do not respond are tested freely.
    before, after : Window, s
    """
    step = _step(traces, (over, under), before, after)
    a = alpha.value
    base = step.before[0] + a * step.before[1]
    base_variance = step.before_variance[0] + a**2 * step.before_variance[1]
    base = np.where(base > DARK * np.sqrt(base_variance), base, np.nan)
    shift = (step.change[0] + a * step.change[1]) / base
    grown = 1 + shift
    noise = (step.after_variance[0] + a**2 * step.after_variance[1] + grown**2 * base_variance) / base**2
    by_alpha = (step.change[1] - shift * step.before[1]) / base
    se = np.sqrt(noise + (alpha.se * by_alpha) ** 2)
    seen = np.isfinite(shift)
    count = int(seen.sum())
    mean = float(shift[seen].mean()) if count else math.nan
    spread = float(shift[seen].std(ddof=1)) if count > 1 else math.nan
    shared = alpha.se * float(by_alpha[seen].mean()) if count else math.nan
    dish_se = math.hypot(spread / math.sqrt(max(count, 1)), shared)
    return SumShift(shift, se, np.abs(shift) > STEP * se, mean, dish_se)


@dataclass(frozen=True, eq=False)
class Artefact:
    """Steps of both channels the same way at an addition: light of the compound, not of calcium.

    Parameters
    ----------
    step, step_se : array, shape (2, cells)
        Relative to before the addition.
    size : array, shape (cells,)
        Smaller of the two steps with its sign, for flagged cells; else 0. A lower bound:
        calcium takes from one channel what it gives to the other.
    flagged : array of bool, shape (cells,)
    dish_step, dish_se : array, shape (2,)
        Median over cells, and its error: between cells, and what the lamp does to all alike.
    dish_size : float
        As `size`, of the dish.
    dish_flagged : bool
    """

    step: Array
    step_se: Array
    size: Array
    flagged: Mask
    dish_step: Array
    dish_se: Array
    dish_size: float
    dish_flagged: bool

    def text(self) -> str:
        """The finding in a sentence."""
        one, two = 100 * self.dish_step
        found = f"At the addition the two lights step by {one:+.1f} and {two:+.1f} % (median of the cells)"
        cells = f"{int(self.flagged.sum())} of {self.flagged.size} cells are flagged"
        if self.dish_flagged:
            return f"{found}, the same way: light of the compound, of at least {100 * self.dish_size:+.1f} %; {cells}."
        return f"{found}: no artefact of the compound in the dish; {cells}."


def compound_artefact(
    traces: Traces,
    addition_s: float,
    width_s: float,
    *,
    settle_s: float = 0.0,
    over: int | str = 0,
    under: int | str = 1,
) -> Artefact:
    """Look for a step of both channels the same way at an addition.

    Calcium moves the lights of a ratiometric dye in opposite directions; a coloured or
    fluorescent compound, a bubble, a change of volume or focus moves them together.  The
    step is the mean of the window after less that of the window before, relative to it.
    The same steps taken side by side before the addition say what noise and lamp do: they
    raise the cells' errors where those are too small, and give the dish's own.  Flagged is
    what steps by three standard errors in both channels with the same sign.

    Parameters
    ----------
    traces : Traces
        Bleaching made good.
    addition_s : float, s
    width_s : float, s
        Of the windows: long enough for a few frames, short against the response's rise.
    settle_s : float, s
        How long after the addition the window begins.

    Raises
    ------
    RangeError
        If a window holds no frame.
    """
    pair = (over, under)

    def steps(at: float, gap: float) -> tuple[Array, Array]:
        found = _step(traces, pair, Window(at - width_s, at), Window(at + gap, at + gap + width_s))
        base = np.where(found.before > DARK * np.sqrt(found.before_variance), found.before, np.nan)
        relative = found.after / base
        return relative - 1, np.sqrt(found.after_variance + relative**2 * found.before_variance) / np.abs(base)

    step, step_se = steps(addition_s, settle_s)
    times = traces.time_s[:, [_channel(traces, which) for which in pair]]
    shams = _shams(times, addition_s, width_s, settle_s)
    sham = [steps(at, settle_s) for at in shams]
    cell_factor, dish_variance = _sham_noise(sham)
    step_se = step_se * cell_factor[:, None]
    dish = _row_median(step)
    spread = 1.4826 * _row_median(np.abs(step - dish[:, None]))
    count = np.maximum(np.isfinite(step).sum(axis=1), 1)
    dish_se = np.sqrt(1.571 * spread**2 / count + dish_variance)
    size, flagged = _same_way(step, step_se)
    dish_size, dish_flagged = _same_way(dish[:, None], dish_se[:, None])
    return Artefact(step, step_se, size, flagged, dish, dish_se, float(dish_size[0]), bool(dish_flagged[0]))


def _shams(times: Array, addition_s: float, width_s: float, settle_s: float) -> list[float]:
    """Times before the addition at which nothing was added, with room for both windows, side by side."""
    last, first = addition_s - settle_s - width_s, float(times[0].max()) + width_s
    every = 2 * width_s + settle_s
    return [last - k * every for k in range(max(0, math.floor((last - first) / every) + 1))]


def _sham_noise(sham: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """By how much sham steps exceed the cells' errors (at least 1), and the variance of the dish's sham steps."""
    if not sham:
        return np.ones(2), np.zeros(2)
    size = np.stack([np.abs(step) / se for step, se in sham], axis=1).reshape(2, -1)
    factor = np.maximum(1.0, _row_median(size) / 0.6745)
    dish = np.stack([_row_median(step) for step, _ in sham])
    return factor, (dish**2).mean(axis=0)


def _row_median(values: Array) -> Array:
    result = np.full(len(values), np.nan)
    some = np.isfinite(values).any(axis=1)
    result[some] = np.nanmedian(values[some], axis=1)
    return result


def _same_way(step: Array, se: Array) -> tuple[Array, Mask]:
    """Smaller step where both are sure and have the same sign, else 0; and where that is."""
    flagged = (np.abs(step) > STEP * se).all(axis=0) & (step[0] * step[1] > 0)
    smaller = np.where(np.abs(step[0]) < np.abs(step[1]), step[0], step[1])
    return np.where(flagged, smaller, 0.0), flagged


def saturation(traces: Traces) -> tuple[Mask, tuple[str, ...]]:
    """Cells and frames with a saturated pixel in any channel, shape (cells, frames), and the cells' flags with it.

    A saturated pixel writes less than its light, so the ratio is wrong, and nothing tells by how much.
    """
    full: Mask = np.asarray((traces.saturated > 0).any(axis=0))
    old = traces.flags or ("",) * traces.cells
    some: Mask = np.asarray(full.any(axis=1))
    new = tuple(
        "; ".join(part for part in (flag, "saturated" if is_full and "saturated" not in flag else "") if part)
        for flag, is_full in zip(old, some, strict=True)
    )
    return full, new
