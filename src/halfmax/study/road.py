"""The road: study document → tables → responses → estimates → everything a report says."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from halfmax.errors import FileError, HalfmaxError, StudyError, nearest
from halfmax.estimate import Estimate, compare, fit_all
from halfmax.report.document import Comparison, Curve, Exclusion, Plate, Provenance, StudyReport
from halfmax.study.analyses import analyses_of, check_there, files_of
from halfmax.study.curves import curves_of
from halfmax.study.document import StudyDocument, load
from halfmax.study.entries import PlateEntry, Viability
from halfmax.study.tables import read_table
from halfmax.table import AssayTable, Source
from halfmax.units import duration
from halfmax.wells import plate_shape

if TYPE_CHECKING:
    from halfmax.assays.viability import PlateQuality
    from halfmax.response import Response

__all__ = ["Outcome", "analyse", "provenance_of", "run"]

#: Stands in every file of readings that halfmax simulates.
SIMULATED_MARK = "SIMULATED by halfmax"

#: Told of each step: what is being done, how many steps are done, how many there are.
Progress = Callable[[str, int, int], None]


def _silent(_what: str, _done: int, _of: int) -> None:
    """Progress for nobody."""


@dataclass(frozen=True)
class Outcome:
    """What a study came to: the report's content, and the folder it was written to (if it was)."""

    report: StudyReport
    folder: Path | None = None

    @property
    def refused(self) -> list[Estimate]:
        """Fits that have no EC50 with both ends, and analyses that are open, for ``--strict``."""
        fits = [fit for curve in self.report.curves for fit in (*curve.fits, curve.combined) if _refused(fit)]
        return fits + [one.estimate for one in self.report.analyses if not one.estimate.status.startswith("ok")]


def _refused(estimate: Estimate) -> bool:
    return estimate["ec50"].operator != "="


def run(
    path: str | Path, *, name: str | None = None, pdf: bool = True, progress: Progress = _silent, write: bool = True
) -> Outcome:
    """Analyse a study and write its results whole or not at all.

    Parameters
    ----------
    path : path
        A study folder, or its ``study.toml``.
    name : str, optional
        Name of the run; the time where none is given.
    pdf : bool
        Write ``report.pdf`` beside ``report.html``.
    progress : callable, optional
    write : bool
        False computes only.

    Returns
    -------
    Outcome

    Raises
    ------
    FileError, TableError, RangeError, StudyError, FitError
        If a file, a layout or the document is wrong; nothing is written then.
    """
    from halfmax.study.results import run_folder, write_results

    file = Path(path)
    folder = file if file.is_dir() else file.parent
    document = load(file)
    if write and name is not None:
        run_folder(folder, name)
    report = analyse(document, folder, study_file=folder / "study.toml" if file.is_dir() else file, progress=progress)
    if not write:
        return Outcome(report)
    progress("writing the report", 3, 4)
    target = write_results(report, folder, name=name, pdf=pdf)
    progress("done", 4, 4)
    return Outcome(report, target)


def analyse(
    document: StudyDocument, folder: Path, *, study_file: Path | None = None, progress: Progress = _silent
) -> StudyReport:
    """Everything a report says of a study, computed, nothing written."""
    from halfmax.reference import discrepancies

    check_there(document)
    wells = [*(entry.file for entry in document.plate), *(entry.file for entry in document.table)]
    others = files_of(document)
    progress("reading plates" if wells else "reading files", 0, 4)
    for file in others:
        _inside(folder, file)
    simulated = document.study.simulated or any(_says_simulated(folder / file) for file in (*wells, *others))
    cells = _analysed(document, folder, progress, simulated=simulated) if wells else _Viability()
    progress("analysing binding, kinetics, function and calcium" if others else "judging plates", 2, 4)
    found = analyses_of(document, folder, simulated=simulated, tell=lambda what: progress(what, 2, 4))
    compounds = list(dict.fromkeys(curve.compound for curve in cells.curves))
    sources = [*cells.sources, *(source for one in found for source in one.sources)]
    sources += [Source.of(study_file, reader="study")] if study_file else []
    return StudyReport(
        title=document.study.title,
        description=document.study.description,
        simulated=simulated,
        quantity=document.viability.quantity,
        level=document.study.level,
        curves=cells.curves,
        comparisons=tuple(_comparisons(document, cells.curves)),
        plates=cells.plates,
        exclusions=tuple(Exclusion(*key, reason) for key, reason in cells.exclusions.items()),
        discrepancies=tuple(d for compound in _known_ligands(compounds) for d in discrepancies(compound)),
        provenance=provenance_of(document, sources),
        analyses=tuple(one.analysis for one in found),
    )


