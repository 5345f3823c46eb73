"""What a virtual recording of calcium is to be: camera, dye, cells, calcium, additions, drift, background.

Light is counted in photo-electrons (e) a pixel and exposure, what the camera writes in ADU, time in s,
concentrations in M, lengths in pixels, spreads of log-normal quantities as SD of the natural logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from numbers import Integral
from typing import Any

from halfmax.errors import RangeError, nearest

__all__ = [
    "Addition",
    "Background",
    "Calcium",
    "Camera",
    "Cells",
    "Drift",
    "Fluo",
    "Fura2",
    "MovieDesign",
    "small_design",
]

ROLES = ("sample", "vehicle", "reference", "wash")


def _check(what: str, good: bool, expected: str, found: object, cure: str = "Change it in the design") -> None:
    if not good:
        raise RangeError(f"virtual movie, {what}: expected {expected}, found {found}. {cure}.")


def _positive(room: str, **values: float) -> None:
    for name, value in values.items():
        _check(f"{room}: {name}", math.isfinite(value) and value > 0, "a number above 0", value)


def _not_negative(room: str, **values: float) -> None:
    for name, value in values.items():
        _check(f"{room}: {name}", math.isfinite(value) and value >= 0, "a number of 0 or more", value)


def _whole(value: object, *, least: float) -> bool:
    return isinstance(value, Integral) and int(value) >= least


def _count(what: str, value: int, *, least: int) -> None:
    _check(what, _whole(value, least=least), f"a whole number from {least}", value)


def _share(room: str, **values: float) -> None:
    for name, value in values.items():
        _check(f"{room}: {name}", 0 <= value <= 1, "a share between 0 and 1", value)


def _rates(what: str, rates: tuple[float, ...], number: int) -> None:
    good = len(rates) == number and all(math.isfinite(rate) and rate >= 0 for rate in rates)
    _check(what, good, f"{number} rate(s) of 0 or more, one a channel", rates)


def _hint(word: str, known: tuple[str, ...]) -> str:
    return nearest(word, known).removesuffix(".")


@dataclass(frozen=True)
class Camera:
    """A camera: what it writes for the light it gets::

        ADU = offset + gain * electrons + noise;   variance of noise = gain * (gain * electrons) + read_noise**2

    Rounding to whole ADU adds 1/12 ADU².  The counts are normal with the variance of the Poisson
    distribution: mean and variance are right at any light, the shape above about 20 electrons.

    Parameters
    ----------
    offset : float, ADU
        What is written in the dark.
    gain : float, ADU per photo-electron
        The slope of variance against mean, both in ADU.
    read_noise : float, ADU
        SD in the dark; 2.39 are 16.4 electrons at a gain of 0.146, as measured on a real camera.
    full_scale : int, ADU
        The largest number it writes, at most 65535.
    noise : bool
        False writes the mean, rounded.
    """

    offset: float = 100.0
    gain: float = 0.146
    read_noise: float = 2.39
    full_scale: int = 65535
    noise: bool = True

    def __post_init__(self) -> None:
        _positive("camera", gain=self.gain)
        _not_negative("camera", offset=self.offset, read_noise=self.read_noise)
        good = _whole(self.full_scale, least=1) and self.offset < self.full_scale <= 65535
        _check("camera: full_scale", good, "a whole number above the offset and at most 65535", self.full_scale)


@dataclass(frozen=True)
class Fura2:
    """Fura-2, excited at 340 and 380 nm, with the constants of Grynkiewicz's equation::

        [Ca] = kd * beta * (R - rmin) / (rmax - R),   R = F340 / F380

    Parameters
    ----------
    kd : float, M
    rmin, rmax : float
        Ratio without and with saturating calcium.
    beta : float
        F380 without over F380 with saturating calcium, above 1.
    bleach : (float, float), 1/s
        Rate of the exponential loss of light in each channel. The default makes 100 nM look 29 % higher after 20 min.

    References
    ----------
    .. [1] Grynkiewicz, Poenie & Tsien (1985), J Biol Chem 260:3440.
    """

    kd: float = 224e-9
    rmin: float = 0.333
    rmax: float = 8.0
    beta: float = 8.0
    bleach: tuple[float, ...] = (1.0e-4, 2.154e-4)

    def __post_init__(self) -> None:
        _positive("fura2", kd=self.kd, rmin=self.rmin)
        _check(
            "fura2: rmax", math.isfinite(self.rmax) and self.rmax > self.rmin, f"above rmin ({self.rmin})", self.rmax
        )
        _check("fura2: beta", math.isfinite(self.beta) and self.beta > 1, "a number above 1", self.beta)
        _rates("fura2: bleach", self.bleach, 2)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels: wavelengths of excitation, nm."""
        return ("340", "380")

    @property
    def free(self) -> tuple[float, ...]:
        """Light of each channel without calcium, relative to F380."""
        return (self.rmin, 1.0)

    @property
    def bound(self) -> tuple[float, ...]:
        """Light of each channel with saturating calcium, relative to F380 without."""
        return (self.rmax / self.beta, 1.0 / self.beta)

    @property
    def alpha(self) -> float:
        """The factor with which F340 + alpha * F380 does not change when calcium does."""
        return (self.rmax - self.beta * self.rmin) / (self.beta - 1.0)


