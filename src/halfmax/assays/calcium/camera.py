"""The camera: how the variance of a pixel grows with its light, and how that is found from a recording itself.

Only the offset cannot be found so: in a line of variance against counts it is hidden in the
intercept, and must be known from a dark frame or from the maker.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfmax.errors import FitError, RangeError

__all__ = ["Camera", "CameraFit", "measure_camera"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Second differences beyond so many SDs count as if they lay there: the start of a response is no noise.
WINSOR = 3.0
#: Pixels so many standard errors off the line take no part in it.
OFF_LINE = 4.0
_FEWEST_FRAMES = 8
_FEWEST_PIXELS = 50
_ROUNDS = 12


@dataclass(frozen=True)
class Camera:
    """A camera, and the variance of what it writes::

        variance = gain * signal + read_noise**2,   signal = ADU - offset

    Parameters
    ----------
    gain : float, ADU per photo-electron
        The slope of variance (ADU²) against mean (ADU). Its inverse is what makers call the
        conversion factor, electrons per ADU.
    read_noise : float, ADU
        SD of a pixel in the dark, rounding to whole ADU included. What makers give in electrons
        is to be multiplied by `gain`.
    offset : float, ADU
        What is written in the dark.
    saturated : float, ADU
        A pixel with this number or more is saturated; infinity where that is not known.

    Raises
    ------
    RangeError
        If the gain is not above 0, the read noise is below 0, or the saturation is not above the offset.

    Examples
    --------
    >>> camera = Camera(gain=0.5, read_noise=2.0, offset=100.0)
    >>> camera.variance(np.array([-1.0, 0.0, 200.0])).tolist()
    [4.0, 4.0, 104.0]
    """

    gain: float
    read_noise: float
    offset: float = 0.0
    saturated: float = math.inf

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gain) and self.gain > 0):
            raise RangeError(f"camera: the gain must be above 0 ADU per electron, found {self.gain}. Measure it.")
        if not (math.isfinite(self.read_noise) and self.read_noise >= 0):
            raise RangeError(f"camera: the read noise must be 0 ADU or more, found {self.read_noise}. Measure it.")
        if not self.saturated > self.offset:
            raise RangeError(
                f"camera: saturation ({self.saturated:g} ADU) must lie above the offset ({self.offset:g} ADU). "
                "Correct one of the two."
            )

    def variance(self, signal: Array | float) -> Array:
        """Variance of one pixel of one frame, ADU², for its signal above the offset, ADU; any shape.

        Below the offset there is no light, only read noise.  The mean of n pixels has 1/n of it.
        """
        light = np.asarray(signal, dtype=float)
        return np.asarray(self.gain * np.maximum(light, 0.0) + self.read_noise**2)


@dataclass(frozen=True, eq=False)
class CameraFit:
    """A camera as a recording shows it.

    Parameters
    ----------
    camera : Camera
    gain_se : float, ADU per photo-electron
    read_variance, read_variance_se : float, ADU²
        Square of the read noise. Below 0 where the line meets the offset there: then the
        read noise of `camera` is 0, and only its upper bound is known.
    mean, variance : array, shape (pixels,), ADU and ADU²
        Of each pixel that was used, offset taken off: what the line was laid through.
    notes : tuple of str
    """

    camera: Camera
    gain_se: float
    read_variance: float
    read_variance_se: float
    mean: Array
    variance: Array
    notes: tuple[str, ...] = ()

    @property
    def read_noise_se(self) -> float:
        """Standard error of the read noise, ADU; NaN where it is not told from 0."""
        noise = self.camera.read_noise
        return self.read_variance_se / (2 * noise) if noise > 0 else math.nan

    @property
    def read_noise_bound(self) -> float:
        """Upper 97.5 % bound of the read noise, ADU."""
        return math.sqrt(max(self.read_variance + 1.96 * self.read_variance_se, 0.0))


def measure_camera(pages: NDArray[np.generic], *, offset: float = 0.0, saturated: float = math.inf) -> CameraFit:
    """Gain and read noise from neighbouring frames of one channel.

    The second difference of three frames, ``(x[t-1] − 2 x[t] + x[t+1]) / √6``, has the
    variance of one frame and no part of a steady change (bleaching, slow calcium).  From
    each one four patterns are taken off by least squares over the pixels: a constant, the
    mean image (flicker of the lamp), and its two gradients (small movements).  Its squares,
    winsorised at three SDs so that the start of a response does not count as noise, give
    each pixel's variance.  A weighted line through variance against mean is the camera::

        variance = gain * mean + read_noise**2

    That line holds for means over time whatever the light does meanwhile, because both
    sides are means of it.  Standard errors: sandwich over pixels.

    Parameters
    ----------
    pages : array, shape (frames, rows, columns), ADU
        Raw frames of one channel; may be memory-mapped: it is read frame by frame, twice.
        Sixty-four frames of a baseline are plenty.
    offset : float, ADU
        What the camera writes in the dark. It moves the read noise, and not the gain.
    saturated : float, ADU
        Pixels that ever reach it are left out.

    Raises
    ------
    RangeError
        If the pages are no stack of at least eight frames.
    FitError
        If too few pixels are left, all are equally bright, or the variance does not grow with light.

    References
    ----------
    .. [1] Mullikin et al. (1994), Proc SPIE 2173:73, doi:10.1117/12.175165 (variance against mean).

    Examples
    --------
    >>> light = np.geomspace(20, 2000, 64 * 64).reshape(64, 64)
    >>> frames = 100 + 0.5 * np.random.default_rng(1).poisson(light, (64, 64, 64))
    >>> found = measure_camera(frames, offset=100)
    >>> abs(found.camera.gain - 0.5) < 3 * found.gain_se < 0.02
    True
    """
    shape = np.shape(pages)
    if len(shape) != 3 or shape[0] < _FEWEST_FRAMES:
        raise RangeError(
            f"measuring a camera needs a stack (frames, rows, columns) of at least {_FEWEST_FRAMES} frames of one "
            f"channel, found the shape {shape}. Give more frames, or the camera's own figures."
        )
    mean, used = _mean_image(pages, saturated)
    if used.sum() < _FEWEST_PIXELS or np.ptp(mean[used]) <= 0:
        raise FitError(
            f"{int(used.sum())} pixels below saturation, between {mean.min():g} and {mean.max():g} ADU: no line of "
            "variance against mean can be laid through them. Give a recording with dark and bright places."
        )
    light = mean[used] - offset
    variance = _rough(pages, mean, used)
    for _ in range(2):
        line, _, _ = _line(light, variance)
        variance = _winsorised(pages, mean, used, _model(line, light))
    line, covariance, kept = _line(light, variance)
    return _fit(line, covariance, light[kept], variance[kept], offset, saturated, int((~kept).sum()))


def _fit(
    line: Array, covariance: Array, mean: Array, variance: Array, offset: float, saturated: float, left_out: int
) -> CameraFit:
    read, gain = float(line[0]), float(line[1])
    se = np.sqrt(np.diag(covariance))
    if not gain > 2 * se[1]:
        raise FitError(
            f"the variance does not grow with the light (slope {gain:.3g} ± {se[1]:.2g} ADU per electron): these are "
            "no raw frames of a camera. Use the recording before any smoothing or rescaling."
        )
    notes = [f"{left_out} pixels lie off the line and were left out."] if left_out else []
    if read < 2 * se[0]:
        bound = math.sqrt(max(read + 1.96 * float(se[0]), 0.0))
        notes.append(f"The read noise is not told from 0 (below {bound:.2g} ADU); the offset decides on it.")
    camera = Camera(gain, math.sqrt(max(read, 0.0)), offset, saturated)
    return CameraFit(camera, float(se[1]), read, float(se[0]), mean, variance, tuple(notes))


def _mean_image(pages: NDArray[np.generic], saturated: float) -> tuple[Array, Mask]:
    """Mean over time, and the pixels that never saturate, both (rows, columns)."""
    total: Array = np.zeros(np.shape(pages)[1:])
    used: Mask = np.ones(total.shape, dtype=bool)
    for page in pages:
        frame = np.asarray(page, dtype=float)
        total += frame
        used &= np.isfinite(frame) & (frame < saturated)
    return total / len(pages), used


def _differences(pages: NDArray[np.generic], mean: Array, used: Mask) -> Iterator[Array]:
    """Second differences of the used pixels, one frame's variance each, without flicker and movement."""
    down, right = (np.asarray(np.gradient(mean, axis=axis)) for axis in (0, 1))
    patterns: Array = np.stack([np.ones(int(used.sum())), mean[used], down[used], right[used]], axis=1)
    patterns[:, 1:] -= patterns[:, 1:].mean(axis=0)
    rank = int(np.linalg.matrix_rank(patterns))
    basis = np.linalg.svd(patterns, full_matrices=False).U[:, :rank]
    left = np.sqrt(1 - (basis**2).sum(axis=1))
    two = [np.asarray(page, dtype=float)[used] for page in pages[:2]]
    for page in pages[2:]:
        three = np.asarray(page, dtype=float)[used]
        step = (two[0] - 2 * two[1] + three) / math.sqrt(6)
        yield (step - basis @ (basis.T @ step)) / left
        two = [two[1], three]