@dataclass(frozen=True)
class _Viability:
    """Curves and plates of a study, what was left out, and the files."""

    curves: tuple[Curve, ...] = ()
    plates: tuple[Plate, ...] = ()
    exclusions: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()


def _analysed(document: StudyDocument, folder: Path, progress: Progress, *, simulated: bool) -> _Viability:
    """Viability: plates and long tables → curves, and plates judged."""
    from halfmax.assays import viability

    readings, settings = _read(document, folder), document.viability
    exclusions = _exclusions(document, readings.table)
    progress("fitting curves", 1, 4)
    responses = list(_responses(readings, settings, exclusions, simulated=simulated))
    fits = fit_all(responses, settings.model, level=document.study.level, direction=settings.direction)
    curves = tuple(curves_of(fits, settings, document.study.level))
    mapped = _with_wells(readings.table)
    plates = tuple(_plates(mapped, viability.quality(mapped, exclusions=exclusions), exclusions))
    return _Viability(curves, plates, exclusions, readings.sources)


@dataclass(frozen=True)
class _Readings:
    """All readings of a study, one channel a file; the plates that are fitted on their own; the files."""

    table: AssayTable
    apart: tuple[tuple[str, str], ...]
    sources: tuple[Source, ...]


def _read(document: StudyDocument, folder: Path) -> _Readings:
    """Plates and long tables of a study."""
    from halfmax.assays import viability

    settings, parts, sources = document.viability, [], []
    if document.plate:
        plates, layouts = _read_plates(document, folder)
        parts.append(viability.correct(plates, signal=settings.signal, background=settings.background))
        sources += [*plates.sources, *layouts]
    elif settings.signal is not None or settings.background is not None:
        raise StudyError(
            "viability.signal and viability.background name channels of plate files, and this study has only tables. "
            "Take them out; the signal of a table is its signal_column."
        )
    apart: list[tuple[str, str]] = []
    seen = {key: "a [[plate]]" for table in parts for key in _plates_of(table)}
    for number, entry in enumerate(document.table, start=1):
        try:
            table = read_table(entry, _inside(folder, entry.file))
        except HalfmaxError as error:
            raise type(error)(f"table[{number}] ({entry.file}): {error}") from error
        for key in _plates_of(table):
            if key in seen:
                raise StudyError(
                    f'{seen[key]} and table[{number}] both give plate "{key[1]}" of experiment "{key[0]}". '
                    "Its wells would count twice; take one out, or rename a file."
                )
            seen[key] = f"table[{number}]"
        apart += _plates_of(table) if entry.plates == "apart" else []
        parts.append(table)
        sources += table.sources
    return _Readings(AssayTable.concat(parts), tuple(apart), tuple(dict.fromkeys(sources)))


def _plates_of(table: AssayTable) -> list[tuple[str, str]]:
    """(experiment, plate) of a table, each once."""
    keys = zip(table.frame["experiment"], table.frame["plate"], strict=True)
    return list(dict.fromkeys((str(experiment), str(plate)) for experiment, plate in keys))


def _responses(
    readings: _Readings, settings: Viability, exclusions: dict[tuple[str, str, str], str], *, simulated: bool
) -> Iterable[Response]:
    """Responses of the experiments, and of each plate that is fitted on its own."""
    from halfmax.assays import viability

    frame = readings.table.frame
    own = [key in set(readings.apart) for key in zip(frame["experiment"], frame["plate"], strict=True)]
    rest = frame[[not alone for alone in own]]
    parts = [rest] if len(rest) else []
    parts += [
        frame[(frame["experiment"] == experiment) & (frame["plate"] == plate)] for experiment, plate in readings.apart
    ]
    for part in parts:
        yield from viability.responses(
            AssayTable(part), exclusions=exclusions, zero=settings.zero, quantity=settings.quantity,
            simulated=simulated,
        )  # fmt: skip


