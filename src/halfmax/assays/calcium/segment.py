"""The cells of a recording, found on its mean picture: by their shape and light, without training.

A cell is a bright spot of about the common diameter in the Laplacian of Gaussian, which feels no uneven
background.  The valleys of the same map divide cells that touch; pieces with hardly a valley between them
are one cell.  The outline lies where the light has fallen to a share of the cell's own peak, so that bright
and dim cells are drawn alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.errors import RangeError

__all__ = ["Cells", "anatomy", "noise_of", "segment"]

Array = NDArray[np.float64]
Labels = NDArray[np.int32]
Flags = NDArray[np.bool_]

#: Diameter of a cell whose spot is brightest at scale 1: a disk gives 2 √2, soft-edged cells 3.2.
DIAMETER_PER_SCALE = 3.2
#: Scale of the dividing map, as a share of the scale that fits the diameter: smaller ones see every valley.
FINE = 0.7
#: Smaller spots than this share of the median are haze or dirt.
WEAK = 0.1
#: Two pieces are one cell if the saddle between them is higher than this share of the lower peak.
SADDLE = 0.75
#: Two pieces are one cell if hull and pieces differ by less than this share of the smaller one: pixels alone
#: give 0.03 to 0.1, touching circles 0.2 to 0.4.
NOTCH = 0.12
#: ... and if the dimmer one, and the light between them, have this share of the light of the brighter one.
EVEN = 0.7
#: Slope of light at the outline in units of peak / radius: flat cells 2 and more, those blurred by half of their
#: radius 0.8, and a Gaussian 0.7.
SHARP = 0.9
#: No pixel of a cell lies farther from the middle of its spot, in diameters.
REACH = 1.2
#: Smallest area, as a share of the circle of the common diameter.
SMALLEST = 0.15
#: Larger than this many such circles: worth a note.
LARGE = 4.0
#: ... and larger than this many: no cell.
HUGE = 16.0
#: Contrast, in SDs of the background, at which a cell is half clear.
FAINT = 3.0
#: Diameters that can be found, pixels.
LEAST_DIAMETER = 4.0
_STEP = 1.19
_ORDER = 2


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of a picture.

    Parameters
    ----------
    labels : array of int32, shape (height, width)
        0 where there is no cell, and 1, 2, … from top to bottom.
    score : array, shape (cells,)
        From 0 to 1: how far to trust the outline; see `segment`.
    touching, border : array of bool, shape (cells,)
        Whether another cell is next to it; whether the picture's border cuts it.
    area : array of int, shape (cells,), pixels
    centre : array, shape (cells, 2), pixels
        Row and column.
    diameter : float, pixels
        The common diameter that was given or found; NaN if there is no cell.
    notes : tuple of str
    """

    labels: Labels
    score: Array
    touching: Flags
    border: Flags
    area: NDArray[np.int64]
    centre: Array
    diameter: float
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.score)


class _Spot(NamedTuple):
    """Where cells may be: row, column, strength; `scale` is that of the strongest response."""

    row: Array
    column: Array
    scale: Array
    strength: Array

    def only(self, keep: NDArray[np.intp] | Flags) -> _Spot:
        return _Spot(*(values[keep] for values in self))


