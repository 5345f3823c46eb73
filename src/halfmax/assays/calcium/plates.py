"""Kinetic plates: from the readings of a FLIPR or FlexStation to traces a well, and what must be taken off them.

Of Fura-2 the trace is the ratio of the two excitations; of a dye with one wavelength it is
ΔF/F0, F0 being the mean before the addition.  Traces keep the time at which each well was
read: a reader that goes from well to well is seconds late at the last.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from halfmax.assays.calcium.windows import Addition, Window, baseline, find_addition, spread
from halfmax.errors import RangeError, StudyError
from halfmax.table import AssayTable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Artefact", "PlateTraces", "compound_artefacts", "subtract_vehicle", "traces_of"]

Array = NDArray[np.float64]
Text = NDArray[np.str_]

_LABELS = ("experiment", "plate", "well", "role", "compound", "cell_line")
_RATIOS = ("ratio", "reduced")


@dataclass(frozen=True, eq=False)
class PlateTraces:
    """One trace a well.

    Parameters
    ----------
    signal : array, shape (wells, reads), in `quantity`
        NaN where the instrument gave none.
    time_s : array, shape (wells, reads), s
        When each well was read.
    concentration : array, shape (wells,), M
        0 for vehicle, NaN where the layout says none.
    experiment, plate, well, role, compound, cell_line : array of str, shape (wells,)
    start_s, settled_s : array, shape (wells,), s
        First read after the addition, and first read free of its artefact.
    quantity : str
        ``ratio 340/380``, ``ΔF/F0`` …
    raw : mapping of str to array, shape (wells, reads)
        Channels that a ratio was made of, background taken off.
    notes : tuple of str
    """

    signal: Array
    time_s: Array
    concentration: Array
    experiment: Text
    plate: Text
    well: Text
    role: Text
    compound: Text
    cell_line: Text
    start_s: Array
    settled_s: Array
    quantity: str
    raw: Mapping[str, Array] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def before(self) -> Window:
        """All reads before the addition."""
        return Window(-np.inf, self.start_s)

    @property
    def after(self) -> Window:
        """All reads from the end of the addition's artefact on."""
        return Window(self.settled_s)

    def within(self, start_s: float, end_s: float = float("inf")) -> Window:
        """Window from and to a time after the addition's first read, of each well."""
        return Window(self.start_s + start_s, self.start_s + end_s)

    def place(self, index: int) -> str:
        """Plate and well, for a message."""
        return f"plate {self.plate[index]}, well {self.well[index]}"


def traces_of(
    table: AssayTable, *, channel: str | None = None, background: Mapping[str, float] | None = None,
    addition_s: float | None = None, quiet: str = "",
) -> PlateTraces:  # fmt: skip
    """Traces of all wells that a layout gives a use.

    ``ratio = (F340 − B340) / (F380 − B380)`` where the table has both excitations, the
    k-th reads of each paired and placed half-way between their times; a channel that was
    exported reduced is taken as a ratio already; of any other ``ΔF/F0 = (F − F0)/(F0 − B)``,
    F0 the mean of all reads before the addition.  B is the signal of wells without cells.

    Parameters
    ----------
    table : AssayTable
        Kinetic readings with roles.
    channel : str, optional
        The one to take, where there are several that are no pair of 340 and 380.
    background : mapping, optional
        Channel to background, in the instrument's unit. Without it the mean of the
        plate's blank wells is taken at each read, and nothing where there are none.
    addition_s : float, s, optional
        When the compound was added. Without it, it is found on each plate.
    quiet : str, optional
        Role whose wells do not respond, such as ``vehicle`` where the vehicle is buffer:
        their artefact of the addition tells when responses may be read.

    Raises
    ------
    StudyError
        If these are end points, the channel is not clear, or the addition is not found.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [(well, k, 100.0 + (k >= 10) * gain + 0.1 * (k % 2)) for well, gain in (("A1", 0), ("A2", 50))
    ...         for k in range(20)]
    >>> frame = pd.DataFrame(rows, columns=["well", "time_s", "signal"])
    >>> frame["role"] = frame["well"].map({"A1": "vehicle", "A2": "sample"})
    >>> traces = traces_of(AssayTable(frame), addition_s=10)
    >>> traces.quantity, traces.signal[1, [0, 15]].round(2).tolist()
    ('ΔF/F0', [-0.0, 0.5])
    """
    used = table.frame[~table.frame["role"].isin(["unused", "unassigned"])]
    _check_kinetic(used, table)
    pair = _pair(table.channels) if channel is None else None
    names = list(pair) if pair else [_single(table.channels, channel)]
    keys, channels, times = _stacked(used[used["channel"].isin(names)], names)
    clean, taken = _without_background(channels, keys, background)
    empty = keys["role"] == "blank"
    kept = ~empty.to_numpy()
    time_s = np.mean(times, axis=0)[kept]
    clean = {name: values[kept] for name, values in clean.items()}
    keys = keys[kept].reset_index(drop=True)
    if pair:
        signal, quantity = _quotient(clean[pair[0]], clean[pair[1]]), f"ratio {_light(pair[0])}/{_light(pair[1])}"
    else:
        signal, quantity = clean[names[0]], "ratio" if names[0].casefold() in _RATIOS else "fluorescence"
    start, settled = _additions(signal, time_s, keys, addition_s, quiet)
    labels = {name: keys[name].to_numpy(dtype=str) for name in _LABELS}
    dose = keys["concentration_M"].to_numpy(dtype=float)
    traces = PlateTraces(
        signal, time_s, dose, **labels, start_s=start, settled_s=settled, quantity=quantity,
        raw=clean if pair else {}, notes=taken,
    )  # fmt: skip
    return traces if pair or quantity == "ratio" else _relative(traces)


