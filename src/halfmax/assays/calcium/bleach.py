"""Bleaching: one rate a channel, from the cells that do not respond, without being told which they are.

The correction is log-linear in time and the same for all cells.  A rolling percentile is not
offered: it takes the plateau that a drug causes for drift, and deletes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.assays.calcium.traces import Traces
from halfmax.assays.calcium.windows import Window
from halfmax.errors import RangeError

__all__ = ["BleachRates", "bleach_rates", "corrected"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Steps and bends smaller than this (natural logarithm) are no response, however sure they are.
TOLERANCE = 0.003
#: Chance that a cell without response is left out for its step, and for its bends.
LEVEL = 0.02
#: Pieces that a trace is cut into to see whether it bends.
PIECES = 12
#: Quiet cells below which the slopes of the baselines are taken instead: a number, and a share of all.
FEWEST_CELLS, FEWEST_SHARE = 8, 0.05
#: Rates so many robust SDs from the median take no part.
OUTLIER = 4.0
#: What the used cells may share beyond a straight line without a note, rms.
BEND = 0.01
_FEWEST_FRAMES = 5
#: Half of the squares of a standard normal lie below.
_MEDIAN_SQUARE = 0.45494


@dataclass(frozen=True, eq=False)
class BleachRates:
    """Rate of loss of light of each channel: light is in proportion to ``exp(-rate * (time - start_s))``.

    Parameters
    ----------
    rate : array, shape (channels,), 1/s
        Below 0 where the light grows.
    covariance : array, shape (channels, channels), 1/s²
        Of the rates; cells are the sample.
    freedom : int
        Degrees of freedom of the errors.
    cells : array of bool, shape (cells,)
        The cells that were used.
    method : {"quiet cells", "baseline", "named cells"}
        What the rates come from: whole traces of cells that do not respond, found or named, or
        the time before the stimulus in all cells.
    start_s : float, s
        Time at which nothing is corrected.
    bend : array, shape (channels,)
        Root mean square of what the used cells share beyond the straight line, natural logarithm:
        a lamp that drifts, or bleaching that is not log-linear.
    notes : tuple of str
    """

    rate: Array
    covariance: Array
    freedom: int
    cells: Mask
    method: Literal["quiet cells", "baseline", "named cells"]
    start_s: float
    bend: Array
    notes: tuple[str, ...] = ()

    @property
    def se(self) -> Array:
        """Standard errors of the rates, shape (channels,), 1/s."""
        return np.sqrt(np.diag(self.covariance))

    def interval(self, level: float = 0.95) -> tuple[Array, Array]:
        """Lower and upper ends of the rates, each of shape (channels,), 1/s."""
        half = self._quantile(level) * self.se
        return self.rate - half, self.rate + half

    def ratio_error(self, time_s: ArrayLike) -> Array:
        """Standard error of the natural logarithm of a corrected ratio of the first two channels.

        Common to all cells: it does not shrink with their number.
        """
        variance = self.covariance[0, 0] + self.covariance[1, 1] - 2 * self.covariance[0, 1]
        return np.asarray(np.sqrt(variance) * np.abs(np.asarray(time_s, dtype=float) - self.start_s))

    def _quantile(self, level: float) -> float:
        from scipy import special

        return float(special.stdtrit(max(self.freedom, 1), 0.5 + level / 2))

    def text(self) -> str:
        """What was done, in a sentence."""
        half = self._quantile(0.95) * self.se
        rates = ", ".join(f"{6e3 * k:.2f} ± {6e3 * h:.2f} %/min" for k, h in zip(self.rate, half, strict=True))
        count = f"{int(self.cells.sum())} of {self.cells.size} cells"
        what = {
            "quiet cells": f"the whole traces of the {count} that show no response",
            "named cells": f"the whole traces of the {count} that were named",
            "baseline": f"the time before the stimulus in {count}, carried on to the end",
        }
        return f"Bleaching by channel: {rates} (95 %), from {what[self.method]}; corrected log-linearly in time."


class _Logs(NamedTuple):
    """Natural logarithms of the light, NaN where there is none, and times from the start."""

    value: Array  # channels, cells, frames
    time_s: Array  # channels, frames


def bleach_rates(
    traces: Traces, baseline: Window, *, cells: Mask | None = None, tolerance: float = TOLERANCE
) -> BleachRates:
    """Rate of bleaching of each channel, without truth about who responds.

    1. A straight line is laid through the logarithm of each cell's ratio (of its light, where
       there is one channel only) over the whole recording. What is left is asked for a step at
       the end of the baseline and for bends. Cells that show either are left out. In normal
       noise, what is left says nothing about the slope, so the choice does not bend the rate.
       Noise is that of neighbouring frames, raised by its autocorrelation in the baselines.
    2. Each cell that is left gives a slope in each channel; the rate is their mean by random
       effects. Cells are the sample of its error; what the lamp does to all of them alike does
       not average out over cells, and is added.
    3. Where fewer than eight cells, or 5 % of them, are left (all respond), the slopes of all
       baselines are taken instead. Their error is larger, for it is carried on to the end of
       the recording.

    Parameters
    ----------
    traces : Traces
        Background taken off.
    baseline : Window, s
        Before the first stimulus.
    cells : array of bool, shape (cells,), optional
        Cells known not to respond (vehicle): then nothing is chosen.
    tolerance : float
        Steps and bends below this (natural logarithm) do not count as response.

    Raises
    ------
    RangeError
        If the baseline has fewer than five frames, or no cell has light.

    Notes
    -----
    A response that grows in proportion to time from the very start looks like bleaching, and
    cannot be told from it.

    References
    ----------
    .. [1] DerSimonian & Laird (1986), Control Clin Trials 7:177, doi:10.1016/0197-2456(86)90046-2 (random effects).
    """
    logs, start = _logs(traces)
    before = np.stack([baseline.inside(time + start) for time in logs.time_s])
    frames = int(before.all(axis=0).sum())
    if frames < _FEWEST_FRAMES:
        raise RangeError(
            f"{frames} frames lie in the baseline ({_span(baseline)}), bleaching needs at least "
            f"{_FEWEST_FRAMES}. Choose a longer window before the stimulus, or name the cells that do not respond."
        )
    lit = (np.isfinite(logs.value).sum(axis=2) >= traces.frames / 2).all(axis=0)
    if not lit.any():
        raise RangeError("no cell has light in all channels in half of the frames. Look at the background.")
    if cells is not None:
        return _from_cells(logs, lit & np.asarray(cells, dtype=bool), "named cells", start)
    quiet = lit & _quiet(logs, before, tolerance)
    if quiet.sum() >= max(FEWEST_CELLS, FEWEST_SHARE * lit.sum()):
        return _from_cells(logs, quiet, "quiet cells", start)
    return _from_baselines(logs, before, lit, int(quiet.sum()), start)


def corrected(traces: Traces, rates: BleachRates) -> Traces:
    """Traces with the loss of light made good: signal times ``exp(rate * (time - start))``, variance times its square.

    The error of the rates is common to all cells and is no part of the variance:
    `BleachRates.ratio_error` gives it.

    Raises
    ------
    RangeError
        If the rates are of another number of channels.
    """
    if rates.rate.size != len(traces.signal):
        raise RangeError(
            f"{rates.rate.size} rates of bleaching for {len(traces.signal)} channels. Measure them on these traces."
        )
    gain = np.exp(rates.rate * (traces.time_s - rates.start_s)).T[:, None, :]
    return replace(
        traces,
        signal=traces.signal * gain,
        variance=traces.variance * gain**2,
        notes=(*traces.notes, rates.text(), *rates.notes),
    )


def _span(window: Window) -> str:
    return f"{float(np.min(window.start)):g} to {float(np.max(window.end)):g} s"


def _logs(traces: Traces) -> tuple[_Logs, float]:
    """Logarithms, raised by half the relative variance that noise takes off their mean; saturated reads are missing."""
    light = np.where((traces.signal > 0) & (traces.saturated == 0), traces.signal, np.nan)
    start = float(np.nanmin(traces.time_s))
    relative = np.where(np.isfinite(traces.variance), traces.variance, 0.0) / light**2
    return _Logs(np.log(light) + relative / 2, traces.time_s.T - start), start


class _Lines(NamedTuple):
    """Straight lines through rows, and what is left; `spread` is the sum of squares of the times."""

    slope: Array
    spread: Array
    rest: Array


def _lines(value: Array, time: Array) -> _Lines:
    """Least-squares lines through each row's finite reads, all rows at once; NaN with fewer than three."""
    seen = np.isfinite(value)
    count = np.where(seen.sum(axis=1) > 2, seen.sum(axis=1), np.nan)[:, None]
    centre = np.where(seen, time, 0.0).sum(axis=1, keepdims=True) / count
    level = np.where(seen, value, 0.0).sum(axis=1, keepdims=True) / count
    off = np.where(seen, time - centre, 0.0)
    spread = (off**2).sum(axis=1)
    spread = np.where(spread > 0, spread, np.nan)
    slope = np.where(seen, off * (np.where(seen, value, 0.0) - level), 0.0).sum(axis=1) / spread
    return _Lines(slope, spread, value - level - slope[:, None] * (time - centre))


