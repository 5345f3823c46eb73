"""Kinetic plates of a study, read and measured: traces, one number a well, responders, and what was amiss."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfmax.assays.calcium.plate_responses import Responders, measure, percent_of_reference, responders
from halfmax.assays.calcium.plates import Artefact, PlateTraces, compound_artefacts, traces_of, vehicle_of
from halfmax.assays.calcium.windows import Window, baseline
from halfmax.errors import HalfmaxError, StudyError, nearest
from halfmax.readers import read
from halfmax.readers.layout import Layout, read_layout
from halfmax.report.document import Bar, Plot, Series
from halfmax.study.analyses.table import Array
from halfmax.study.entries import KineticPlateEntry
from halfmax.table import AssayTable, Source
from halfmax.units import duration, format_concentration

__all__ = [
    "KineticPlate", "count_of", "dose_groups", "doses_of", "in_percent", "listed", "methods_of", "quantity_of",
    "read_plates", "seconds", "trace_plot",
]  # fmt: skip

Mask = NDArray[np.bool_]
_NONE: Array = np.array([])
#: Traces that one figure holds, each in a colour of its own, and wells that a sentence names.
MOST_TRACES, MOST_NAMED = 7, 6
#: What legends call wells without compound.
CONTROLS = ("without agonist", "vehicle")


@dataclass(frozen=True, eq=False)
class KineticPlate:
    """A plate of an experiment.

    Parameters
    ----------
    entry : KineticPlateEntry
    traces : PlateTraces
        Of all wells with a use, also those left out.
    out : array of bool, shape (wells,)
        Wells that the study leaves out.
    window : Window
        Where responses are read.
    values : array, shape (wells,)
        Response of each well, raw.
    shown : array, shape (wells,)
        The same, or percent of the reference; for the eye.
    error : array, shape (wells,)
        Of `shown`, from its two controls, common to a plate and line; NaN where it is raw.
    called : Responders or None
        None where nothing says what chance does.
    artefacts : tuple of Artefact
    notes : tuple of str
        Of the whole plate.
    """

    entry: KineticPlateEntry
    traces: PlateTraces
    out: Mask
    window: Window
    values: Array
    shown: Array
    error: Array
    called: Responders | None
    artefacts: tuple[Artefact, ...]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the plate."""
        return str(self.traces.plate[0])

    @property
    def samples(self) -> Mask:
        """Wells with a compound that take part and have a response."""
        return np.asarray((self.traces.role == "sample") & ~self.out & np.isfinite(self.values))

    def wells(self, compound: str, line: str) -> Mask:
        """Wells of a compound in a line, with those left out."""
        named = (self.traces.compound == compound) & (self.traces.cell_line == line)
        return np.asarray(named & (self.traces.role == "sample"))


def read_plates(entries: Sequence[KineticPlateEntry], folder: Path) -> tuple[list[KineticPlate], list[Source]]:
    """Plates of the experiments of one analysis, and their files."""
    plates: list[KineticPlate] = []
    sources: list[Source] = []
    for entry in entries:
        try:
            _check_alike(entry, entries[0])
            found, files = _read_entry(entry, folder)
        except HalfmaxError as error:
            said = str(error).replace("(addition_s)", '(addition = "20 s")')
            raise type(error)(f"{entry.where}: {said}") from error
        plates += found
        sources += files
    _check_once(plates)
    return plates, list(dict.fromkeys(sources))


def _check_alike(entry: KineticPlateEntry, first: KineticPlateEntry) -> None:
    """Experiments of one analysis measure the same thing."""
    for key in ("mode", "quantity", "reference", "agonist"):
        mine, wanted = getattr(entry, key), getattr(first, key)
        if mine != wanted:
            raise StudyError(
                f'{key} is "{mine}", but an earlier entry of the same name says "{wanted}". Experiments of one '
                "analysis are analysed alike: make them agree, or give this one another name."
            )