def _check_kinetic(used: pd.DataFrame, table: AssayTable) -> None:
    if used.empty:
        raise StudyError("no well of the table has a use. Apply the plate's layout first (read_layout, apply).")
    still = used[used["time_s"].isna()]
    if len(still):
        files = ", ".join(source.file for source in table.sources) or f"plate {still['plate'].iloc[0]}"
        raise StudyError(
            f"{files}: well {still['well'].iloc[0]} has readings without time: these are end points. "
            "Traces need a kinetic reading, several reads of each well."
        )


def _light(channel: str) -> str:
    """Excitation of a channel called ``340/510``, ``340`` or ``ex340``; empty where there is none."""
    match = re.match(r"(?:ex\s*)?(\d{3})\b", channel.strip(), re.IGNORECASE)
    return match.group(1) if match else ""


def _pair(channels: list[str]) -> tuple[str, str] | None:
    """Channels excited at 340 and at 380 nm."""
    over, under = ([name for name in channels if _light(name) == light] for light in ("340", "380"))
    return (over[0], under[0]) if len(over) == len(under) == 1 else None


def _single(channels: list[str], channel: str | None) -> str:
    if channel is None and len(channels) == 1:
        return channels[0]
    if channel not in channels:
        asked = f'has no channel "{channel}"' if channel else "has several channels, and not one each of 340 and 380 nm"
        raise StudyError(f"the table {asked}; found {', '.join(channels)}. Name one of them as the channel.")
    return channel


def _stacked(frame: pd.DataFrame, names: list[str]) -> tuple[pd.DataFrame, dict[str, Array], list[Array]]:
    """Wells in order of appearance; signals of each channel and its times, as (wells, reads)."""
    order = frame.sort_values("time_s", kind="stable")
    wells = frame.drop_duplicates(["experiment", "plate", "well"]).reset_index(drop=True)
    row_of = {key: row for row, key in enumerate(zip(wells["experiment"], wells["plate"], wells["well"], strict=True))}
    signals, times = {}, []
    reads = int(order.groupby(["experiment", "plate", "well", "channel"]).size().max())
    for name in names:
        part = order[order["channel"] == name]
        row = [row_of[key] for key in zip(part["experiment"], part["plate"], part["well"], strict=True)]
        read = part.groupby(["experiment", "plate", "well"]).cumcount().to_numpy()
        value, time = np.full((len(wells), reads), np.nan), np.full((len(wells), reads), np.nan)
        value[row, read], time[row, read] = part["signal"], part["time_s"]
        _check_lengths(wells, np.isfinite(time).sum(axis=1), name)
        signals[name] = value
        times.append(time)
    _check_pair(wells, names, [np.isfinite(time).sum(axis=1) for time in times])
    return wells[[*_LABELS, "concentration_M"]], signals, times


def _check_pair(wells: pd.DataFrame, names: list[str], reads: list[NDArray[np.int64]]) -> None:
    """Each well was read equally often in both channels."""
    for name, count in zip(names[1:], reads[1:], strict=True):
        unequal = np.flatnonzero(count != reads[0])
        if unequal.size:
            at = int(unequal[0])
            raise StudyError(
                f"plate {wells['plate'][at]}, well {wells['well'][at]}: {reads[0][at]} reads in channel {names[0]}, "
                f"but {count[at]} in {name}. Export both completely."
            )


def _check_lengths(wells: pd.DataFrame, reads: NDArray[np.int64], channel: str) -> None:
    """All wells of a plate were read equally often."""
    for (experiment, plate), part in wells.groupby(["experiment", "plate"], sort=False):
        mine = reads[part.index.to_numpy()]
        if mine.min() != mine.max():
            short = part["well"].iloc[int(mine.argmin())]
            where = f"plate {plate}" + (f", experiment {experiment}" if experiment else "")
            raise StudyError(
                f"{where}, well {short}: {mine.min()} reads in channel {channel or '(unnamed)'}, but other wells have "
                f"{mine.max()}. Export the plate again, or leave the well out in the layout."
            )