def segment(
    image: ArrayLike, *, diameter: float | None = None, significance: float = 6.0, outline: float = 0.35
) -> Cells:
    """Cells of the mean of a registered recording.

    Spots are maxima of ``-s² LoG(image, s)`` with s fitting 0.7 diameters, above `significance` SDs of what
    noise makes of it and above a tenth of the median.  A watershed on the same map divides them; two
    pieces are one cell if the saddle between them is above 3/4 of the lower peak.  Of each piece those pixels
    stay that are brighter than `outline` of its peak above the local background, the mean of the cell-free
    pixels around it.

    What is more than 16 times as large as the common circle, or whose edge is blurred by about half of its
    radius, is haze and left out.

    The score is ``clear * depth * inside * convex * size``: contrast / (contrast + 3 SD of the background);
    1 - saddle / (3/4 of the lower peak) towards the nearest neighbour, 1 without one; share of the outline that the
    picture's border does not cut; area over that of the convex hull; 4 common circles over the area, at most 1.  It
    ranks outlines and is no probability.

    Parameters
    ----------
    image : array, shape (height, width)
        Of any unit; of two channels see `anatomy`.
    diameter : float, pixels, optional
        Common diameter of the cells, good to a third. Default: found from the picture, if it is at most a
        quarter of the smaller side, or 50 pixels and half of it. Needed for cells whose middle is dark.
    significance : float
        SDs of noise.
    outline : float
        Share of the peak at the edge of a cell: 1/2 for flat cells, less for those thicker in the middle.

    Returns
    -------
    Cells
        None where nothing stands out; a note then says so.

    Raises
    ------
    RangeError
        If the picture is not two-dimensional, too small or not finite, or an argument makes no sense.

    References
    ----------
    .. [1] Lindeberg (1998), Int J Comput Vis 30:79, doi 10.1023/A:1008045108935: scale-space maxima.

    Examples
    --------
    >>> y, x = np.mgrid[:60, :60]
    >>> cells = segment(100 + 50.0 * (np.hypot(y - 20, x - 20) < 8) + 20.0 * (np.hypot(y - 40, x - 38) < 8))
    >>> len(cells), cells.touching.tolist()
    (2, [False, False])
    """
    picture = _checked(image)
    _check_arguments(picture.shape, diameter, significance, outline)
    noise = noise_of(picture)
    if noise == 0:
        return _no_cells(picture.shape, significance)
    large = diameter is not None and diameter > min(picture.shape) / 3
    level = picture - np.percentile(picture, 1) if large else _flattened(picture)
    if diameter is None:
        diameter = _common_diameter(_spots(level, noise, significance))
        if math.isnan(diameter):
            return _no_cells(picture.shape, significance)
    scale = FINE * diameter / DIAMETER_PER_SCALE
    response = _response(level, scale)
    seeds = _seeds(response, significance * noise * _noise_gain(scale))
    if not seeds.any():
        return _no_cells(picture.shape, significance)
    division = _over_saddles(_divided(response, seeds, diameter))
    division = _to_round(division, *_outlined(level, division.pieces, diameter, outline))
    labels, light = _outlined(level, division.pieces, diameter, outline)
    before = np.unique(labels).size
    labels = labels if large else _sharp(labels, light, HUGE * math.pi / 4 * diameter**2)
    if not labels.any():
        return _no_cells(picture.shape, significance)
    return _described(labels, light, division.shallow(), diameter, haze=before - np.unique(labels).size)


def anatomy(images: Sequence[ArrayLike] | Array, *, weights: Sequence[float] | None = None) -> Array:
    """One picture of several channels, in which a cell counts by its dye and not by its calcium::

        sum over channels of weight * (image - background) / noise

    Background is the mode of the picture. With Fura-2, calcium raises 340 and lowers 380, and the sum hides
    neither resting nor active cells.  For the sum that does not depend on calcium at all give
    ``weights = (noise of 340, alpha * noise of 380)``.

    Parameters
    ----------
    images : sequence of arrays, each (height, width)
        Mean pictures of the channels.
    weights : sequence of float, optional
        One a channel, >= 0; 1 unless given. A channel without any contrast is left out.

    Returns
    -------
    array, shape (height, width), SDs of noise

    Raises
    ------
    RangeError
        If there is no channel, or the pictures or weights do not fit together.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> anatomy(rng.normal(100, [[[2.0]], [[5.0]]], (2, 50, 50))).std().round()
    np.float64(1.0)
    """
    pictures = [_checked(image, channel=number) for number, image in enumerate(images)]
    sizes = sorted({picture.shape for picture in pictures})
    if len(sizes) != 1:
        found = " and ".join(f"{h} × {w}" for h, w in sizes) or "none"
        raise RangeError(f"anatomy: expected channels of one size, found {found}. Give the means of one recording.")
    given = np.ones(len(pictures)) if weights is None else np.asarray(weights, dtype=float)
    if given.shape != (len(pictures),) or not np.all(np.isfinite(given) & (given >= 0)):
        raise RangeError(f"anatomy: expected {len(pictures)} weights of 0 or more, one a channel, found {weights}.")
    total = np.zeros(sizes[0])
    for weight, picture in zip(given, pictures, strict=True):
        noise = noise_of(picture)
        if noise > 0:
            total += weight * (picture - _mode(picture)) / noise
    return total