def _check_once(plates: Sequence[KineticPlate]) -> None:
    """The same plate twice would count its wells twice."""
    seen: set[tuple[str, str | None, str]] = set()
    for plate in plates:
        key = (plate.entry.file, plate.entry.plate, plate.name)
        if key in seen:
            raise StudyError(f"{plate.entry.where}: an earlier entry holds plate {plate.name} of this file, too. "
                             "Its wells would count twice; remove one entry.")  # fmt: skip
        seen.add(key)


def _read_entry(entry: KineticPlateEntry, folder: Path) -> tuple[list[KineticPlate], list[Source]]:
    table, layout = read(folder / entry.file), read_layout(folder / entry.layout)
    if entry.plate is not None:
        if entry.plate not in table.plates:
            raise StudyError(f'the file holds no plate "{entry.plate}". {nearest(entry.plate, table.plates)}')
        table = table.where(plate=entry.plate)
    named = table.with_columns(assay="calcium", cell_line=entry.cell_line, experiment=entry.experiment)
    applied = layout.apply(named)
    plates = [_measured(entry, applied.where(plate=name), layout) for name in applied.plates]
    return plates, [*table.sources, Source.of(folder / entry.layout, reader="layout")]


def _measured(entry: KineticPlateEntry, table: AssayTable, layout: Layout) -> KineticPlate:
    covered = _check_covered(table, layout, entry)
    _check_excluded(entry, table)
    traces = _traces(entry, _without_excluded_blanks(entry, table))
    out = np.isin(traces.well, entry.exclude)
    window = _window(entry, traces)
    values = measure(traces, entry.quantity, window)
    kept = np.where(out, np.nan, values)
    shown, error = values, np.full(values.size, np.nan)
    if entry.reference:
        scaled, error = percent_of_reference(traces, kept, entry.reference)
        shown = np.where(out, _on_line(values, kept, scaled, traces), scaled)
    flagged, artefacts = _artefacts(traces, out)
    called, unjudged = _called(entry, traces, kept)
    notes = (*covered, *_flags(table, traces), *_left_out(entry), *flagged, *unjudged)
    return KineticPlate(entry, traces, out, window, values, shown, error, called, artefacts, notes)


def _check_covered(table: AssayTable, layout: Layout, entry: KineticPlateEntry) -> tuple[str, ...]:
    """Refuse a map of wells that were not read; say which were read and are not on the map."""
    read_wells = set(table.frame["well"])
    here = layout.frame[layout.frame["plate"].isin(["", *table.plates])]
    used = here.loc[~here["role"].isin(["unused", "unassigned"]), "well"]
    absent = [str(well) for well in used if well not in read_wells]
    if absent:
        raise StudyError(
            f"{entry.layout} says what stood in {listed(absent)}, but the file has no reads of "
            f"{'it' if len(absent) == 1 else 'them'}. Check which layout belongs to this plate, or correct it."
        )
    told = set(here["well"])
    untold = [well for well in dict.fromkeys(table.frame["well"]) if well not in told]
    if not untold:
        return ()
    return (f"{len(untold)} wells were read that {entry.layout} does not cover, and take no part: {listed(untold)}.",)


def _check_excluded(entry: KineticPlateEntry, table: AssayTable) -> None:
    strange = [well for well in entry.exclude if well not in set(table.frame["well"])]
    if strange:
        raise StudyError(f"exclude names well {strange[0]}, which the file has no reads of. Correct exclude.")


def _without_excluded_blanks(entry: KineticPlateEntry, table: AssayTable) -> AssayTable:
    """Blanks that are left out are no background; other wells that are left out are still drawn."""
    gone = table.frame["well"].isin(entry.exclude) & (table.frame["role"] == "blank")
    return table.with_columns(role=table.frame["role"].where(~gone, "unused"))