@dataclass(frozen=True)
class Fluo:
    """A dye of one wavelength, such as Fluo-8: light rises with the share of dye that holds calcium, one to one.

    Parameters
    ----------
    kd : float, M
    dynamic_range : float
        Light with saturating calcium over light without.
    bleach : (float,), 1/s
    name : str
        Name of the channel.
    """

    kd: float = 389e-9
    dynamic_range: float = 100.0
    bleach: tuple[float, ...] = (1.5e-4,)
    name: str = "Fluo-8"

    def __post_init__(self) -> None:
        _positive("fluo", kd=self.kd)
        good = math.isfinite(self.dynamic_range) and self.dynamic_range > 1
        _check("fluo: dynamic_range", good, "a number above 1", self.dynamic_range)
        _rates("fluo: bleach", self.bleach, 1)

    @property
    def channels(self) -> tuple[str, ...]:
        """Name of the channel."""
        return (self.name,)

    @property
    def free(self) -> tuple[float, ...]:
        """Light without calcium, relative to light with saturating calcium."""
        return (1.0 / self.dynamic_range,)

    @property
    def bound(self) -> tuple[float, ...]:
        """Light with saturating calcium: 1."""
        return (1.0,)

    @property
    def alpha(self) -> float:
        """NaN: one channel has no control of this kind."""
        return float("nan")


DYES: Mapping[str, Fura2 | Fluo] = {"fura2": Fura2(), "fluo": Fluo()}


@dataclass(frozen=True)
class Cells:
    """Elliptical cells, thicker in the middle: of peak 1 at the centre, 1/4 at the outline, 0 beyond 1.19 of it.

    Parameters
    ----------
    number : int
    radius, radius_sd : float, pixels
        Mean and SD of the radius of the circle of equal area.
    aspect : float
        Largest ratio of the axes; the smallest is 1.
    touching : float
        Share of the cells that touch another one, in pairs; rounded to whole pairs. All others keep clear.
    margin : float, pixels
        No outline is nearer to the border in the first frame.
    brightness : float, e
        Median over cells of the light at the centre: F380 without calcium, or Fluo with saturating calcium.
    brightness_sd : float
        Between cells.
    saturated : float
        Share of the cells so bright that their centre exceeds the full scale by about half at resting calcium.
    """

    number: int = 200
    radius: float = 9.0
    radius_sd: float = 1.0
    aspect: float = 1.35
    touching: float = 0.0
    margin: float = 12.0
    brightness: float = 1000.0
    brightness_sd: float = 0.3
    saturated: float = 0.0

    def __post_init__(self) -> None:
        _check(
            "cells: number", self.number == int(self.number) and self.number >= 1, "a whole number from 1", self.number
        )
        _positive("cells", radius=self.radius, brightness=self.brightness)
        _check("cells: radius", self.radius >= 2, "at least 2 pixels", self.radius)
        _check("cells: aspect", math.isfinite(self.aspect) and self.aspect >= 1, "a ratio from 1", self.aspect)
        _not_negative("cells", radius_sd=self.radius_sd, margin=self.margin, brightness_sd=self.brightness_sd)
        _share("cells", touching=self.touching, saturated=self.saturated)


