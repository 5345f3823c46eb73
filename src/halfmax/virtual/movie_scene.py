"""What happens in a virtual dish: where its cells lie, what their calcium does, how it drifts, what shines behind them.

All of it is drawn from streams of random numbers of their own, so that another noise does not move the cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfmax.curves import hill
from halfmax.errors import RangeError
from halfmax.virtual.movie_design import Addition, MovieDesign

__all__ = ["Scene", "background_shapes", "background_time", "draw", "label_image"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: Of the profile at the outline, as a share of its peak.
THRESHOLD = 0.25
#: Where the profile ends, in radii of the outline: there (r / REACH)**4 is 1, and 1/2 at the outline.
REACH = 2.0**0.25
_TRIES = 4000


@dataclass(frozen=True, eq=False)
class Scene:
    """Cells, their calcium, and their drift.

    Parameters
    ----------
    centres : array, shape (cells, 2), pixels
        Row and column in the first frame.
    axes : array, shape (cells, 2), pixels
        Long and short half axis of the outline.
    angle : array, shape (cells,), rad
        Of the long axis, from down to right.
    brightness : array, shape (cells,), e
    touching, responder, oscillator : array of bool, shape (cells,)
    calcium : array, shape (cells, frames), M
    shifts : array, shape (frames, 2), pixels
    """

    centres: Array
    axes: Array
    angle: Array
    brightness: Array
    touching: Flags
    responder: Flags
    oscillator: Flags
    calcium: Array
    shifts: Array

    def forms(self) -> Array:
        """Coefficients a, b, c of s = a dy² + 2 b dy dx + c dx², shape (cells, 3); the profile is (1 - min(s, 1)²)²."""
        return _form(self.axes, self.angle)


def draw(design: MovieDesign, streams: list[np.random.Generator]) -> Scene:
    """Draw a scene: cells, brightness, calcium and drift each from its own stream."""
    place, shine, answer, move = streams
    centres, axes, angle, touching = _place(design, place)
    calcium, responder, oscillator = _calcium(design, answer)
    return Scene(
        centres=centres,
        axes=axes,
        angle=angle,
        brightness=_brightness(design, shine),
        touching=touching,
        responder=responder,
        oscillator=oscillator,
        calcium=calcium,
        shifts=_shifts(design, move),
    )


def _form(axes: Array, angle: Array) -> Array:
    long, short = (1.0 / (axes * REACH) ** 2).T
    cosine, sine = np.cos(angle), np.sin(angle)
    across = (long - short) * sine * cosine
    return np.stack([long * cosine**2 + short * sine**2, across, long * sine**2 + short * cosine**2], axis=1)


def _share_of(number: int, share: float, rng: np.random.Generator) -> Flags:
    """Flags of a share of the cells, exact but for rounding."""
    chosen = np.zeros(number, dtype=bool)
    chosen[rng.permutation(number)[: round(share * number)]] = True
    return chosen


# Where the cells lie


def _place(design: MovieDesign, rng: np.random.Generator) -> tuple[Array, Array, Array, Flags]:
    """Centres, half axes, angles and who touches, by rejection: light of separate cells never overlaps."""
    cells = design.cells
    pairs = round(cells.touching * cells.number / 2)
    radius = np.maximum(rng.normal(cells.radius, cells.radius_sd, cells.number), 0.5 * cells.radius)
    stretch = np.sqrt(rng.uniform(1.0, cells.aspect, cells.number))
    axes = np.stack([radius * stretch, radius / stretch], axis=1)
    angle = rng.uniform(0, np.pi, cells.number)
    form = _form(axes, angle)
    centres = np.zeros((cells.number, 2))
    occupied = np.zeros(design.shape, dtype=bool)
    first = 0
    while first < cells.number:
        group = np.arange(first, first + (2 if first < 2 * pairs else 1))
        centres[group] = _room_for(design, form[group], occupied, rng, placed=first)
        first += len(group)
    return centres, axes, angle, np.arange(cells.number) < 2 * pairs


def _room_for(design: MovieDesign, form: Array, occupied: Flags, rng: np.random.Generator, *, placed: int) -> Array:
    """Centres of one cell or of a touching pair where nobody is yet; the place is then taken."""
    extent = _extent(form) / REACH + design.cells.margin
    limit = np.array(design.shape) - 1.0
    if np.all(2 * extent < limit):
        for _ in range(_TRIES):
            centres = rng.uniform(extent[0], limit - extent[0])[None, :]
            if len(form) == 2:
                centres = np.concatenate([centres, _beside(centres[0], form, rng.uniform(0, 2 * np.pi))[None, :]])
            if np.any(centres < extent) or np.any(centres > limit - extent):
                continue
            supports = [_support(centre, shape, occupied.shape) for centre, shape in zip(centres, form, strict=True)]
            if any(np.any(occupied[window] & (s <= 1)) for window, s in supports):
                continue
            for window, s in supports:
                occupied[window] |= s <= 1
            return np.asarray(centres, dtype=float)
    height, width = design.shape
    raise RangeError(
        f"virtual movie, cells: expected room for {design.cells.number} cells in {height} × {width} pixels, "
        f"found it for {placed} after {_TRIES} tries. Make the cells fewer or smaller, or the picture larger."
    )


def _extent(form: Array) -> Array:
    """Half height and half width of the ellipses where the profile ends, shape (cells, 2)."""
    determinant = form[:, 0] * form[:, 2] - form[:, 1] ** 2
    return np.asarray(np.sqrt(np.stack([form[:, 2], form[:, 0]], axis=1) / determinant[:, None]), dtype=float)


def _support(centre: Array, form: Array, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], Array]:
    """Window of the picture round a cell, and s in it: 1 where the profile ends."""
    reach = _extent(form[None, :])[0]
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(centre + reach) + 1, shape).astype(int)
    dy = np.arange(low[0], high[0])[:, None] - centre[0]
    dx = np.arange(low[1], high[1])[None, :] - centre[1]
    s = form[0] * dy**2 + 2 * form[1] * dy * dx + form[2] * dx**2
    return (slice(low[0], high[0]), slice(low[1], high[1])), s


def _beside(centre: Array, form: Array, direction: float) -> Array:
    """Centre of a second cell in a direction from the first, so near that the outlines just overlap."""
    towards = np.array([np.sin(direction), np.cos(direction)])
    turn = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    root = np.linalg.cholesky(np.array([[form[1, 0], form[1, 1]], [form[1, 1], form[1, 2]]]))
    outline = np.linalg.solve(root.T, np.stack([np.sin(turn), np.cos(turn)])).T / REACH
    low, high = 0.0, float(2 * _extent(form).max())
    for _ in range(30):
        distance = (low + high) / 2
        y, x = (outline + distance * towards).T
        inside = form[0, 0] * y**2 + 2 * form[0, 1] * y * x + form[0, 2] * x**2 < 1 / REACH**2
        low, high = (distance, high) if inside.any() else (low, distance)
    return np.asarray(centre + (low - 1.0) * towards, dtype=float)


def label_image(scene: Scene, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Cell of each pixel in the first frame, from 1; 0 where no profile is above the threshold.

    Where two outlines overlap, the pixel is that of the cell with the higher profile.
    """
    labels = np.zeros(shape, dtype=np.int32)
    best = np.full(shape, THRESHOLD)
    for cell, (centre, form) in enumerate(zip(scene.centres, scene.forms(), strict=True), start=1):
        window, s = _support(centre, form, shape)
        profile = (1 - np.minimum(s, 1.0) ** 2) ** 2
        higher = profile >= best[window]
        best[window][higher] = profile[higher]
        labels[window][higher] = cell
    return labels