def noise_of(image: ArrayLike) -> float:
    """SD of the noise of a picture, from its second differences, which smooth structure leaves at zero.

    The largest of those of pixels and of means of 2 × 2 and 4 × 4 pixels, each times its side: interpolation
    hides noise from near pixels. From the lower quarter of their sizes, so that edges of cells do not count.
    0 for a constant picture.

    References
    ----------
    .. [1] Immerkaer (1996), Comput Vis Image Underst 64:300, doi 10.1006/cviu.1996.0060.
    """
    picture = np.asarray(image, dtype=float)
    if np.ptp(picture) == 0:
        return 0.0
    found = [factor * _second_difference(_binned(picture, factor)) for factor in (1, 2, 4)]
    return max(*found, 1e-6 * float(np.ptp(picture)), 1e-12 * float(np.abs(picture).max()))


# What was asked


def _checked(image: ArrayLike, channel: int | None = None) -> Array:
    """The picture as an array of floats."""
    where = "segment" if channel is None else f"anatomy, channel {channel + 1}"
    picture = np.asarray(image, dtype=float)
    if picture.ndim != 2:
        raise RangeError(
            f"{where}: expected one picture of shape (height, width), found {picture.ndim} dimensions "
            f"{picture.shape}. Give the mean over the frames of one channel, or make one of several by anatomy."
        )
    if min(picture.shape) < 16:
        height, width = picture.shape
        raise RangeError(f"{where}: expected at least 16 × 16 pixels, found {height} × {width}. Give the whole field.")
    bad = np.argwhere(~np.isfinite(picture))
    if len(bad):
        row, column = bad[0]
        raise RangeError(
            f"{where}: expected finite light in every pixel, found {picture[row, column]} in {len(bad)} of "
            f"{picture.size} (the first at row {row}, column {column}). Cut the edge that registration left empty."
        )
    return picture


def _check_arguments(shape: tuple[int, ...], diameter: float | None, significance: float, outline: float) -> None:
    if diameter is not None and not LEAST_DIAMETER <= diameter <= min(shape):
        raise RangeError(
            f"segment: expected a diameter from {LEAST_DIAMETER:g} to {min(shape)} pixels, the smaller side of the "
            f"picture, found {diameter:g}. Give it in pixels, not in µm, or leave it out."
        )
    if not 0 < significance < math.inf:
        raise RangeError(f"segment: expected a significance above 0 (in SDs of noise), found {significance}.")
    if not 0 < outline < 1:
        raise RangeError(f"segment: expected an outline between 0 and 1 (share of the peak), found {outline}.")


def _no_cells(shape: tuple[int, ...], significance: float) -> Cells:
    nobody = np.zeros(0)
    return Cells(
        labels=np.zeros(shape, dtype=np.int32),
        score=nobody,
        touching=nobody.astype(bool),
        border=nobody.astype(bool),
        area=nobody.astype(np.int64),
        centre=np.zeros((0, 2)),
        diameter=math.nan,
        notes=(
            f"No cell found: nothing with the size and edge of a cell rises {significance:g} SDs of noise above its "
            "surroundings. Check focus, dye and exposure, give the diameter if cells are larger than a quarter of "
            "the picture, or give masks.",
        ),
    )


# Light, noise and background


def _mode(picture: Array) -> float:
    """Centre of the narrowest half of the pixels: the background, as long as cells cover less than half."""
    values = np.sort(picture, axis=None)
    half = values.size // 2
    first = int(np.argmin(values[half:] - values[: values.size - half]))
    return float(np.median(values[first : first + half]))