def _rough(pages: NDArray[np.generic], mean: Array, used: Mask) -> Array:
    """First variances: each pixel's mean square, without the frames that stand out."""
    total: Array = np.zeros(int(used.sum()))
    count = 0
    sizes = np.array([float(np.median(np.abs(step))) for step in _differences(pages, mean, used)])
    limit = 2 * float(np.median(sizes))
    for size, step in zip(sizes, _differences(pages, mean, used), strict=True):
        if size <= limit:
            total += step**2
            count += 1
    return total / count


def _winsorised(pages: NDArray[np.generic], mean: Array, used: Mask, expected: Array) -> Array:
    """Each pixel's mean square with what lies beyond three expected SDs drawn in, unbiased for normal noise."""
    total, ceiling = np.zeros_like(expected), WINSOR**2 * expected
    for step in _differences(pages, mean, used):
        total += np.minimum(step**2, ceiling)
    return total / (len(pages) - 2) / _winsor_factor()


def _winsor_factor() -> float:
    """Mean of min(z², WINSOR²) for a standard normal z."""
    density = math.exp(-(WINSOR**2) / 2) / math.sqrt(2 * math.pi)
    beyond = math.erfc(WINSOR / math.sqrt(2))
    return 1 - beyond - 2 * WINSOR * density + WINSOR**2 * beyond