# How bright they are


def _brightness(design: MovieDesign, rng: np.random.Generator) -> Array:
    """Light at the centre of each cell, e."""
    cells, camera, optics = design.cells, design.camera, design.optics
    brightness = cells.brightness * np.exp(rng.normal(0, cells.brightness_sd, cells.number))
    bright = _share_of(cells.number, cells.saturated, rng)
    share = design.calcium.resting / (design.calcium.resting + optics.kd)
    resting = max(free * (1 - share) + bound * share for free, bound in zip(optics.free, optics.bound, strict=True))
    brightness[bright] = 1.5 * (camera.full_scale - camera.offset) / camera.gain / resting
    return np.asarray(brightness, dtype=float)


# What calcium does


def _calcium(design: MovieDesign, rng: np.random.Generator) -> tuple[Array, Flags, Flags]:
    """Calcium at the start of each frame, M; who answers to samples; who oscillates."""
    calcium, number = design.calcium, design.cells.number
    time = design.interval * np.arange(design.frames, dtype=float)
    responder = _share_of(number, calcium.responders, rng)
    oscillator = _share_of(number, calcium.oscillators, rng)
    resting = calcium.resting * np.exp(rng.normal(0, calcium.resting_sd, number))
    result = np.repeat(resting[:, None], design.frames, axis=1)
    period = calcium.period * np.exp(rng.normal(0, 0.1, number))
    turn = 2 * np.pi * (time / period[:, None] + rng.uniform(0, 1, number)[:, None])
    result += oscillator[:, None] * calcium.oscillation * np.exp(4 * (np.cos(turn) - 1))
    for addition in design.additions:
        answers = np.ones(number, dtype=bool) if addition.role == "reference" else responder
        rise = _height(addition) * np.exp(rng.normal(0, calcium.amplitude_sd, number)) * answers
        result += rise[:, None] * _course(design, addition, time, rng)
    return result, responder, oscillator