def _noise(value: Array) -> Array:
    """Variance of a single read of each row, from the median size of the steps between neighbours, shape (rows,)."""
    return np.asarray(_row_median(np.diff(value, axis=1) ** 2) / (2 * _MEDIAN_SQUARE))


def _row_median(values: Array) -> Array:
    result = np.full(len(values), np.nan)
    some = np.isfinite(values).any(axis=1)
    result[some] = np.nanmedian(values[some], axis=1)
    return result


def _inflation(value: Array, noise: Array) -> float:
    """By how much autocorrelation raises the variance of means of several reads, from all baselines; at least 1."""
    length = max(3, value.shape[1] // 6)
    pieces = value.shape[1] // length
    if pieces < 3:
        return 1.0
    means = value[:, : pieces * length].reshape(len(value), pieces, length).mean(axis=2)
    bends = np.diff(means, 2, axis=1) ** 2 / 6 * length / np.where(noise > 0, noise, np.nan)[:, None]
    bends = bends[np.isfinite(bends)]
    return max(1.0, float(np.median(bends)) / _MEDIAN_SQUARE) if bends.size else 1.0


def _quiet(logs: _Logs, before: Mask, tolerance: float) -> Mask:
    """Cells whose trace is a straight line, shape (cells,): of the ratio for two channels, else of every channel."""
    two = len(logs.value) == 2
    values = [logs.value[0] - logs.value[1]] if two else list(logs.value)
    times = [logs.time_s.mean(axis=0)] if two else list(logs.time_s)
    windows: list[Mask] = [np.asarray(before.all(axis=0))] if two else list(before)
    verdicts = [_straight(*each, tolerance) for each in zip(values, times, windows, strict=True)]
    return np.asarray(np.all(verdicts, axis=0))


def _straight(value: Array, time: Array, before: Mask, tolerance: float) -> Mask:
    from scipy import special

    noise = _noise(value)
    noise = noise * _inflation(value[:, before], noise)
    lines = _lines(value, time)
    step, step_se = _contrast(lines, (time >= time[before].max()) & ~before, time, noise)
    limit = float(special.ndtri(1 - LEVEL / 2))
    straight = np.abs(step) <= np.maximum(limit * step_se, tolerance)
    limit = float(special.ndtri(1 - LEVEL / (2 * PIECES)))
    for piece in np.array_split(np.arange(time.size), min(PIECES, time.size // 2)):
        inside = np.zeros(time.size, dtype=bool)
        inside[piece] = True
        bend, bend_se = _contrast(lines, inside, time, noise)
        straight &= ~(np.abs(bend) > np.maximum(limit * bend_se, tolerance))
    return np.asarray(straight)


def _contrast(lines: _Lines, inside: Mask, time: Array, noise: Array) -> tuple[Array, Array]:
    """By how much the frames inside lie off a line through all, and its standard error, each of shape (cells,).

    The least-squares coefficient of the frames' indicator beside a constant and time.
    """
    seen = np.isfinite(lines.rest)
    pattern = np.where(seen, inside.astype(float), np.nan)
    left = _lines(pattern, time).rest
    left = np.where(seen, left, 0.0)
    squares = (left**2).sum(axis=1)
    squares = np.where(squares > 1e-9, squares, np.nan)
    return (left * np.where(seen, lines.rest, 0.0)).sum(axis=1) / squares, np.sqrt(noise / squares)


def _from_cells(logs: _Logs, cells: Mask, method: Literal["quiet cells", "named cells"], start: float) -> BleachRates:
    """Rates from whole traces of some cells."""
    fits = [_lines(value[cells], time) for value, time in zip(logs.value, logs.time_s, strict=True)]
    rate, covariance, count = _pooled(logs, cells, fits)
    shared = np.stack([_common(fit.rest) for fit in fits])
    bend = np.sqrt(np.mean(shared**2, axis=1))
    notes = () if bend.max() <= BEND else (
        f"The cells used share {100 * bend.max():.1f} % (rms) that no straight line in the logarithm explains: a lamp "
        "that drifts, or bleaching with two rates. It is left in the traces.",
    )  # fmt: skip
    covariance = covariance + _flicker(shared, fits)
    return BleachRates(rate, covariance, max(count - 1, 1), cells, method, start, bend, notes)


def _from_baselines(logs: _Logs, before: Mask, lit: Mask, quiet: int, start: float) -> BleachRates:
    """Rates from the baselines of all cells."""
    use = before.all(axis=0)
    fits = [_lines(value[lit][:, use], time[use]) for value, time in zip(logs.value, logs.time_s, strict=True)]
    rate, covariance, count = _pooled(logs, lit, fits)
    shared = np.stack([_common(fit.rest) for fit in fits])
    frames = int(use.sum())
    note = (
        f"{quiet} of {int(lit.sum())} cells keep to a straight line to the end, too few to measure bleaching by: the "
        f"others respond, or bleaching is not log-linear. The {frames} frames of the baseline in all cells are carried "
        "on to the end instead, with a larger error. Name cells that do not respond (vehicle), or record a longer "
        "baseline."
    )
    bend = np.sqrt(np.mean(shared**2, axis=1))
    covariance = covariance + _flicker(shared, fits)
    return BleachRates(rate, covariance, max(min(count - 1, frames - 2), 1), lit, "baseline", start, bend, (note,))


def _common(rest: Array) -> Array:
    """What all rows share beyond their lines, shape (frames,); 0 where no row has a read."""
    seen = np.isfinite(rest)
    return np.asarray(np.where(seen, rest, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1))


def _flicker(shared: Array, fits: list[_Lines]) -> Array:
    """Covariance that curves shared by all cells add to the slopes, with their autocorrelation from read to read.

    What the cells' own noise leaves in the mean of them is taken off first.
    """
    count = shared.shape[1]
    spread = float(np.nanmedian([np.nanmedian(fit.spread) for fit in fits]))
    squares = (shared**2).sum(axis=1)
    own = np.array([np.nansum((fit.rest - curve) ** 2) / len(fit.rest) ** 2
                    for fit, curve in zip(fits, shared, strict=True)])  # fmt: skip
    part = np.sqrt(np.maximum(squares - own, 0.0) / np.where(squares > 0, squares, 1.0))
    lag = (shared[:, 1:] * shared[:, :-1]).sum(axis=1) / np.where(squares > 0, squares, 1.0)
    lag = np.clip(lag + (1 + 4 * np.maximum(lag, 0.0)) / count, 0.0, 0.9)
    scale = part * np.sqrt((1 + lag) / (1 - lag))
    return np.asarray(shared @ shared.T * np.outer(scale, scale) / max(count - 2, 1) / spread)


def _pooled(logs: _Logs, cells: Mask, fits: list[_Lines]) -> tuple[Array, Array, int]:
    """Rates of the channels by random effects over cells, their sandwich covariance, and the number of cells."""
    loss = np.stack([-fit.slope for fit in fits])
    within = np.stack([_noise(value[cells]) / fit.spread for value, fit in zip(logs.value, fits, strict=True)])
    good = np.isfinite(loss).all(axis=0) & np.isfinite(within).all(axis=0)
    middle = np.median(loss[:, good], axis=1)[:, None]
    scale = 1.4826 * np.median(np.abs(loss[:, good] - middle), axis=1)[:, None]
    good &= (np.abs(loss - middle) <= np.where(scale > 0, OUTLIER * scale, np.inf)).all(axis=0)
    loss, within = loss[:, good], within[:, good]
    weight = np.stack([_weights(*each) for each in zip(loss, within, strict=True)])
    weight = weight / weight.sum(axis=1, keepdims=True)
    rate = (weight * loss).sum(axis=1)
    count = int(good.sum())
    off = weight * (loss - rate[:, None])
    # One cell has no spread: only its own noise is known.
    covariance = off @ off.T * count / (count - 1) if count > 1 else np.diag(within[:, 0])
    return rate, covariance, count


def _weights(value: Array, within: Array) -> Array:
    """Weights of a mean by random effects, DerSimonian and Laird's variance between cells."""
    fixed = 1 / np.maximum(within, 1e-30)
    mean = (fixed * value).sum() / fixed.sum()
    spare = (fixed * (value - mean) ** 2).sum() - (value.size - 1)
    between = max(0.0, spare / max(fixed.sum() - (fixed**2).sum() / fixed.sum(), 1e-300))
    return np.asarray(1 / (np.maximum(within, 1e-30) + between))