@dataclass(frozen=True)
class Calcium:
    """How calcium rests, and how it answers.

    An answer starts a latency after the addition, rises, and has two parts: a transient one that decays and a
    sustained one that stays as long as the addition does.

    Parameters
    ----------
    resting : float, M
        Median over cells.
    resting_sd, amplitude_sd : float
        Between cells.
    responders : float
        Share of cells that answer to samples; all cells answer to a reference, none to vehicle or wash.
    latency, rise, decay, washout : float, s
        Medians over cells; time constants but for the latency.
    kinetic_sd : float
        Of the four times between cells.
    oscillators : float
        Share of cells that oscillate by themselves.
    period : float, s
    oscillation : float, M
        Height of a spike above rest.
    """

    resting: float = 100e-9
    resting_sd: float = 0.2
    responders: float = 0.6
    amplitude_sd: float = 0.25
    latency: float = 4.0
    rise: float = 4.0
    decay: float = 60.0
    washout: float = 20.0
    kinetic_sd: float = 0.2
    oscillators: float = 0.0
    period: float = 60.0
    oscillation: float = 200e-9

    def __post_init__(self) -> None:
        _positive("calcium", resting=self.resting, rise=self.rise, decay=self.decay, washout=self.washout)
        _positive("calcium", period=self.period)
        _not_negative("calcium", latency=self.latency, oscillation=self.oscillation)
        _not_negative("calcium", **{name: getattr(self, name) for name in ("resting_sd", "amplitude_sd", "kinetic_sd")})
        _share("calcium", responders=self.responders, oscillators=self.oscillators)


@dataclass(frozen=True)
class Addition:
    """Something added to the dish, and the rise of calcium it causes::

        rise = emax / (1 + (ec50 / concentration) ** hill_slope)

    Parameters
    ----------
    name : str
    role : str
        ``sample``, ``vehicle``, ``reference`` (ionomycin, a reference agonist) or ``wash``.
    concentration : float, M
        NaN where there is none.
    start_s, end_s : float, s
        When it reaches the cells and when it is washed away; infinity where it stays.
    emax : float, M
        Rise of the median responder above rest, at full effect.
    ec50 : float, M
    hill_slope : float
    plateau : float
        Sustained share of the rise.
    artefact : float
        Light that the compound itself adds to a cell in every channel, as a share of the cell's brightness.
    """

    name: str
    role: str = "sample"
    concentration: float = float("nan")
    start_s: float = 0.0
    end_s: float = float("inf")
    emax: float = 600e-9
    ec50: float = 5.7e-6
    hill_slope: float = 1.0
    plateau: float = 0.2
    artefact: float = 0.0

    def __post_init__(self) -> None:
        room = f'addition "{self.name}"'
        _check(
            f"{room}: role", self.role in ROLES, f"one of {', '.join(ROLES)}", f'"{self.role}"', _hint(self.role, ROLES)
        )
        good = math.isnan(self.concentration) or 0 <= self.concentration < math.inf
        _check(f"{room}: concentration", good, "0 or more M, or NaN where there is none", self.concentration)
        _not_negative(room, start_s=self.start_s, emax=self.emax, artefact=self.artefact)
        _check(f"{room}: end_s", self.end_s > self.start_s, f"a time after the start ({self.start_s} s)", self.end_s)
        _positive(room, ec50=self.ec50, hill_slope=self.hill_slope)
        _share(room, plateau=self.plateau)


@dataclass(frozen=True)
class Drift:
    """Rigid movement of the dish under the camera: a smooth random walk, and jumps that stay.

    Parameters
    ----------
    rms : float, pixels
        Root mean square distance from the first frame of the walk without its jumps; exact.
    smoothness : float, frames
        SD of the Gaussian that smooths the steps.
    jumps : int
        At random frames, in random directions.
    jump : float, pixels
        Length of one.
    """

    rms: float = 3.0
    smoothness: float = 10.0
    jumps: int = 0
    jump: float = 4.0

    def __post_init__(self) -> None:
        _not_negative("drift", rms=self.rms, smoothness=self.smoothness, jump=self.jump)
        _count("drift: jumps", self.jumps, least=0)


@dataclass(frozen=True)
class Background:
    """Light of medium, plastic and optics: a polynomial of second order that stands still while the cells drift.

    Parameters
    ----------
    level : tuple of float, e
        Mean over the picture at the start, in the order of the channels; what a dye has no channel for is not used.
    unevenness : float
        Largest departure from the mean, as a share of it.
    rate : tuple of float, 1/s
        Of its exponential loss, in the order of the channels.
    step : float
        Relative change at each addition, which stays: another buffer.
    """

    level: tuple[float, ...] = (140.0, 150.0)
    unevenness: float = 0.25
    rate: tuple[float, ...] = (1.5e-4, 0.5e-4)
    step: float = 0.02

    def __post_init__(self) -> None:
        for value in self.level:
            _not_negative("background", level=value)
        for value in self.rate:
            _not_negative("background", rate=value)
        _share("background", unevenness=self.unevenness)
        _check("background: step", math.isfinite(self.step) and self.step > -1, "a number above -1", self.step)