def _height(addition: Addition) -> float:
    """Rise of the median responder, M."""
    if addition.role in ("vehicle", "wash") or np.isnan(addition.concentration):
        return 0.0
    return float(hill(addition.concentration, ec50=addition.ec50, hill_slope=addition.hill_slope, top=addition.emax))


def _course(design: MovieDesign, addition: Addition, time: Array, rng: np.random.Generator) -> Array:
    """Course of an answer of height 1, shape (cells, frames)."""
    calcium = design.calcium
    medians = np.array([[calcium.latency], [calcium.rise], [calcium.decay], [calcium.washout]])
    spread = np.exp(rng.normal(0, calcium.kinetic_sd, (4, design.cells.number)))
    latency, rise, decay, washout = (medians * spread)[:, :, None]
    since = np.maximum(time - addition.start_s - latency, 0.0)
    rising = -np.expm1(-since / rise)
    peak = decay / (rise + decay) * (rise / (rise + decay)) ** (rise / decay)
    course = (1 - addition.plateau) * rising * np.exp(-since / decay) / peak + addition.plateau * rising
    return np.asarray(course * np.exp(-np.maximum(time - addition.end_s, 0.0) / washout), dtype=float)


# How the dish moves, and what shines behind it


def _shifts(design: MovieDesign, rng: np.random.Generator) -> Array:
    """By how much each frame lies down and right of the first, pixels."""
    from scipy.ndimage import gaussian_filter1d

    drift, frames = design.drift, design.frames
    steps = rng.standard_normal((frames, 2))
    if drift.smoothness > 0:
        steps = gaussian_filter1d(steps, drift.smoothness, axis=0, mode="reflect")
    walk = np.cumsum(steps, axis=0)
    walk -= walk[0]
    size = float(np.sqrt(np.mean(np.sum(walk**2, axis=1))))
    walk *= drift.rms / size if size > 0 else 0.0
    for _ in range(drift.jumps if frames > 1 else 0):
        direction = rng.uniform(0, 2 * np.pi)
        walk[rng.integers(1, frames) :] += drift.jump * np.array([np.sin(direction), np.cos(direction)])
    return np.asarray(walk, dtype=float)


def background_shapes(design: MovieDesign, rng: np.random.Generator) -> NDArray[np.float32]:
    """Background of each channel relative to its mean over the picture, shape (channels, height, width)."""
    y, x = (np.linspace(-1, 1, side) for side in design.shape)
    shapes = np.ones((len(design.optics.channels), *design.shape))
    for shape in shapes:
        a, b, c, d, e = rng.standard_normal(5)
        field = a * y[:, None] + b * x + c * y[:, None] ** 2 + d * y[:, None] * x + e * x**2
        field -= field.mean()
        shape += design.background.unevenness * field / np.abs(field).max()
    return np.asarray(shapes, dtype=np.float32)


def background_time(design: MovieDesign, time_s: Array) -> Array:
    """Mean background of each page, e, shape (frames, channels)."""
    background, channels = design.background, time_s.shape[1]
    level = np.array(background.level[:channels]) * np.exp(-time_s * np.array(background.rate[:channels]))
    for addition in design.additions:
        level = level * np.where(time_s >= addition.start_s, 1 + background.step, 1.0)
    return np.asarray(level, dtype=float)