def _model(line: Array, light: Array) -> Array:
    """Variance by the line, kept above a hundredth of its median, so that a weight always exists."""
    value = line[0] + line[1] * light
    return np.asarray(np.maximum(value, 0.01 * max(float(np.median(value)), 1e-12)))


def _line(light: Array, variance: Array) -> tuple[Array, Array, Mask]:
    """Intercept and slope, their sandwich covariance, and the pixels that lie on the line.

    The SD of a pixel's variance is in proportion to it, so the weights are those of a
    constant coefficient of variation, and change with the line.
    """
    design = np.stack([np.ones_like(light), light], axis=1)
    kept: Mask = np.isfinite(variance)
    line: Array = np.asarray(np.linalg.lstsq(design, variance, rcond=None)[0], dtype=np.float64)
    inverse: Array = np.eye(2)
    scatter: Array = design
    for _ in range(_ROUNDS):
        expected = _model(line, light)
        weighted, target = design / expected[:, None], variance / expected
        inverse = np.asarray(np.linalg.pinv(weighted[kept].T @ weighted[kept]), dtype=np.float64)
        line = np.asarray(inverse @ (weighted[kept].T @ target[kept]))
        scatter = weighted[kept] * (target - weighted @ line)[kept][:, None]
        # The cube root of a variance is all but normal, so that both ends are cut alike.
        root = np.cbrt(np.maximum(target, 0.0))
        scale = 1.4826 * float(np.median(np.abs(root - np.median(root))))
        kept = np.asarray(np.abs(root - np.median(root)) <= OFF_LINE * scale) if scale > 0 else kept
    return line, np.asarray(inverse @ (scatter.T @ scatter) @ inverse), kept