@dataclass(frozen=True)
class MovieDesign:
    """A virtual recording, complete but for the seed.

    Parameters
    ----------
    shape : (int, int), pixels
        Height and width.
    frames : int
    interval : float, s
        From frame to frame.
    channel_delay : float, s
        From one channel of a frame to the next. Calcium is that of the first channel's time in both.
    pixel_um : float, µm
    dye : str, Fura2 or Fluo
        ``"fura2"`` (two channels) or ``"fluo"`` (one), or one of them with constants of its own.
    camera, cells, calcium, drift, background
        See `Camera`, `Cells`, `Calcium`, `Drift`, `Background`.
    additions : tuple of Addition

    Raises
    ------
    RangeError
        If a number makes no sense, or the dye is not known.

    Examples
    --------
    >>> design = MovieDesign(dye="fluo", cells=Cells(number=50, touching=0.3))
    >>> design.optics.channels, design.frames * design.interval
    (('Fluo-8',), 1200.0)
    """

    shape: tuple[int, int] = (512, 512)
    frames: int = 600
    interval: float = 2.0
    channel_delay: float = 0.25
    pixel_um: float = 0.65
    dye: str | Fura2 | Fluo = "fura2"
    camera: Camera = field(default_factory=Camera)
    cells: Cells = field(default_factory=Cells)
    calcium: Calcium = field(default_factory=Calcium)
    additions: tuple[Addition, ...] = (
        Addition("vehicle", role="vehicle", concentration=0.0, start_s=120.0),
        Addition("CM572", concentration=10e-6, start_s=300.0),
    )
    drift: Drift = field(default_factory=Drift)
    background: Background = field(default_factory=Background)

    def __post_init__(self) -> None:
        good = len(self.shape) == 2 and all(_whole(side, least=16) for side in self.shape)
        _check("shape", good, "height and width of at least 16 pixels", self.shape)
        _count("frames", self.frames, least=1)
        _positive("recording", interval=self.interval, pixel_um=self.pixel_um)
        _not_negative("recording", channel_delay=self.channel_delay)
        if isinstance(self.dye, str):
            _check("dye", self.dye in DYES, f"one of {', '.join(DYES)}", f'"{self.dye}"', _hint(self.dye, tuple(DYES)))
        needed = len(self.optics.channels)
        taken = self.channel_delay * (needed - 1)
        _check("channel_delay", taken < self.interval, f"all channels within {self.interval} s", self.channel_delay)
        for name in ("level", "rate"):
            values = getattr(self.background, name)
            _check(f"background: {name}", len(values) >= needed, f"{needed} values, one a channel", values)

    @property
    def optics(self) -> Fura2 | Fluo:
        """The dye with its constants."""
        return DYES[self.dye] if isinstance(self.dye, str) else self.dye

    def record(self) -> dict[str, Any]:
        """The design as plain data, from which `from_record` makes it again."""
        kind = "" if isinstance(self.dye, str) else type(self.dye).__name__
        return asdict(self) | {"dye_kind": kind}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> MovieDesign:
        """The design of a `record`."""
        plain = ("shape", "frames", "interval", "channel_delay", "pixel_um", "dye")
        made: dict[str, Any] = {name: _tuples(record[name]) for name in plain}
        parts = {"camera": Camera, "cells": Cells, "calcium": Calcium, "drift": Drift, "background": Background}
        made |= {name: part(**_tuples(record[name])) for name, part in parts.items()}
        if record["dye_kind"]:
            made["dye"] = {"Fura2": Fura2, "Fluo": Fluo}[record["dye_kind"]](**made["dye"])
        additions = tuple(Addition(**entry) for entry in record["additions"])
        return cls(**made, additions=additions)


def _tuples(value: Any) -> Any:
    """The same with tuples for lists, as JSON has none."""
    if isinstance(value, Mapping):
        return {name: _tuples(entry) for name, entry in value.items()}
    return tuple(value) if isinstance(value, list) else value


def small_design(**changes: Any) -> MovieDesign:
    """A recording small enough for a test: six cells in 64 × 64 pixels, 60 frames; `changes` as in `MovieDesign`.

    Examples
    --------
    >>> small_design(frames=10).frames
    10
    """
    design = MovieDesign(
        shape=(64, 64),
        frames=60,
        cells=Cells(number=6, radius=5.0, radius_sd=0.4, margin=4.0),
        drift=Drift(rms=1.0, smoothness=4.0),
        additions=(Addition("CM572", concentration=10e-6, start_s=40.0),),
    )
    return replace(design, **changes)