def _without_background(
    channels: dict[str, Array], keys: pd.DataFrame, given: Mapping[str, float] | None
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Signals less the background given, or less the plate's wells without cells."""
    if given is not None:
        missing = [name for name in channels if name not in given and _light(name) not in given]
        if missing:
            raise StudyError(f'the background of channel "{missing[0]}" is not given. Give one for each channel.')
        taken = {name: float(given[name] if name in given else given[_light(name)]) for name in channels}
        said = ", ".join(f"{name or '(unnamed)'} {value:g}" for name, value in taken.items())
        return {name: values - taken[name] for name, values in channels.items()}, (f"Background taken off: {said}.",)
    blank = (keys["role"] == "blank").to_numpy()
    clean = {name: values.copy() for name, values in channels.items()}
    for _, part in keys.groupby(["experiment", "plate"], sort=False):
        rows = part.index.to_numpy()
        empty = rows[blank[rows]]
        for name, values in channels.items():
            if empty.size:
                seen = np.isfinite(values[empty])
                mean = np.where(seen, values[empty], 0.0).sum(axis=0) / np.where(
                    seen.any(axis=0), seen.sum(axis=0), np.nan
                )
                clean[name][rows] = values[rows] - mean
    note = "The mean of the wells without cells is taken off at each read." if blank.any() else ""
    return clean, (note or "No background is taken off: there are no wells without cells.",)


def _quotient(over: Array, under: Array) -> Array:
    """Ratio of two channels; missing where the lower is not above its background."""
    return np.asarray(np.where(under > 0, over / np.where(under > 0, under, 1.0), np.nan))


def _additions(
    signal: Array, time_s: Array, keys: pd.DataFrame, given: float | None, quiet: str
) -> tuple[Array, Array]:  # fmt: skip
    """First read after the addition and first read free of its artefact, of each well."""
    start, settled = np.full(len(keys), np.nan), np.full(len(keys), np.nan)
    for (_, plate), part in keys.groupby(["experiment", "plate"], sort=False):
        rows = part.index.to_numpy()
        calm = (part["role"] == quiet).to_numpy()
        if quiet and not calm.any():
            raise StudyError(f'plate {plate}: no well has the role "{quiet}" that was named as quiet.')
        if given is not None:
            start[rows] = settled[rows] = given
            continue
        reads = np.flatnonzero(np.isfinite(time_s[rows]).any(axis=0))
        found = _found(signal[np.ix_(rows, reads)], time_s[np.ix_(rows, reads)], calm if quiet else None, str(plate))
        start[rows], settled[rows] = found.start_s, found.settled_s
    return start, settled


def _found(signal: Array, time_s: Array, quiet: NDArray[np.bool_] | None, plate: str) -> Addition:
    try:
        return find_addition(signal, time_s, quiet=quiet)
    except RangeError as error:
        raise StudyError(f"plate {plate}: {error}") from None


def _relative(traces: PlateTraces) -> PlateTraces:
    """ΔF/F0; the background that was taken off cancels above the line, and is off F0 below it."""
    base = baseline(traces.signal, traces.time_s, traces.before)
    if not np.isfinite(base).any():
        raise StudyError("no read lies before the addition, so there is no F0. Give the time of the addition.")
    dark = np.isfinite(base) & (base <= 0)
    notes = traces.notes
    if dark.any():
        notes = (*notes, f"{int(dark.sum())} wells are no brighter than the background: they have no ΔF/F0.")
    f0 = np.where(dark, np.nan, base)[:, None]
    return replace(traces, signal=(traces.signal - f0) / f0, quantity="ΔF/F0", notes=notes)


def subtract_vehicle(traces: PlateTraces) -> PlateTraces:
    """Traces less the mean trace of the vehicle wells, read by read, above their own baselines.

    Of the same experiment, plate and cell line where that has vehicle wells of its own, else
    of the plate's vehicle wells without cell line.  What the addition itself does to the
    light (temperature, dilution, shaking) goes with it; the error of the vehicle's mean is
    then in every well, so wells are no longer independent: for a look and for normalised
    figures, not before a fit, which takes the vehicle wells themselves.

    Raises
    ------
    StudyError
        If a well has no vehicle.
    """
    base = baseline(traces.signal, traces.time_s, traces.before)[:, None]
    above = traces.signal - base
    result = np.full_like(above, np.nan)
    places = np.array(list(zip(traces.experiment, traces.plate, traces.cell_line, strict=True)))
    for place in np.unique(places, axis=0):
        mine = (places == place).all(axis=1)
        vehicle = vehicle_of(traces, mine)
        if not vehicle.any():
            raise StudyError(
                f"{traces.place(int(mine.argmax()))}: no vehicle well of this plate and cell line "
                f"({place[2] or 'unnamed'}) to take off. Name the vehicle wells in the layout."
            )
        seen = np.isfinite(above[vehicle])
        count = np.where(seen.any(axis=0), seen.sum(axis=0), np.nan)
        result[mine] = above[mine] - np.where(seen, above[vehicle], 0.0).sum(axis=0) / count
    notes = (*traces.notes, "The mean vehicle trace is taken off.")
    return replace(traces, signal=result, quantity=f"{traces.quantity} above vehicle", notes=notes)


def vehicle_of(traces: PlateTraces, mine: NDArray[np.bool_], role: str = "vehicle") -> NDArray[np.bool_]:
    """Vehicle wells that some wells of one plate and line are compared with."""
    first = int(np.argmax(mine))
    here = (traces.experiment == traces.experiment[first]) & (traces.plate == traces.plate[first])
    vehicle = here & (traces.role == role)
    same = vehicle & (traces.cell_line == traces.cell_line[first])
    return np.asarray(same if same.any() else vehicle & (traces.cell_line == ""))


@dataclass(frozen=True)
class Artefact:
    """A well in which both raw channels jump the same way at the addition: light of the compound, not of calcium.

    `steps` are the jumps of each channel in percent of its baseline, beyond what the
    vehicle wells do; `limits` are what chance allows.
    """

    plate: str
    well: str
    compound: str
    concentration: float
    steps: tuple[float, float]
    limits: tuple[float, float]


def compound_artefacts(traces: PlateTraces, *, reads: int = 2, level: float = 0.001) -> list[Artefact]:
    """Wells whose two raw channels step in the same direction at the addition.

    Calcium moves 340 and 380 nm apart; a coloured or fluorescent compound, or fewer cells,
    moves both the same way.  The step is the mean of the first reads after the addition
    less the baseline, in percent of the baseline, less that of the vehicle wells.  Flagged
    where both steps have one sign and each lies beyond the prediction interval of the
    vehicle wells (t, two-sided, at `level`), or without three of these beyond that of the
    well's own baseline noise.  The common part of two steps stands for the artefact: where
    calcium moves them apart at the same time, a small artefact stays hidden.

    Parameters
    ----------
    traces : PlateTraces
        With two raw channels.
    reads : int
        Reads after the addition that count as first.
    level : float
        Share of wells without artefact that one channel may flag by chance.

    Raises
    ------
    StudyError
        If there are not two raw channels.
    """
    if len(traces.raw) != 2:
        raise StudyError(
            "the check for a compound's own light needs the raw readings at 340 and 380 nm; these traces "
            "have one channel. Export the plate as raw data, not reduced."
        )
    steps, limits = np.empty((2, traces.well.size)), np.empty((2, traces.well.size))
    for channel, values in enumerate(traces.raw.values()):
        base = baseline(values, traces.time_s, traces.before)
        noise = 100 * spread(values, traces.time_s, traces.before) / base
        later = np.cumsum(traces.time_s >= traces.start_s[:, None], axis=1)
        first = np.where((later >= 1) & (later <= reads), values, np.nan)
        steps[channel] = 100 * (baseline(first, traces.time_s, Window(-np.inf)) / base - 1)
        limits[channel] = _against_vehicle(traces, steps[channel], noise, reads, level)
    same = (np.sign(steps[0]) == np.sign(steps[1])) & (np.abs(steps) > limits).all(axis=0)
    return [
        Artefact(str(traces.plate[i]), str(traces.well[i]), str(traces.compound[i]), float(traces.concentration[i]),
                 (float(steps[0, i]), float(steps[1, i])), (float(limits[0, i]), float(limits[1, i])))
        for i in np.flatnonzero(same & (traces.role == "sample"))
    ]  # fmt: skip


def _against_vehicle(traces: PlateTraces, step: Array, noise: Array, reads: int, level: float) -> Array:
    """Take the vehicle's mean step off `step`, in place; what is left must exceed the limits returned."""
    from scipy import stats

    before = np.maximum((traces.time_s < traces.start_s[:, None]).sum(axis=1), 2)
    limit = stats.t.ppf(1 - level / 2, before - 1) * noise * np.sqrt(1 / reads + 1 / before)
    raw = step.copy()
    places = np.array(list(zip(traces.experiment, traces.plate, traces.cell_line, strict=True)))
    for place in np.unique(places, axis=0):
        mine = (places == place).all(axis=1)
        others = raw[vehicle_of(traces, mine) & np.isfinite(raw)]
        if others.size:
            step[mine] -= others.mean()
        if others.size > 2:
            quantile = stats.t.ppf(1 - level / 2, others.size - 1)
            limit[mine] = quantile * others.std(ddof=1) * np.sqrt(1 + 1 / others.size)
    return np.asarray(limit)
