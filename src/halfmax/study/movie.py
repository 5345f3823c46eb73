"""One recording by itself, without a study: traces, cells, figures and report into a folder."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from halfmax.errors import FileError, HalfmaxError, StudyError
from halfmax.output import write_folder
from halfmax.report import figures, save_figure
from halfmax.report.document import Export, StudyReport
from halfmax.study.analyses.dish import Recorded, dish_analysis, is_refused
from halfmax.study.analyses.movies import record
from halfmax.study.document import StudyDocument
from halfmax.study.entries import CalciumSection, MovieEntry
from halfmax.study.results import write_all
from halfmax.study.road import provenance_of

__all__ = ["MovieRun", "run_movie"]

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class MovieRun:
    """What came of a recording.

    Parameters
    ----------
    frames, cells : int
    channels : tuple of str
    responders : dict of str to int or None
        Cells that respond to each stimulus; None where there was too little to call them by.
    seconds : float, s
        From opening the recording to the last response, without the writing of files.
    peak_memory_mb : float, MB
        Of the whole process.
    report : StudyReport
    folder : Path or None
    """

    frames: int
    cells: int
    channels: tuple[str, ...]
    responders: dict[str, int | None]
    seconds: float
    peak_memory_mb: float
    report: StudyReport
    folder: Path | None

    def summary(self) -> dict[str, object]:
        """The same as plain data."""
        return {
            "frames": self.frames, "channels": list(self.channels), "cells": self.cells,
            "responders": self.responders, "seconds": round(self.seconds, 3),
            "peak_memory_mb": round(self.peak_memory_mb, 1), "simulated": self.report.simulated,
            "folder": str(self.folder) if self.folder else None,
        }  # fmt: skip


def run_movie(
    file: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    *,
    masks: str | Path | None = None,
    stimuli: str | Path | None = None,
    section: CalciumSection | None = None,
    channels: Sequence[str] | None = None,
    interval: str | None = None,
    diameter: float | None = None,
    frames: int | None = None,
    parquet: bool = False,
    nwb: bool = False,
    pdf: bool = True,
    progress: Progress = lambda *_: None,
) -> MovieRun:
    """Analyse a recording; its folder appears whole or not at all.

    Parameters
    ----------
    file : path, or sequence of paths
        The recording; several files where each channel has its own.
    output : path, optional
        A folder that is not there yet. Without it nothing is written.
    masks, stimuli : path, optional
    section : CalciumSection, optional
        Windows, calibration and camera.
    channels, interval, diameter, frames
        As in `MovieEntry`.
    parquet : bool
        Whether traces and cells are also written as Parquet; needs ``pip install "halfmax[parquet]"``.
    nwb : bool
        Whether the traces are also written as NWB; needs ``pip install "halfmax[nwb]"``.
    pdf : bool
    progress : callable, optional

    Returns
    -------
    MovieRun

    Raises
    ------
    FileError, TableError, StudyError, RangeError
        If a file is not what it should be, or `output` is there already; nothing is written then.
    """
    target = Path(output) if output is not None else None
    also = [name for name, asked_for in (("parquet", parquet), ("nwb", nwb)) if asked_for]
    if target is not None and target.exists():
        raise FileError(f"{target}: is there already. Nothing is overwritten; choose another folder.")
    paths = [Path(one).resolve() for one in ([file] if isinstance(file, str | Path) else file)]
    entry = _entry({
        "file": str(paths[0]), "more_files": [str(one) for one in paths[1:]],
        "masks": str(Path(masks).resolve()) if masks else None,
        "stimuli": str(Path(stimuli).resolve()) if stimuli else None,
        "channels": list(channels) if channels else None, "interval": interval, "diameter": diameter,
        "frames": frames,
    })  # fmt: skip
    asked = section or CalciumSection.model_validate({})
    begun = time.perf_counter()
    one = record(entry, asked, Path(), progress=lambda done, of: progress("reading frames", done, of))
    seconds = time.perf_counter() - begun
    progress("drawing and writing", one.dish.traces.frames, one.dish.traces.frames)
    report = _report(one, asked)
    if target is not None:
        write_folder(target, lambda new: _write(report, one, new, also=also, pdf=pdf))
    responders = {r.stimulus.name: None if is_refused(r) else int(r.calls.called.sum()) for r in one.dish.responses}
    traces = one.dish.traces
    return MovieRun(traces.frames, traces.cells, traces.channels, responders, seconds, peak_memory_mb(), report, target)


def _entry(said: dict[str, object]) -> MovieEntry:
    """What was asked as an entry of a study; what cannot be is named."""
    try:
        return MovieEntry.model_validate(said)
    except ValidationError as error:
        problem = error.errors()[0]
        cause = problem.get("ctx", {}).get("error")
        what = f"{cause}" if isinstance(cause, HalfmaxError) else f"{problem['msg']}, found {problem['input']!r}."
        raise StudyError(f"{'.'.join(map(str, problem['loc']))}: {what}") from None


def _report(one: Recorded, section: CalciumSection) -> StudyReport:
    title = Path(one.entry.file).name
    document = StudyDocument.model_validate({"study": {"title": title}, "calcium": section})
    return StudyReport(
        title=title, description="One recording.", simulated=one.movie.simulated, quantity="",
        level=document.study.level, curves=(), comparisons=(), plates=(), exclusions=(), discrepancies=(),
        provenance=provenance_of(document, one.sources),
        analyses=(dish_analysis(one, document.study.level, pictures=True),),
    )  # fmt: skip


def _write(report: StudyReport, one: Recorded, folder: Path, *, also: Sequence[str], pdf: bool) -> None:
    write_all(report, folder, pdf=pdf)
    (folder / "figures").mkdir()
    for figure in figures(report):
        save_figure(figure, folder / "figures" / f"{figure.name}.svg")
    if "parquet" in also:
        for export in report.analyses[0].exports:
            _write_parquet(export, folder / "tables" / f"{export.name}.parquet")
    if "nwb" in also:
        from halfmax.study.nwb import write_nwb

        write_nwb(one, folder / "traces.nwb")


def _write_parquet(export: Export, path: Path) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise FileError('Parquet needs pyarrow. Install it with: pip install "halfmax[parquet]"') from None
    export.frame.to_parquet(path, index=False)


def peak_memory_mb() -> float:
    """Most memory that this process has held, MB."""
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset) / 1e6
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6
