"""From ratios to calcium, by Grynkiewicz's equation, with two errors kept apart.

The noise of a cell is its own.  The error of the calibration is common to all cells and frames:
it does not shrink with their number, and it cancels, for the most part, between two conditions of one
calibration.  A ratio outside (Rmin, Rmax) has no calcium: it is missing, with a flag, never clipped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.errors import RangeError

__all__ = [
    "ABOVE", "BELOW", "MISSING", "OK", "Calcium", "Calibration", "calcium", "calcium_from_fluo", "calibrate_from",
]  # fmt: skip

Array = NDArray[np.float64]
Flags = NDArray[np.int8]

#: Flags of values: there is one; ratio at or below Rmin; at or above Rmax; no ratio.
OK, BELOW, ABOVE, MISSING = 0, 1, 2, 3
#: Fixed draws of the calibration: points of Sobol's sequence, a power of 2.
DRAWS = 2**16
#: Ratios between Rmin and Rmax at which intervals are computed; between them they are interpolated.
_GRID = 129
#: Ends of that grid, in ln((R − rmin)/(rmax − R)).
_REACH = 8.0
_NAMES = ("kd", "rmin", "rmax", "beta")


@dataclass(frozen=True, eq=False)
class Calibration:
    """Constants of Grynkiewicz's equation, with log-normal errors::

        [Ca] = kd * beta * (R − rmin) / (rmax − R)

    Parameters
    ----------
    kd : float, M
        Of dye and calcium at the temperature of the recording.
    rmin, rmax : float
        Ratio without, and with saturating calcium, in the same microscope.
    beta : float
        Light of the lower channel (380 nm) without calcium over that with saturating calcium,
        Sf2/Sb2. 1 for a dye measured in one channel.
    kd_se, rmin_se, rmax_se, beta_se : float
        Standard errors of the natural logarithms: 0.1 is 10 %.
    correlation : array, shape (4, 4), optional
        Of the errors, in the order kd, rmin, rmax, beta; independent by default. `rmin` and
        `beta` of the same dishes share the light at 380 nm.

    Raises
    ------
    RangeError
        If a constant is not above 0, `rmax` is not above `rmin`, or the correlations are none.

    References
    ----------
    .. [1] Grynkiewicz, Poenie & Tsien (1985), J Biol Chem 260:3440, doi:10.1016/S0021-9258(19)83641-4.

    Examples
    --------
    >>> fura = Calibration(224e-9, 0.333, 8.0, 8.0)
    >>> round(float(fura.concentration(1.0)) * 1e9, 1)
    170.8
    """

    kd: float
    rmin: float
    rmax: float
    beta: float
    kd_se: float = 0.0
    rmin_se: float = 0.0
    rmax_se: float = 0.0
    beta_se: float = 0.0
    correlation: Array | None = None

    def __post_init__(self) -> None:
        for name in _NAMES:
            value, se = getattr(self, name), getattr(self, f"{name}_se")
            if not (math.isfinite(value) and value > 0):
                raise RangeError(f"calibration: {name} must be above 0, found {value}. Look at the background.")
            if not (math.isfinite(se) and se >= 0):
                raise RangeError(
                    f"calibration: {name}_se must be the standard error of a logarithm, 0 or more, found {se}. "
                    "Write 0.1 for 10 %."
                )
        if not self.rmax > self.rmin:
            raise RangeError(
                f"calibration: rmax ({self.rmax:g}) must lie above rmin ({self.rmin:g}). Exchange them, or exchange "
                "the channels."
            )
        self._check_correlation()

    def _check_correlation(self) -> None:
        matrix = self._correlations
        good = matrix.shape == (4, 4) and np.allclose(matrix, matrix.T) and np.allclose(np.diag(matrix), 1)
        if not (good and float(np.linalg.eigvalsh(matrix)[0]) > -1e-9):
            raise RangeError(
                "calibration: the correlations must be a symmetric matrix of 4 by 4 with ones on its diagonal and no "
                f"negative eigenvalue (order {', '.join(_NAMES)}), found {matrix.tolist()}. Correct it."
            )

    @property
    def _correlations(self) -> Array:
        return np.eye(4) if self.correlation is None else np.asarray(self.correlation, dtype=float)

    @property
    def log_se(self) -> Array:
        """Standard errors of the logarithms, shape (4,), in the order kd, rmin, rmax, beta."""
        return np.array([getattr(self, f"{name}_se") for name in _NAMES])

    @property
    def alpha(self) -> float:
        """The factor α that makes F340 + αF380 blind to calcium, (rmax − rmin beta)/(beta − 1).

        Raises
        ------
        RangeError
            If there is none above 0: then both lights move the same way.
        """
        if not (self.beta > 1 and self.rmax > self.rmin * self.beta):
            raise RangeError(
                f"beta {self.beta:g}, rmin {self.rmin:g} and rmax {self.rmax:g} are of a dye whose two lights move the "
                "same way: there is no sum that is blind to calcium."
            )
        return (self.rmax - self.rmin * self.beta) / (self.beta - 1)

    def concentration(self, ratio: ArrayLike) -> Array:
        """Calcium of ratios of any shape, M; NaN outside (rmin, rmax)."""
        r = np.asarray(ratio, dtype=float)
        r = np.where((r > self.rmin) & (r < self.rmax), r, np.nan)
        return np.asarray(self.kd * self.beta * (r - self.rmin) / (self.rmax - r))

    def relative_error(self, ratio: ArrayLike) -> Array:
        """Standard error of ln [Ca] by the delta method, from the calibration alone, in the shape of the ratios.

        Good in the middle; towards rmin and rmax the errors are skewed, and `interval` is to be used.
        """
        r = np.asarray(ratio, dtype=float)[..., None]
        inside = (r > self.rmin) & (r < self.rmax)
        r = np.where(inside, r, np.nan)
        one = np.ones_like(r)
        slopes = np.concatenate([one, -self.rmin / (r - self.rmin), -self.rmax / (self.rmax - r), one], axis=-1)
        scaled = slopes * self.log_se
        return np.asarray(np.sqrt(np.einsum("...i,ij,...j->...", scaled, self._correlations, scaled)))

    @cached_property
    def draws(self) -> Array:
        """Fixed draws of (kd, rmin, rmax, beta), shape (DRAWS, 4), by Sobol's sequence: always the same.

        The same draw is to be used for all cells and conditions of a calibration: so what is
        common to them cancels in their differences.
        """
        from scipy import stats

        points = stats.qmc.Sobol(4, scramble=False).random(DRAWS) + 0.5 / DRAWS
        values, vectors = np.linalg.eigh(self._correlations)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        normal = stats.norm.ppf(points) @ (root @ vectors.T)
        centre = np.log([getattr(self, name) for name in _NAMES])
        return np.asarray(np.exp(centre + self.log_se * normal))

    def interval(self, ratio: ArrayLike, level: float = 0.95) -> tuple[Array, Array]:
        """Interval of calcium from the errors of the calibration alone, each end in the shape of the ratios, M.

        Quantiles of the calcium that the fixed `draws` give. A draw with rmin above the ratio says
        "no calcium", 0; one with rmax below it says "saturated, whatever the calcium", infinity. They
        are counted as such, not left out: where there are many, the lower end is 0, or the
        upper end is infinite, and the interval is open there. Outside (rmin, rmax) it is NaN.

        The ends relative to the value are computed at 129 ratios, spaced evenly in
        ln((R − rmin)/(rmax − R)), and interpolated.
        """
        r = np.asarray(ratio, dtype=float)
        inside = (r > self.rmin) & (r < self.rmax)
        r = np.where(inside, r, (self.rmin + self.rmax) / 2)
        place = np.log((r - self.rmin) / (self.rmax - r))
        value = np.where(inside, self.concentration(r), np.nan)
        low, high = (value * np.exp(_interpolated(place, end)) for end in _ends(self, level))
        return low, high


@lru_cache(maxsize=16)
def _ends(calibration: Calibration, level: float) -> tuple[Array, Array]:
    """Logarithm of both ends over the value, at the ratios of the grid."""
    ratios = calibration.rmin + (calibration.rmax - calibration.rmin) / (1 + np.exp(-_grid()))
    kd, rmin, rmax, beta = calibration.draws.T.copy()
    scale, rmax = kd * beta, np.where(rmin < rmax, rmax, 0.0)
    place = [round(part * DRAWS - 0.5) for part in ((1 - level) / 2, (1 + level) / 2)]
    ends = np.empty((2, _GRID))
    for k, r in enumerate(ratios):
        below = rmax - r
        value = scale * np.maximum(r - rmin, 0.0) / np.where(below > 0, below, 1.0)
        value[below <= 0] = np.inf
        value.partition(place)
        ends[:, k] = value[place]
    with np.errstate(divide="ignore"):
        low, high = np.log(ends / calibration.concentration(ratios))
    return low, high


def _grid() -> Array:
    return np.linspace(-_REACH, _REACH, _GRID)


def _interpolated(place: Array, end: Array) -> Array:
    """Ends between the points of the grid, by a monotone cubic; open beyond the last that is not."""
    from scipy import interpolate

    grid, closed = _grid(), np.isfinite(end)
    place = np.clip(place, grid[0], grid[-1])
    if closed.sum() < 2:
        return np.full(place.shape, end[0])
    smooth = interpolate.PchipInterpolator(grid[closed], end[closed], extrapolate=True)
    inside = (place >= grid[closed][0]) & (place <= grid[closed][-1])
    return np.asarray(np.where(inside, smooth(place), end[~closed][0] if not closed.all() else np.nan))


@dataclass(frozen=True, eq=False)
class Calcium:
    """Calcium of cells and frames, with the cells' noise and the calibration's error kept apart.

    Parameters
    ----------
    value : array, shape (cells, frames) or any other, M
        NaN where `flag` is not `OK`.
    noise_se : array, same shape, M
        Of each value for itself; averages out over frames and cells.
    calibration_se : array, same shape, M
        Common to all: a mean over cells keeps it. Both by the delta method; `interval` is
        better near the ends.
    flag : array of int8, same shape
        `OK`, `BELOW` (ratio at or below rmin), `ABOVE` (at or above rmax), `MISSING`.
    ratio, ratio_variance : array, same shape
        What they were computed from.
    calibration : Calibration
    """

    value: Array
    noise_se: Array
    calibration_se: Array
    flag: Flags
    ratio: Array
    ratio_variance: Array
    calibration: Calibration

    def interval(
        self, level: float = 0.95, of: Literal["both", "noise", "calibration"] = "both"
    ) -> tuple[Array, Array]:
        """Both ends of an interval, M, in the shape of the values; 0 and infinity are open ends, NaN is missing.

        ``calibration``: quantiles over its fixed draws. ``noise``: the calcium of the ratio less
        and plus its own error, open where that lies outside (rmin, rmax). ``both``: the distances
        of the two from the value, on the logarithm, added in squares.
        """
        parts = []
        if of in ("both", "calibration"):
            parts.append(self.calibration.interval(np.where(self.flag == OK, self.ratio, np.nan), level))
        if of in ("both", "noise"):
            parts.append(self._noise_interval(level))
        centre = np.log(self.value)
        with np.errstate(divide="ignore"):
            down = np.sqrt(sum((centre - np.log(low)) ** 2 for low, _ in parts))
            up = np.sqrt(sum((np.log(high) - centre) ** 2 for _, high in parts))
        return np.exp(centre - down), np.exp(centre + up)

    def _noise_interval(self, level: float) -> tuple[Array, Array]:
        from scipy import stats

        half = float(stats.norm.ppf(0.5 + level / 2)) * np.sqrt(self.ratio_variance)
        known = self.calibration
        low, high = self.ratio - half, self.ratio + half
        lower = np.where(low <= known.rmin, 0.0, known.concentration(low))
        upper = np.where(high >= known.rmax, np.inf, known.concentration(high))
        missing = self.flag != OK
        return np.where(missing, np.nan, lower), np.where(missing, np.nan, upper)

    def text(self) -> str:
        """How many values there are, and why others are missing."""
        total = max(self.flag.size, 1)
        below, above, missing = (int((self.flag == kind).sum()) for kind in (BELOW, ABOVE, MISSING))
        return (
            f"[Ca²⁺] by Grynkiewicz (1985): {int((self.flag == OK).sum())} of {total} values; missing: {below} with a "
            f"ratio below Rmin, {above} above Rmax, {missing} without a ratio."
        )


def calcium(ratio: ArrayLike, variance: ArrayLike, calibration: Calibration) -> Calcium:
    """Calcium of ratios, with two errors::

        [Ca] = kd * beta * (R − rmin) / (rmax − R)
        noise:        se(R) * kd * beta * (rmax − rmin) / (rmax − R)**2
        calibration:  [Ca] * Calibration.relative_error(R)

    Parameters
    ----------
    ratio, variance : array, shape (cells, frames) or any other
        As `halfmax.assays.calcium.ratio.ratio` gives them.
    calibration : Calibration

    Notes
    -----
    Values are missing where noise throws a ratio out of (rmin, rmax), so the mean of what is
    left is not the mean of all. For the mean over frames or cells, average the lights or the
    ratios first and convert once.

    References
    ----------
    .. [1] Grynkiewicz, Poenie & Tsien (1985), J Biol Chem 260:3440, doi:10.1016/S0021-9258(19)83641-4.

    Examples
    --------
    >>> fura = Calibration(224e-9, 0.333, 8, 8, kd_se=0.2, rmin_se=0.05, rmax_se=0.1, beta_se=0.1)
    >>> found = calcium([0.3, 1.0], [1e-4, 1e-4], fura)
    >>> (found.value * 1e9).round().tolist(), found.flag.tolist()
    ([nan, 171.0], [1, 0])
    >>> low, high = found.interval(of="calibration")
    >>> round(float(low[1]) * 1e9), round(float(high[1]) * 1e9)
    (104, 280)
    """
    r, noise = np.broadcast_arrays(np.asarray(ratio, dtype=float), np.asarray(variance, dtype=float))
    value = calibration.concentration(r)
    flag = np.select([~np.isfinite(r), r <= calibration.rmin, r >= calibration.rmax], [MISSING, BELOW, ABOVE], OK)
    inside = np.where(flag == OK, r, np.nan)
    steepness = calibration.kd * calibration.beta * (calibration.rmax - calibration.rmin)
    noise_se = np.sqrt(noise) * steepness / (calibration.rmax - inside) ** 2
    common = value * calibration.relative_error(inside)
    return Calcium(value, noise_se, common, flag.astype(np.int8), r, noise, calibration)


def calcium_from_fluo(
    signal: ArrayLike,
    variance: ArrayLike,
    *,
    kd: float,
    kd_se: float = 0.0,
    fmin: ArrayLike,
    fmax: ArrayLike,
    fmin_variance: ArrayLike = 0.0,
    fmax_variance: ArrayLike = 0.0,
) -> Calcium:
    """Calcium from a dye of one channel (Fluo), where each cell's own Fmin and Fmax were measured::

        [Ca] = kd * (F − fmin) / (fmax − F)

    Without Fmin and Fmax there is no calcium, only ΔF/F0: loading differs from cell to cell.

    Parameters
    ----------
    signal, variance : array, shape (cells, frames), ADU and ADU²
        Background taken off, bleaching made good.
    kd : float, M
    kd_se : float
        Standard error of its natural logarithm; common to all cells.
    fmin, fmax : float or array, shape (cells,), ADU
        With EGTA, and with saturating calcium.
    fmin_variance, fmax_variance : float or array, shape (cells,), ADU²
        Their errors are the cell's own, common to its frames; they are in the noise.

    Returns
    -------
    Calcium
        Its ``ratio`` is 1 + (F − fmin)/(fmax − fmin), of a calibration between 1 and 2. Cells
        whose fmax is not above fmin have none.

    Examples
    --------
    >>> found = calcium_from_fluo([[300.0]], [[4.0]], kd=389e-9, fmin=[100.0], fmax=[900.0])
    >>> round(float(found.value[0, 0]) * 1e9)
    130
    """
    light, noise = np.atleast_2d(np.asarray(signal, float)), np.atleast_2d(np.asarray(variance, float))
    low, high, low_variance, high_variance = (
        np.broadcast_to(np.asarray(each, dtype=float), light.shape[:1])[:, None]
        for each in (fmin, fmax, fmin_variance, fmax_variance)
    )
    span = np.where(high > low, high - low, np.nan)
    part = (light - low) / span
    spread = (noise + (1 - part) ** 2 * low_variance + part**2 * high_variance) / span**2
    return calcium(1 + part, spread, Calibration(kd, 1.0, 2.0, 1.0, kd_se=kd_se))


def calibrate_from(
    r_min_values: ArrayLike,
    r_max_values: ArrayLike,
    sf2: ArrayLike,
    sb2: ArrayLike,
    *,
    kd: float,
    kd_se: float,
    paired: bool = False,
) -> Calibration:
    """A calibration in situ, from dishes or wells with ionomycin and EGTA, and with saturating calcium.

    Each constant is a geometric mean over dishes, its error the standard error of the mean
    logarithm: dishes are the sample, not cells or frames. `beta` is the mean of `sf2` over that
    of `sb2`. The errors of the ratio and of the light at 380 nm in the same dishes are not
    independent; what they share is kept as correlations.  From two or three dishes the spread
    is itself badly known, and the error more often too small than too large.

    Parameters
    ----------
    r_min_values : array, shape (dishes without calcium,)
        Ratio with ionomycin and EGTA.
    r_max_values : array, shape (dishes with saturating calcium,)
    sf2, sb2 : array, shape (dishes,), ADU
        Light of the lower channel (380 nm) without and with saturating calcium. As many as, and
        in the order of, `r_min_values` and `r_max_values` respectively.
    kd : float, M
        From a paper: it cannot be found in situ with two solutions.
    kd_se : float
        Standard error of its natural logarithm.
    paired : bool
        All four are of the same dishes in the same order, first in one solution and then in the
        other. Then the amount of dye cancels in `beta`; else it is in its error.

    Raises
    ------
    RangeError
        If a set has fewer than two dishes, or a value is not above 0, or the numbers differ.

    Examples
    --------
    >>> found = calibrate_from([0.32, 0.35], [7.6, 8.4], [800, 820], [100, 102], kd=224e-9, kd_se=0.2)
    >>> round(found.rmin, 3), round(found.rmin_se, 3), round(found.beta, 2)
    (0.335, 0.045, 8.02)
    """
    low, high = _logs("r_min_values", r_min_values), _logs("r_max_values", r_max_values)
    free, bound = _logs("sf2", sf2), _logs("sb2", sb2)
    if free.size != low.size or bound.size != high.size or (paired and low.size != high.size):
        raise RangeError(
            f"the ratios and lights of a calibration must be of the same dishes, found {low.size} r_min_values with "
            f"{free.size} sf2, and {high.size} r_max_values with {bound.size} sb2{' (paired)' if paired else ''}. Give "
            "each dish its ratio and its light."
        )
    covariance = np.zeros((4, 4))
    covariance[0, 0] = kd_se**2
    if paired:
        covariance[1:, 1:] = _mean_covariance(low, high, free - bound)
    else:
        covariance[np.ix_([1, 3], [1, 3])] += _mean_covariance(low, free)
        covariance[np.ix_([2, 3], [2, 3])] += _mean_covariance(high, -bound)
    se = np.sqrt(np.diag(covariance))
    scale = np.where(se > 0, se, 1.0)
    correlation = covariance / np.outer(scale, scale)
    np.fill_diagonal(correlation, 1.0)
    rmin, rmax, beta = (math.exp(float(each)) for each in (low.mean(), high.mean(), free.mean() - bound.mean()))
    return Calibration(kd, rmin, rmax, beta, kd_se, float(se[1]), float(se[2]), float(se[3]), correlation)


def _logs(name: str, values: ArrayLike) -> Array:
    array = np.asarray(values, dtype=float).ravel()
    if array.size < 2 or not (np.isfinite(array) & (array > 0)).all():
        raise RangeError(
            f"{name}: a calibration needs at least two dishes, each above 0, found {array.tolist()}. Their spread is "
            "its error: calibrate more dishes, or give the constants and their errors (Calibration)."
        )
    return np.asarray(np.log(array))


def _mean_covariance(*values: Array) -> Array:
    """Covariances of means over the same dishes."""
    return np.asarray(np.cov(np.stack(values)) / values[0].size)