def _with_wells(table: AssayTable) -> AssayTable:
    """Readings whose place on the plate is known: only these can be drawn and judged as plates."""
    return AssayTable(table.frame[table.frame["well"] != ""], table.sources)


def _read_plates(document: StudyDocument, folder: Path) -> tuple[AssayTable, list[Source]]:
    """All readings with what stood in their wells, and the layout files as sources."""
    layouts: dict[str, Source] = {}
    tables = []
    for number, entry in enumerate(document.plate, start=1):
        try:
            tables.append(_read_plate(entry, folder))
        except HalfmaxError as error:
            raise type(error)(f"plate[{number}] ({entry.file}): {error}") from error
        layouts.setdefault(entry.layout, Source.of(folder / entry.layout, reader="layout"))
    _check_names(document, tables)
    return AssayTable.concat(tables), list(layouts.values())


def _read_plate(entry: PlateEntry, folder: Path) -> AssayTable:
    from halfmax.readers import read
    from halfmax.readers.layout import read_layout

    path = _inside(folder, entry.file)
    table = read(path)
    if entry.plate is not None:
        if entry.plate not in table.plates:
            raise StudyError(f'{entry.file} holds no plate "{entry.plate}". {nearest(entry.plate, table.plates)}')
        table = table.where(plate=entry.plate)
    if table.frame.groupby(["plate", "channel"])["time_s"].nunique().max() > 1:
        raise StudyError(
            f"{entry.file} is a kinetic reading; viability needs one reading a well. Export the end point."
        )
    exposure = duration(entry.time) if entry.time else math.nan
    known = table.with_columns(
        assay="viability", cell_line=entry.cell_line, time_s=exposure, experiment=entry.experiment
    )
    applied = read_layout(_inside(folder, entry.layout)).apply(known)
    for column in ("compound", "cell_line"):
        if (applied.frame[column] == "?").any():
            raise StudyError(f'{entry.layout}: {column} is "?", which waits to be filled in.')
    stem = Path(entry.file).stem
    single = len(applied.plates) == 1
    return applied.with_columns(plate=[stem if single else f"{stem} · {plate}" for plate in applied.frame["plate"]])


def _says_simulated(path: Path) -> bool:
    """Whether a file says of itself that halfmax simulated it; then it is never shown as measured."""
    if not path.is_file():  # whoever reads it says so
        return False
    with open(path, "rb") as stream:
        start = stream.read(1 << 16)
    return any(SIMULATED_MARK.encode(encoding) in start for encoding in ("ascii", "utf-16-le", "utf-16-be"))


def _inside(folder: Path, name: str) -> Path:
    """File of a study: relative, inside the folder, there."""
    path = folder / name
    if Path(name).is_absolute() or not path.resolve().is_relative_to(folder.resolve()):
        raise StudyError(f"{name} lies outside the study's folder. Copy it in and name it relative to study.toml.")
    if not path.is_file():
        there = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        hint = nearest(name, there[:200]) if there else "The folder is empty."
        raise FileError(f"{name}: there is no such file in {folder}. {hint}")
    return path


def _check_names(document: StudyDocument, tables: Sequence[AssayTable]) -> None:
    """The same file twice in one experiment would count its wells twice."""
    seen: dict[tuple[str, str], int] = {}
    for number, (entry, table) in enumerate(zip(document.plate, tables, strict=True), start=1):
        for plate in table.plates:
            key = (entry.experiment, plate)
            if key in seen:
                raise StudyError(
                    f'plate[{seen[key]}] and plate[{number}] both give plate "{plate}" of experiment '
                    f'"{entry.experiment}". Name the plate inside the file, or rename a file.'
                )
            seen[key] = number


def _exclusions(document: StudyDocument, table: AssayTable) -> dict[tuple[str, str, str], str]:
    """(experiment, plate, well) to reason; a well that does not exist is an error."""
    reasons: dict[tuple[str, str, str], str] = {}
    places = table.frame[["experiment", "plate", "well"]].drop_duplicates()
    for number, entry in enumerate(document.exclude, start=1):
        here = places[places["plate"] == entry.plate]
        if entry.experiment is not None:
            here = here[here["experiment"] == entry.experiment]
        if here.empty:
            raise StudyError(f'exclude[{number}]: no plate "{entry.plate}". {nearest(entry.plate, table.plates)}')
        if here["experiment"].nunique() > 1:
            raise StudyError(f'exclude[{number}]: plate "{entry.plate}" is in several experiments. Say which.')
        for well in entry.wells:
            if well not in set(here["well"]):
                raise StudyError(f"exclude[{number}]: plate {entry.plate} has no well {well}.")
            reasons[(str(here["experiment"].iloc[0]), entry.plate, well)] = entry.reason
    return reasons