def _second_difference(picture: Array) -> float:
    rows = picture[:-2] - 2 * picture[1:-1] + picture[2:]
    both = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    quarter_of_normal, gain = 0.31864, 6.0
    return float(np.percentile(np.abs(both - np.median(both)), 25) / quarter_of_normal / gain)


def _binned(picture: Array, factor: int) -> Array:
    """Means of squares of `factor` pixels; the last ones repeat the border."""
    if factor == 1:
        return picture
    height, width = (-side % factor for side in picture.shape)
    full = np.pad(picture, ((0, height), (0, width)), mode="edge") if height or width else picture
    rows, columns = (side // factor for side in full.shape)
    return np.asarray(full.reshape(rows, factor, columns, factor).mean(axis=(1, 3)))


def _enlarged(small: Array, factor: int, shape: tuple[int, ...]) -> Array:
    """The inverse of `_binned`, linear between the middles of the squares."""
    if factor == 1:
        return small
    for axis, side in enumerate(shape):
        place = np.clip((np.arange(side) + 0.5) / factor - 0.5, 0, small.shape[axis] - 1)
        low = np.minimum(place.astype(int), max(small.shape[axis] - 2, 0))
        share = np.expand_dims(place - low, 1 - axis)
        high = np.minimum(low + 1, small.shape[axis] - 1)
        small = (1 - share) * small.take(low, axis) + share * small.take(high, axis)
    return small


def _flattened(picture: Array) -> Array:
    """The picture less a polynomial of second order through its background, fitted to what is not bright."""
    factor = max(1, min(picture.shape) // 64)
    small = _binned(picture, factor)
    terms = _polynomial(small.shape, factor, picture.shape)
    values = small.ravel()
    dark = np.ones(values.size, dtype=bool)
    for _ in range(12):
        coefficients = np.linalg.lstsq(terms[dark], values[dark], rcond=None)[0]
        rest = values - terms @ coefficients
        middle = np.median(rest[dark])
        below = rest[dark & (rest <= middle)]
        dark = rest < middle + 2.5 * max(
            1.4826 * float(np.median(middle - below)), 1e-9 * float(np.ptp(values)) + 1e-300
        )
    surface = _polynomial(picture.shape, 1, picture.shape) @ coefficients
    return np.asarray(picture - surface.reshape(picture.shape))


def _polynomial(shape: tuple[int, ...], factor: int, full: tuple[int, ...]) -> Array:
    y, x = ((np.arange(n) * factor + (factor - 1) / 2) / side * 2 - 1 for n, side in zip(shape, full, strict=True))
    y, x = np.broadcast_arrays(y[:, None], x)
    powers = [(i, j) for i in range(_ORDER + 1) for j in range(_ORDER + 1 - i)]
    return np.stack([(y**i * x**j).ravel() for i, j in powers], axis=1)


def _background(level: Array, cell: Flags, diameter: float) -> Array:
    """Mean of the cell-free pixels around each pixel, Gaussian weights; farther ones count where there are none."""
    from scipy.ndimage import gaussian_filter

    factor = max(1, int(diameter / 6))
    light, weight = _binned(np.where(cell, 0.0, level), factor), _binned((~cell).astype(float), factor)
    above, below = np.zeros_like(light), np.full_like(light, 1e-9)
    for reach, trust in ((diameter, 1.0), (4 * diameter, 1e-3)):
        above += trust * gaussian_filter(light, reach / factor)
        below += trust * gaussian_filter(weight, reach / factor)
    return _enlarged(above / below, factor, level.shape)


# Spots


def _response(level: Array, scale: float) -> Array:
    """-s² LoG: positive in bright spots, highest where s fits them."""
    from scipy.ndimage import gaussian_laplace

    factor = max(1, int(scale / 3))
    fine = scale / factor
    return _enlarged(-(fine**2) * gaussian_laplace(_binned(level, factor), fine), factor, level.shape)


def _noise_gain(scale: float) -> float:
    """SD of `_response` of white noise of SD 1: ``s² sqrt(∫ LoG²) = 1 / (s sqrt(2 π))``."""
    return 1 / (scale * math.sqrt(2 * math.pi))


def _spots(level: Array, noise: float, significance: float) -> _Spot:
    """Maxima of the response over place and scale that noise does not make."""
    from scipy.ndimage import gaussian_laplace, maximum_filter

    side = min(level.shape)
    largest = max(side / 4, min(side / 2, 50)) / DIAMETER_PER_SCALE
    scales = 1.6 * _STEP ** np.arange(max(math.ceil(math.log(largest / 1.6, _STEP)) + 2, 3))
    factors = [max(1, int(scale / 1.9)) for scale in scales]
    maps = [-((s / f) ** 2) * gaussian_laplace(_binned(level, f), s / f) for s, f in zip(scales, factors, strict=True)]
    tops = [maximum_filter(response, 3) for response in maps]
    found = []
    for k in range(1, len(scales) - 1):
        high = (maps[k] == tops[k]) & (maps[k] > significance * noise * _noise_gain(scales[k]))
        at = np.stack(np.nonzero(high), axis=1)
        strength = maps[k][high]
        place = (at + 0.5) * factors[k]
        below, above = (_looked_up(tops[other], place, factors[other]) for other in (k - 1, k + 1))
        scale = scales[k] * _STEP ** _vertex(below, strength, above)
        best = (strength >= below) & (strength >= above) & (scale <= largest)
        found.append(np.stack([*(place - 0.5).T, scale, strength])[:, best])
    return _Spot(*np.concatenate(found, axis=1))


def _looked_up(response: Array, place: NDArray[np.floating], factor: int) -> Array:
    row, column = np.minimum((place / factor).astype(int), np.array(response.shape) - 1).T
    return np.asarray(response[row, column])


def _vertex(below: Array, middle: Array, above: Array) -> Array:
    """Where the parabola through three neighbours is highest, in steps from the middle one."""
    bend = below - 2 * middle + above
    with np.errstate(divide="ignore", invalid="ignore"):
        top = np.where(bend < 0, np.clip((below - above) / (2 * bend), -0.5, 0.5), 0.0)
    return np.asarray(top, dtype=float)


def _common_diameter(spots: _Spot) -> float:
    """Median over the spots, the weak ones left out and none inside a stronger one; NaN without any.

    They are weighed by strength, and by size so that texture within large cells does not win; not above
    twice the median size by strength alone, so that haze does not win either.
    """
    if not spots.strength.size:
        return math.nan
    spots = spots.only(_apart(spots))
    cap = np.median(spots.strength)
    spots = spots.only(spots.strength > WEAK * cap)
    weight = np.minimum(spots.strength, cap)
    weight = weight * np.minimum(spots.scale, 2 * _weighted_median(spots.scale, weight))
    return max(DIAMETER_PER_SCALE * _weighted_median(spots.scale, weight), LEAST_DIAMETER)


def _weighted_median(values: Array, weight: Array) -> float:
    order = np.argsort(values)
    return float(values[order][np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)])


def _apart(spots: _Spot) -> NDArray[np.intp]:
    """Spots of which none has its middle within the radius of a stronger one, the strongest first."""
    kept: list[int] = []
    radius = DIAMETER_PER_SCALE / 2 * spots.scale
    for one in np.argsort(-spots.strength, kind="stable"):
        distance = np.hypot(spots.row[kept] - spots.row[one], spots.column[kept] - spots.column[one])
        if np.all(distance >= np.maximum(radius[kept], radius[one])):
            kept.append(int(one))
    return np.array(kept, dtype=np.intp)


def _seeds(response: Array, least: float) -> Labels:
    """A number at each maximum of the dividing map, 0 elsewhere."""
    from scipy.ndimage import label, maximum_filter

    top, count = label((response == maximum_filter(response, 3)) & (response > least), np.ones((3, 3)))
    if not count:
        return np.asarray(top, dtype=np.int32)
    strength = np.zeros(count + 1)
    strength[top[top > 0]] = response[top > 0]
    strong = strength > WEAK * np.median(strength[1:])
    number = np.where(strong, np.cumsum(strong), 0)
    return np.asarray(number[top], dtype=np.int32)


# Pieces


class _Division(NamedTuple):
    """Pieces from 1, the peak of each (index 0 is no piece), the pairs that meet, and the saddles between them."""

    pieces: Labels
    peaks: Array
    pairs: NDArray[np.int64]
    saddles: Array

    def joined(self, owner: NDArray[np.int64]) -> _Division:
        """The same after pieces went to their owners; numbers have no gaps."""
        used, number = np.unique(owner, return_inverse=True)
        peaks = np.zeros(used.size)
        np.maximum.at(peaks, number, self.peaks)
        pairs = np.sort(number[self.pairs], axis=1)
        apart = pairs[:, 0] != pairs[:, 1]
        return _Division(number.astype(np.int32)[self.pieces], peaks, pairs[apart], self.saddles[apart])

    def shallow(self) -> Array:
        """Of each piece the saddle that divides it least, from 0 for none to 1 for one at which pieces are joined."""
        ratio = np.zeros(len(self.peaks))
        height = self.saddles / self.peaks[self.pairs].min(axis=1)
        np.maximum.at(ratio, self.pairs, height[:, None])
        return np.clip(ratio / SADDLE, 0, 1)


def _divided(response: Array, seeds: Labels, diameter: float) -> _Division:
    """A watershed from the seeds, where the response is positive and a seed not far."""
    from scipy.ndimage import distance_transform_edt, grey_dilation
    from skimage.segmentation import watershed

    near = distance_transform_edt(seeds == 0) < REACH * diameter
    rim = grey_dilation(response, size=(3, 3)) > 0
    pieces = watershed(-response, seeds, mask=near & rim).astype(np.int32)
    peaks = np.zeros(int(seeds.max()) + 1)
    peaks[seeds[seeds > 0]] = response[seeds > 0]
    return _Division(pieces, peaks, *_contacts(pieces, response))


def _contacts(pieces: Labels, response: Array) -> tuple[NDArray[np.int64], Array]:
    """Pairs of pieces that meet, smaller number first, and the highest pass between them."""
    keys, passes, base = [], [], int(pieces.max()) + 1
    for first, second in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
        (np.s_[:-1, :-1], np.s_[1:, 1:]),
        (np.s_[:-1, 1:], np.s_[1:, :-1]),
    ):
        a, b = pieces[first], pieces[second]
        meet = (a != b) & (a > 0) & (b > 0)
        low, high = np.minimum(a[meet], b[meet]).astype(np.int64), np.maximum(a[meet], b[meet])
        keys.append(low * base + high)
        passes.append(np.minimum(response[first][meet], response[second][meet]))
    key, place = np.unique(np.concatenate(keys), return_inverse=True)
    saddles = np.full(key.size, -np.inf)
    np.maximum.at(saddles, place, np.concatenate(passes))
    return np.stack([key // base, key % base], axis=1), saddles


def _over_saddles(division: _Division) -> _Division:
    """Pieces joined that hardly a valley divides, the highest saddle first."""
    owner = np.arange(len(division.peaks))
    peaks = division.peaks.copy()
    for one in np.argsort(-division.saddles, kind="stable"):
        a, b = sorted(owner[division.pairs[one]])
        if a != b and division.saddles[one] > SADDLE * min(peaks[a], peaks[b]):
            owner[owner == b] = a
            peaks[a] = max(peaks[a], peaks[b])
    return division.joined(owner)


def _to_round(division: _Division, labels: Labels, light: Array) -> _Division:
    """Pieces joined that together have no notch and one brightness, the smoothest outline first."""
    order = np.argsort(labels, axis=None, kind="stable")
    ends = np.cumsum(np.bincount(labels.ravel(), minlength=len(division.peaks)))
    places = {n: np.stack(np.unravel_index(order[ends[n - 1] : ends[n]], labels.shape), 1) for n in range(1, ends.size)}
    top = {n: float(np.percentile(light[*place.T], 95)) if len(place) else 0.0 for n, place in places.items()}
    pairs, passes = _contacts(labels, light)
    owner = np.arange(len(division.peaks))
    waiting = {(int(a), int(b)): float(height) for (a, b), height in zip(pairs, passes, strict=True)}
    notches = {pair: _notch(*(places[one] for one in pair)) for pair in waiting}
    while notches:
        a, b = pair = min(notches, key=lambda each: notches[each])
        if notches.pop(pair) > NOTCH:
            break
        if min(top[a], top[b], waiting[pair]) < EVEN * max(top[a], top[b]):
            continue
        owner[owner == b] = a
        places[a], top[a] = np.concatenate([places[a], places.pop(b)]), max(top[a], top[b])
        waiting = _renamed(waiting, b, a)
        notches = {
            each: _notch(*(places[one] for one in each)) if a in each else notches[each]
            for each in waiting
            if a in each or each in notches
        }
    return division.joined(owner)


def _renamed(pairs: dict[tuple[int, int], float], old: int, new: int) -> dict[tuple[int, int], float]:
    """Pairs after one piece went into another, each with its highest pass."""
    result: dict[tuple[int, int], float] = {}
    for pair, height in pairs.items():
        a, b = sorted(new if one == old else one for one in pair)
        if a != b:
            result[a, b] = max(height, result.get((a, b), -math.inf))
    return result


def _notch(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Area between two pieces, holes filled, and the convex hull of both, over that of the smaller piece."""
    from scipy.ndimage import binary_fill_holes
    from scipy.spatial import ConvexHull

    both = np.concatenate([first, second])
    mask = np.zeros(np.ptp(both, axis=0) + 1, dtype=bool)
    mask[tuple((both - both.min(axis=0)).T)] = True
    corners = np.concatenate([both + side for side in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5))])
    area = np.count_nonzero(binary_fill_holes(mask))
    return float((ConvexHull(corners).volume - area) / min(len(first), len(second)))


def _outlined(level: Array, pieces: Labels, diameter: float, outline: float) -> tuple[Labels, Array]:
    """Pieces cut at a share of their peak, and the light above the background."""
    from scipy.ndimage import binary_dilation, gaussian_filter

    small = min(diameter, 100)
    smooth = gaussian_filter(level, small / 20)
    cell = binary_dilation(pieces > 0, iterations=max(1, round(small / 8)))
    for _ in range(2):
        light = smooth - _background(smooth, cell, diameter)
        labels = _cut(light, pieces, outline, SMALLEST * math.pi / 4 * diameter**2)
        cell = binary_dilation(labels > 0, iterations=max(1, round(small / 5)))
    return labels, light


def _cut(light: Array, pieces: Labels, outline: float, least: float) -> Labels:
    """Of each piece the largest connected part brighter than a share of its peak, without holes."""
    from scipy.ndimage import binary_fill_holes, find_objects, label

    labels = np.zeros_like(pieces)
    for number, window in enumerate(find_objects(pieces), start=1):
        if window is None:
            continue
        mine = pieces[window] == number
        peak = float(np.percentile(light[window][mine], 95))
        parts, count = label(mine & (light[window] > outline * peak))
        if count == 0 or peak <= 0:
            continue
        part = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
        part = binary_fill_holes(part) & (mine | (pieces[window] == 0))
        if part.sum() >= least:
            labels[window][part] = number
    return labels


# What was found


def _sharp(labels: Labels, light: Array, most: float) -> Labels:
    """The cells in focus: what is blurred by about half of its radius, or is far too large, is haze."""
    from scipy.ndimage import binary_erosion, find_objects

    slope = np.hypot(*np.gradient(light))
    edge = (labels > 0) & ~binary_erosion(labels > 0)
    keep = np.zeros(int(labels.max()) + 1, dtype=bool)
    for number, window in enumerate(find_objects(labels), start=1):
        if window is None:
            continue
        mine = labels[window] == number
        rim = mine & edge[window]
        peak, radius = np.percentile(light[window][mine], 95), math.sqrt(mine.sum() / math.pi)
        steep = not rim.any() or np.median(slope[window][rim]) * radius > SHARP * peak
        keep[number] = steep and mine.sum() <= most
    return np.where(keep[labels], labels, 0).astype(np.int32)


def _described(labels: Labels, light: Array, shallow: Array, diameter: float, *, haze: int) -> Cells:
    """The cells that are left, numbered anew, with what is known of each."""
    from skimage.measure import regionprops_table

    table = regionprops_table(labels, properties=("label", "area", "area_convex", "centroid"))
    old = table["label"]
    number = np.zeros(int(old.max()) + 1, dtype=np.int32)
    number[old] = np.arange(1, old.size + 1)
    labels = number[labels]
    cut = _cut_share(labels)
    convex = np.minimum(table["area"] / table["area_convex"], 1)
    size = np.minimum(LARGE * math.pi / 4 * diameter**2 / table["area"], 1)
    clear = _contrast(labels, light) / (_contrast(labels, light) + FAINT * _spread(labels, light))
    return Cells(
        labels=labels,
        score=clear * (1 - shallow[old]) * (1 - cut) * convex * size,
        touching=_touching(labels),
        border=cut > 0,
        area=table["area"].astype(np.int64),
        centre=np.stack([table["centroid-0"], table["centroid-1"]], axis=1),
        diameter=diameter,
        notes=_notes(table["area"], diameter, haze),
    )


def _notes(area: Array, diameter: float, haze: int) -> tuple[str, ...]:
    notes = []
    large = int(np.sum(area > LARGE * math.pi / 4 * diameter**2))
    if large:
        notes.append(
            f"{large} of {len(area)} cells are more than {LARGE:g} times as large as a circle of the common diameter "
            f"({diameter:.0f} pixels): look at them, and give the diameter if it is wrong."
        )
    if haze:
        notes.append(
            f"{haze} bright patches were left out as haze: their edges are blurred, or they are more than {HUGE:g} "
            f"times as large as a circle of the common diameter ({diameter:.0f} pixels)."
        )
    return tuple(notes)


def _contrast(labels: Labels, light: Array) -> Array:
    """Mean light of each cell above its background."""
    return np.bincount(labels.ravel(), weights=light.ravel())[1:] / np.bincount(labels.ravel())[1:]


def _spread(labels: Labels, light: Array) -> float:
    """SD of the light where no cell is near, from its lower half; 0 if there is no such place."""
    from scipy.ndimage import binary_dilation

    free = light[~binary_dilation(labels > 0, iterations=3)]
    if not free.size:
        return 0.0
    middle = np.median(free)
    return 1.4826 * float(np.median(middle - free[free <= middle]))


def _touching(labels: Labels) -> Flags:
    """Which cells have another one within two pixels."""
    from scipy.ndimage import maximum_filter, minimum_filter

    none = np.iinfo(np.int32).max
    highest = maximum_filter(labels, 5)
    lowest = minimum_filter(np.where(labels > 0, labels, none), 5)
    found = np.zeros(int(labels.max()) + 1, dtype=bool)
    found[labels[(labels > 0) & ((highest != labels) | (lowest != labels))]] = True
    return found[1:]


def _cut_share(labels: Labels) -> Array:
    """Share of each cell's outline that lies on the picture's border."""
    inner = np.pad(labels, 1)
    frame = np.pad(labels, 1, mode="edge")
    edge, cut = np.zeros(labels.shape, dtype=bool), np.zeros(labels.shape, dtype=bool)
    for window in (np.s_[:-2, 1:-1], np.s_[2:, 1:-1], np.s_[1:-1, :-2], np.s_[1:-1, 2:]):
        edge |= inner[window] != labels
        cut |= (inner[window] != labels) & (frame[window] == labels)
    count = int(labels.max()) + 1
    whole = np.bincount(labels[edge], minlength=count)[1:]
    return np.bincount(labels[cut], minlength=count)[1:] / np.maximum(whole, 1)