def _traces(entry: KineticPlateEntry, table: AssayTable) -> PlateTraces:
    added = seconds(entry.addition)
    if not math.isnan(added):
        first, last = float(table.frame["time_s"].min()), float(table.frame["time_s"].max())
        if not first < added <= last:
            raise StudyError(
                f"the addition at {added:g} s must lie within the recording, which runs from {first:.4g} to "
                f"{last:.4g} s. Correct addition, or leave it out: then it is found from the traces."
            )
    traces = traces_of(
        table, channel=entry.channel, background=entry.dark or None,
        addition_s=None if math.isnan(added) else added, quiet=entry.quiet if entry.quiet != "none" else "",
    )  # fmt: skip
    length = seconds(entry.baseline)
    return traces if math.isnan(length) else _with_baseline(traces, length)


def _with_baseline(traces: PlateTraces, length: float) -> PlateTraces:
    """Traces from `length` seconds before the addition on; ΔF/F0 is told anew, with F0 the mean of these."""
    kept = traces.time_s >= traces.start_s[:, None] - length
    signal = np.where(kept, traces.signal, np.nan)
    base = baseline(signal, traces.time_s, traces.before)
    if not np.isfinite(base).any():
        raise StudyError(f"no read lies in the {length:g} s before the addition. Choose a longer baseline.")
    if traces.quantity == "ΔF/F0":
        signal = (signal - base[:, None]) / (1 + base[:, None])
    raw = {name: np.where(kept, values, np.nan) for name, values in traces.raw.items()}
    return replace(traces, signal=signal, raw=raw)


def _window(entry: KineticPlateEntry, traces: PlateTraces) -> Window:
    """Where responses are read, for each well."""
    start, end = seconds(entry.window_start), seconds(entry.window_end)
    begin = traces.settled_s if math.isnan(start) else traces.start_s + start
    stop = np.full(begin.size, np.inf) if math.isnan(end) else traces.start_s + end
    if (stop <= begin).any():
        raise StudyError(
            f"window_end is {end:g} s after the addition, but its artefact is over only "
            f"{float(np.max(begin - traces.start_s)):.3g} s after it. Choose a later end, or say window_start."
        )
    return Window(begin, stop)


def seconds(text: str | None) -> float:
    """A time of an entry in s, NaN where it says none."""
    return duration(text) if text else math.nan


def _on_line(values: Array, kept: Array, scaled: Array, traces: PlateTraces) -> Array:
    """Percent of wells that were left out: each line's percent is linear in its values."""
    result = scaled.copy()
    for line in np.unique(traces.cell_line):
        mine = traces.cell_line == line
        result[mine] = in_percent(values[mine], kept[mine], scaled[mine])
    return result


def in_percent(places: Array, values: Array, percent: Array) -> Array:
    """Raw values as percent, by the straight line that some wells of the same plate and line lie on."""
    known = np.flatnonzero(np.isfinite(values) & np.isfinite(percent))
    if known.size < 2:
        return np.full(places.size, np.nan)
    low, high = known[values[known].argmin()], known[values[known].argmax()]
    slope = (percent[high] - percent[low]) / (values[high] - values[low])
    return np.asarray(percent[low] + slope * (places - values[low]))


def _artefacts(traces: PlateTraces, out: Mask) -> tuple[tuple[str, ...], tuple[Artefact, ...]]:
    """Wells with light of the compound, or why this cannot be told."""
    if len(traces.raw) != 2:
        return ("With one channel, light of a compound itself cannot be told from calcium.",), ()
    raw = {name: np.where(out[:, None], np.nan, values) for name, values in traces.raw.items()}
    found = tuple(compound_artefacts(replace(traces, raw=raw)))
    clean = "No well shows light of a compound itself: nowhere do 340 and 380 nm step the same way at the addition."
    return () if found else (clean,), found


def _called(entry: KineticPlateEntry, traces: PlateTraces, kept: Array) -> tuple[Responders | None, tuple[str, ...]]:
    """Wells that respond, or in antagonist mode those whose response is lowered; None where nothing tells."""
    try:
        return responders(traces, -kept if entry.mode == "antagonist" else kept), ()
    except StudyError as error:
        return None, (f"Responders were not called: {error}",)