def _known_ligands(compounds: Iterable[str]) -> list[str]:
    from halfmax.reference import ligand

    known = []
    for compound in compounds:
        try:
            known.append(ligand(compound).name)
        except HalfmaxError:
            continue
    return list(dict.fromkeys(known))


def _comparisons(document: StudyDocument, curves: Sequence[Curve]) -> Iterable[Comparison]:
    from halfmax.reference import published_ratio

    for number, entry in enumerate(document.compare, start=1):
        target, spared = (
            _curve_of(curves, entry.compound, line, f"compare[{number}]") for line in (entry.target, entry.spared)
        )
        label = f"{entry.name} of {entry.compound}: {entry.spared} over {entry.target}"
        ratio = compare(target.combined, spared.combined, level=document.study.level, label=label)
        known, error = math.nan, None
        if target.published and spared.published:
            known, error = published_ratio(spared.published[0], target.published[0])
        note = _ratio_note(entry.compound, known)
        yield Comparison(entry.name, label, ratio, known, math.nan if error is None else error, note)


def _ratio_note(compound: str, ratio: float) -> str:
    """What is known of a printed ratio that is not that of the printed values."""
    from halfmax.reference import discrepancies

    if math.isnan(ratio):
        return ""
    found = [d for name in _known_ligands([compound]) for d in discrepancies(name) if f"{ratio:.2f}" in d.statement]
    return found[0].statement if found else ""


def _curve_of(curves: Sequence[Curve], compound: str, line: str, where: str) -> Curve:
    found = [curve for curve in curves if curve.compound == compound and curve.cell_line == line]
    if not found:
        raise StudyError(f"{where}: the study has no curve of {compound} in {line}. "
                         f"{nearest(line, [curve.cell_line for curve in curves])}")  # fmt: skip
    if len(found) > 1:
        raise StudyError(f"{where}: {compound} in {line} was measured at several times; compare one of them.")
    return found[0]


def _plates(
    table: AssayTable, qualities: Sequence[PlateQuality], exclusions: dict[tuple[str, str, str], str]
) -> Iterable[Plate]:
    from halfmax.assays.viability import percent_of_vehicle

    frame = table.frame.assign(percent=percent_of_vehicle(table))
    for quality in qualities:
        part = frame[(frame["experiment"] == quality.experiment) & (frame["plate"] == quality.plate)]
        excluded = [exclusions.get((quality.experiment, quality.plate, well), "") for well in part["well"]]
        columns = ["well", "role", "compound", "concentration_M", "signal", "percent", "flag"]
        yield Plate(
            quality.plate, quality.cell_line, quality.experiment, float(part["time_s"].iloc[0]),
            plate_shape(part["well"]), str(part["channel"].iloc[0]),
            part[columns].assign(excluded=excluded).reset_index(drop=True), quality,
        )  # fmt: skip


def provenance_of(document: StudyDocument, sources: Sequence[Source]) -> Provenance:
    """Versions, settings and files, and the time."""
    from importlib.metadata import PackageNotFoundError, version

    from halfmax import __version__

    versions = [("halfmax", __version__), ("python", platform.python_version())]
    for package in ("numpy", "scipy", "pandas"):
        try:
            versions.append((package, version(package)))
        except PackageNotFoundError:
            continue
    used = document.viability.model_dump().items() if document.plate or document.table else ()
    settings = [(key, str(value)) for key, value in used if value is not None]
    settings += [("level", str(document.study.level)), ("platform", sys.platform)]
    return Provenance(tuple(sources), tuple(versions), tuple(settings), document.study.seed, _now())


def _now() -> str:
    """The time in UTC; that of SOURCE_DATE_EPOCH where it is set, for runs that must give the same bytes."""
    stated = os.environ.get("SOURCE_DATE_EPOCH")
    moment = datetime.fromtimestamp(int(stated), UTC) if stated else datetime.now(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
