"""One recording from pages to responses: the steps of this folder in their order, and what came of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from halfmax.assays.calcium.bleach import BleachRates, bleach_rates, corrected
from halfmax.assays.calcium.calibration import Calibration
from halfmax.assays.calcium.camera import Camera, measure_camera
from halfmax.assays.calcium.events import Events, Kinetics, fit_kinetics, measure_events
from halfmax.assays.calcium.extract import extract, picture_of
from halfmax.assays.calcium.ratio import Artefact, compound_artefact, ratio, relative_change
from halfmax.assays.calcium.responders import Recording, ResponderCalls, Rule, call_responders
from halfmax.assays.calcium.segment import Cells, anatomy, segment
from halfmax.assays.calcium.traces import Traces
from halfmax.assays.calcium.windows import Window
from halfmax.errors import RangeError, StudyError, TableError
from halfmax.movie import Movie, Page, Stimulus, check_stimuli

__all__ = ["Dish", "Settings", "StimulusResponse", "analyse_dish", "outlines_of"]

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

#: Frames and side of the window, pixels, from which an unknown camera is measured.
_CAMERA_FRAMES, _CAMERA_SIDE = 24, 96
#: A cell found with a lower score than this is worth a look.
_DOUBTFUL = 0.4
#: Frames after an addition in which an artefact of the compound would show.
_ARTEFACT_FRAMES = 2


@dataclass(frozen=True)
class Settings:
    """How a recording is analysed.

    Parameters
    ----------
    baseline_s, response_s : float, s
        Lengths of the windows before and after a stimulus. Where stimuli follow each other sooner, both are shortened.
    settle_s : float, s
        How long after the addition the response window begins.
    camera : Camera, optional
        Measured from the recording where not given.
    calibration : Calibration, optional
        For [Ca²⁺] of a ratiometric dye.
    diameter : float, pixels, optional
        Of a cell; found from the picture where not given.
    bleaching : bool
        Whether bleaching is made good.
    rule : Rule
        How responders are called.
    """

    baseline_s: float = 60.0
    response_s: float = 60.0
    settle_s: float = 0.0
    camera: Camera | None = None
    calibration: Calibration | None = None
    diameter: float | None = None
    bleaching: bool = True
    rule: Rule = field(default_factory=Rule)

    def __post_init__(self) -> None:
        for name in ("baseline_s", "response_s"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise RangeError(f"{name} must be a number of seconds > 0, found {getattr(self, name):g}.")


@dataclass(frozen=True, eq=False)
class StimulusResponse:
    """What the cells of a dish did after one stimulus.

    Parameters
    ----------
    stimulus : Stimulus
    baseline, response : Window
    events : Events
        Of the signal, one value a cell.
    calls : ResponderCalls
    artefact : Artefact or None
        Of two-channel dyes: whether the compound itself gives light.
    rest, peak : array, shape (cells,), M
        [Ca²⁺] before, and at the peak; empty without a calibration.
    kinetics : Kinetics or None
        Rise and decay of the mean of the cells that respond; None where none does.
    """

    stimulus: Stimulus
    baseline: Window
    response: Window
    events: Events
    calls: ResponderCalls
    artefact: Artefact | None
    rest: Array
    peak: Array
    kinetics: Kinetics | None = None


@dataclass(frozen=True, eq=False)
class Dish:
    """One recording, analysed.

    Parameters
    ----------
    traces : Traces
        As extracted; `lights` the same with bleaching made good.
    signal, variance : array, shape (cells, frames)
        Ratio, or ΔF/F0 of a dye with one channel.
    time_s : array, shape (frames,), s
    unit : {"ratio", "ΔF/F0"}
    rates : BleachRates or None
    camera : Camera
    responses : tuple of StimulusResponse, one a stimulus
    picture : array, shape (channels, height, width), ADU
    labels : array of int, shape (height, width)
    found : Cells or None
        How the cells were found; None where masks were given.
    notes : tuple of str
    calibration : Calibration or None
    """

    traces: Traces
    lights: Traces
    signal: Array
    variance: Array
    time_s: Array
    unit: str
    rates: BleachRates | None
    camera: Camera
    responses: tuple[StimulusResponse, ...]
    picture: Array
    labels: NDArray[np.int32]
    found: Cells | None
    notes: tuple[str, ...]
    calibration: Calibration | None = None

    @property
    def cells(self) -> int:
        """Number of cells, active or not."""
        return self.traces.cells

    @property
    def responding(self) -> NDArray[np.bool_]:
        """Cells that respond to any sample, shape (cells,)."""
        called = [one.calls.called for one in self.responses if one.stimulus.role == "sample"]
        return np.logical_or.reduce(called) if called else np.zeros(self.cells, dtype=bool)


def analyse_dish(
    movie: Movie,
    *,
    masks: NDArray[np.int32] | None = None,
    stimuli: Sequence[Stimulus] = (),
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Dish:
    """Cells, traces and responses of one recording.

    Parameters
    ----------
    movie : Movie
        Of one or two channels; of two, the ratio of the first to the second is the signal.
    masks : array of int, shape (height, width), optional
        Cell of each pixel in the first frame; found from the picture where not given.
    stimuli : sequence of Stimulus
    settings : Settings, optional
    progress : callable, optional
        Told how many frames are done, and how many there are.

    Returns
    -------
    Dish

    Raises
    ------
    StudyError
        If a stimulus lies outside the recording.
    TableError
        If there are too few frames, no times, or no cells.
    """
    chosen = settings or Settings()
    _check(movie)
    ordered = tuple(sorted(stimuli, key=lambda one: one.start_s))
    check_stimuli(ordered, float(movie.time_s.max()))
    camera, said = (chosen.camera, ()) if chosen.camera else _measured(movie)
    found = None if masks is not None else _segmented(movie, chosen)
    labels = masks if masks is not None else found.labels if found else np.zeros(movie.shape, dtype=np.int32)
    traces, picture = extract(movie, labels, camera=camera, progress=progress)
    before = _before(ordered, traces)
    rates = bleach_rates(traces, before) if chosen.bleaching else None
    lights = corrected(traces, rates) if rates else traces
    signal, variance, time, unit = _signal(lights, before)
    responses = _responses(ordered, chosen, lights, signal, time, unit)
    notes = (*movie.notes, *said, *(_doubts(found) if found else ()), *lights.notes)
    return Dish(
        traces, lights, signal, variance, time, unit, rates, camera, tuple(responses), picture, labels, found, notes,
        chosen.calibration,
    )  # fmt: skip


def _check(movie: Movie) -> None:
    """Refuse what cannot be followed in time."""
    if len(movie.channels) > 2:
        raise TableError(
            f"the recording has {len(movie.channels)} channels ({', '.join(movie.channels)}). Calcium takes one, or "
            "the two of a ratiometric dye: choose them by name."
        )
    if movie.frames < 2:
        raise TableError("the recording has one frame, and calcium needs a course in time. Give the whole recording.")
    if not np.isfinite(movie.time_s).all():
        raise TableError(
            "nothing says when the frames of the recording were taken, and calcium needs a course in time. Say how "
            'far apart they are: interval = "2 s".'
        )


def _measured(movie: Movie) -> tuple[Camera, tuple[str, ...]]:
    """Camera measured in the first frames, in the channel with most light and where it differs most."""
    frames = range(min(_CAMERA_FRAMES, movie.frames))
    channel = max(range(len(movie.channels)), key=lambda one: float(movie.page(0, one).mean()))
    rows, columns = _varied(movie.page(0, channel))
    pages = np.stack([movie.page(frame, channel)[rows, columns] for frame in frames])
    found = measure_camera(pages, saturated=movie.saturated)
    said = f"Camera measured from the recording: gain {found.camera.gain:.3g} ADU/e, offset taken as 0."
    return found.camera, (said, *found.notes)


def _varied(page: Page) -> tuple[slice, slice]:
    """The window of a page, of those side by side, whose light varies most."""
    rows, columns = (
        [slice(one[0], one[-1] + 1) for one in np.array_split(np.arange(length), max(length // _CAMERA_SIDE, 1))]
        for length in page.shape
    )
    return max(product(rows, columns), key=lambda window: float(page[window].std()))


def _segmented(movie: Movie, settings: Settings) -> Cells:
    """Cells by anatomy, from a picture of the whole recording."""
    found = segment(anatomy(picture_of(movie)), diameter=settings.diameter)
    if not (found.labels > 0).any():
        raise TableError(
            "no cell was found in the picture of the recording. Give masks, or the diameter of a cell in pixels."
        )
    return found


def _doubts(found: Cells) -> tuple[str, ...]:
    """What is to be said against the cells that were found."""
    doubtful = int((found.score < _DOUBTFUL).sum())
    if not doubtful:
        return found.notes
    return (
        *found.notes,
        f"{doubtful} of {found.score.size} cells were found with a score below {_DOUBTFUL:g} (faint, touching, or cut "
        "by the edge): look at their outlines, or give masks.",
    )


def _before(stimuli: Sequence[Stimulus], traces: Traces) -> Window:
    """All that comes before the first stimulus; half of the recording where there is none."""
    start, end = float(traces.time_s.min()), float(traces.time_s.max())
    first = stimuli[0].start_s if stimuli else (start + end) / 2
    if not first > start:
        raise StudyError(
            f"stimulus {stimuli[0].name} begins with the first frame, and there is no baseline. Record before it."
        )
    return Window(start, first)


def _signal(lights: Traces, before: Window) -> tuple[Array, Array, Array, str]:
    """Ratio of two channels, or the relative change of one."""
    if len(lights.channels) == 2:
        found = ratio(lights)
        return found.value, found.variance, found.time_s, "ratio"
    time = lights.time_s[:, 0]
    change = relative_change(lights.signal[0], lights.variance[0], time, before)
    return change.value, change.variance, time, "ΔF/F0"


def _responses(
    stimuli: Sequence[Stimulus], settings: Settings, lights: Traces, signal: Array, time: Array, unit: str
) -> list[StimulusResponse]:
    """Each stimulus with its windows, which are all of the same lengths."""
    windows = _windows(stimuli, settings, time)
    quiet = Window(float(time[0]), stimuli[0].start_s) if stimuli else None
    recordings = [Recording(signal, time, after, before, quiet) for before, after in windows]
    vehicle = [one for one, stimulus in zip(recordings, stimuli, strict=True) if stimulus.role == "vehicle"]
    result = []
    for stimulus, recording, (before, after) in zip(stimuli, recordings, windows, strict=True):
        others = [one for one in vehicle if one is not recording]
        calls = call_responders(recording, rule=settings.rule, vehicle=others)
        events = measure_events(signal, time, response=after, baseline=before, reads=settings.rule.reads, unit=unit)
        artefact = None
        if len(lights.channels) == 2:
            width = _ARTEFACT_FRAMES * float(np.median(np.diff(time)))
            artefact = compound_artefact(lights, stimulus.start_s, width)
        rest, peak = _in_molar(events, settings.calibration)
        until = min((one.start_s for one in stimuli if one.start_s > stimulus.start_s), default=math.inf)
        kinetics = None
        if stimulus.role != "vehicle" and calls.called.any():
            seen = np.isfinite(signal[calls.called]).any(axis=0)
            mean = np.nanmean(signal[calls.called][:, seen], axis=0)
            kinetics = fit_kinetics(mean, time[seen], response=Window(after.start, until), baseline=before)
        result.append(StimulusResponse(stimulus, before, after, events, calls, artefact, rest, peak, kinetics))
    return result


def _windows(stimuli: Sequence[Stimulus], settings: Settings, time: Array) -> list[tuple[Window, Window]]:
    """Baseline and response window of each stimulus, as long as the closest neighbours allow."""
    starts = [one.start_s for one in stimuli]
    if not starts:
        return []
    first, *between, last = np.diff([float(time[0]), *starts, float(time[-1]) + 1e-9]).tolist()
    baseline = min(settings.baseline_s, first, *(gap / 2 for gap in between))
    response = min(
        settings.response_s, last - settings.settle_s, *(gap - baseline - settings.settle_s for gap in between)
    )
    return [
        (Window(start - baseline, start), Window(start + settings.settle_s, start + settings.settle_s + response))
        for start in starts
    ]


def _in_molar(events: Events, calibration: Calibration | None) -> tuple[Array, Array]:
    """[Ca²⁺] before and at the peak: levels are averaged as ratios and converted once."""
    if calibration is None:
        return np.empty(0), np.empty(0)
    return calibration.concentration(events.base), calibration.concentration(events.base + events.peak)


def outlines_of(labels: NDArray[np.int32]) -> tuple[Array, ...]:
    """Outline of each cell in the order of its number: row and column of each corner, shape (corners, 2)."""
    from scipy import ndimage
    from skimage import measure

    result = []
    for cell, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is None:
            continue
        inside = np.pad(labels[place] == cell, 1).astype(float)
        longest = max(measure.find_contours(inside, 0.5), key=len)
        result.append(longest + np.array([place[0].start - 1.0, place[1].start - 1.0]))
    return tuple(result)