def _flags(table: AssayTable, traces: PlateTraces) -> Iterator[str]:
    """Reads that the instrument gave no number for."""
    frame = table.frame[table.frame["well"].isin(traces.well)]
    bad = frame[frame["flag"] != ""]
    for flag, part in bad.groupby("flag", sort=True):
        wells = list(dict.fromkeys(part["well"]))
        every = wells if len(wells) <= MOST_NAMED else [f"{len(wells)} of {traces.well.size} wells"]
        first, last = float(part["time_s"].min()), float(part["time_s"].max())
        yield (
            f"{len(part)} of {len(frame)} reads have no number ({flag}) and take no part: {', '.join(every)}, at "
            f"{first:.0f}–{last:.0f} s."
        )
    dark = traces.well[~np.isfinite(traces.signal).any(axis=1)].tolist()
    if dark:
        yield f"No trace at all: {listed(dark)}."


def _left_out(entry: KineticPlateEntry) -> tuple[str, ...]:
    return (f"Left out: {listed(entry.exclude)} ({entry.reason}).",) if entry.exclude else ()


def listed(names: Iterable[str]) -> str:
    """Names in a row, the first few where there are many.

    Examples
    --------
    >>> listed(["A1", "A2"]), listed(f"A{k}" for k in range(1, 13))
    ('A1, A2', 'A1, A2, A3, A4, A5 and 7 more')
    """
    every = list(names)
    if len(every) <= MOST_NAMED:
        return ", ".join(every)
    return f"{', '.join(every[: MOST_NAMED - 1])} and {len(every) - MOST_NAMED + 1} more"


def doses_of(plates: Iterable[KineticPlate]) -> dict[tuple[str, str], int]:
    """Number of doses of each compound and line that is no reference, in order of appearance."""
    doses: dict[tuple[str, str], set[float]] = {}
    for plate in plates:
        traces = plate.traces
        for place in np.flatnonzero(traces.role == "sample"):
            key = (str(traces.compound[place]), str(traces.cell_line[place]))
            if key[0] != plate.entry.reference:
                doses.setdefault(key, set()).add(float(traces.concentration[place]))
    return {key: len(found) for key, found in doses.items()}


def quantity_of(plate: KineticPlate) -> str:
    """What the ordinate of responses says."""
    entry, what = plate.entry, plate.traces.quantity
    if entry.reference:
        return f"{entry.quantity} of {what} (% of {entry.reference})"
    return f"{entry.quantity} of {what} above baseline{' (s)' if entry.quantity == 'area' else ''}"


def trace_plot(plate: KineticPlate, groups: Sequence[tuple[str, Mask]], added: str, experiment: str = "") -> Plot:
    """Mean traces of groups of wells in time, with their standard deviations, and the addition.

    Controls stand first and are always drawn; of the others as many as there are colours, evenly spread.
    """
    controls = [one for one in groups if one[0] in CONTROLS]
    others = groups[len(controls) :]
    room = min(len(others), MOST_TRACES - len(controls))
    chosen = [*controls, *(others[place] for place in np.linspace(0, len(others) - 1, room).round().astype(int))]
    series = tuple(_mean_trace(plate, label, wells) for label, wells in chosen)
    drawn = np.logical_or.reduce([wells for _, wells in chosen])
    bars = (Bar(float(np.median(plate.traces.start_s[drawn])), math.inf, added),)
    caption = f"{f'Experiment {experiment}: m' if experiment else 'M'}ean traces; bands: SD of the wells."
    if len(chosen) < len(groups):
        caption += f" {len(chosen)} of {len(groups)} conditions are drawn."
    return Plot("time", "time", plate.traces.quantity, series, caption, bars=bars)


def _mean_trace(plate: KineticPlate, label: str, wells: Mask) -> Series:
    signal = plate.traces.signal[wells]
    seen = np.isfinite(signal)
    count = seen.sum(axis=0)
    reads = count > 0
    mean = np.where(seen, signal, 0.0).sum(axis=0) / np.maximum(count, 1)
    spread = np.sqrt(np.where(seen, (signal - mean) ** 2, 0.0).sum(axis=0) / np.maximum(count - 1, 1))
    time = np.nanmean(np.where(seen, plate.traces.time_s[wells], np.nan)[:, reads], axis=0)
    mean, spread = mean[reads], np.where(count > 1, spread, 0.0)[reads]
    return Series(label, _NONE, _NONE, time, mean, mean - spread, mean + spread)


def dose_groups(plate: KineticPlate, compound: str, line: str) -> list[tuple[str, Mask]]:
    """Controls and doses of a compound, with what the legend calls them; wells left out are not among them."""
    traces, mine = plate.traces, plate.wells(compound, line)
    controls = [("vehicle", vehicle_of(traces, mine))]
    if plate.entry.mode == "antagonist":
        controls = [("without agonist", vehicle_of(traces, mine, "untreated")), *controls]
    doses = np.unique(traces.concentration[mine & ~plate.out])
    groups = [*controls, *((format_concentration(dose), mine & (traces.concentration == dose)) for dose in doses)]
    used = [(label, np.asarray(wells & ~plate.out & np.isfinite(traces.signal).any(axis=1))) for label, wells in groups]
    return [(label, wells) for label, wells in used if wells.any()]


def count_of(plates: Sequence[KineticPlate], wells: Sequence[Mask]) -> str:
    """How many of some wells respond, beside the vehicle wells that would."""
    both = zip(plates, wells, strict=True)
    judged = [(plate.called, np.asarray(some & plate.samples)) for plate, some in both if plate.called is not None]
    if not judged:
        return ""
    called = int(sum(np.count_nonzero(found.called & some) for found, some in judged))
    total = int(sum(np.count_nonzero(some) for _, some in judged))
    false = sum(found.n_false for found, _ in judged)
    vehicle = sum(found.n_vehicle for found, _ in judged)
    verb = "lie below the vehicle wells" if plates[0].entry.mode == "antagonist" else "respond"
    rates = dict.fromkeys(f"{100 * found.rate:.2g}" for found, _ in judged)
    return (
        f"{called} of {total} wells {verb}; {false} of {vehicle} vehicle wells ({100 * false / vehicle:.2g} %) would, "
        f"each judged by the others (nominal {' and '.join(rates)} %)."
    )


#: What a well's response is.
_RESPONSE = {
    "peak": "its greatest running median of three reads",
    "area": "its area by trapezoids on the real times",
    "plateau": "its mean",
}


def methods_of(plates: Sequence[KineticPlate]) -> tuple[str, ...]:
    """How numbers were made of traces, and which wells respond."""
    first = plates[0]
    trace = (
        "F340/F380 of each well (Grynkiewicz, Poenie and Tsien 1985, doi:10.1016/S0021-9258(19)83641-4), not converted "
        "to calcium" if first.traces.raw else "the ratio that the reader exported"
        if first.traces.quantity == "ratio" else "ΔF/F0 of each well, F0 the mean before the addition"
    )  # fmt: skip
    said = [
        f"Kinetic plates: the trace is {trace}; the response is {_RESPONSE[first.entry.quantity]} after the "
        f"addition{_where_read(first.entry)}, above the mean before it.",
    ]
    found = [plate.called for plate in plates if plate.called]
    if found:
        ranks, bounds = (any(one.by_rank is kind for one in found) for kind in (True, False))
        downwards = ", downwards in antagonist mode," if first.entry.mode == "antagonist" else ""
        rules = ["a rank among the vehicle wells (Vovk, Gammerman and Shafer 2005, doi:10.1007/b106715)"] * ranks
        rules += ["the t prediction bound of the vehicle wells, which rests on normal noise"] * bounds
        said.append(
            f"Whether a well responds was judged{downwards} by the vehicle wells of its plate and line, which went "
            f"through the same window: it must exceed {', or with few of them '.join(rules)}."
        )
    return tuple(said)


def _where_read(entry: KineticPlateEntry) -> str:
    start, end = entry.window_start, entry.window_end
    if not (start or end):
        return ""
    begin = start or "the end of its artefact"
    return f" ({begin} to {end} after it)" if end else f" (from {begin} after it on)"
