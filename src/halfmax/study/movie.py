"""One recording by itself, without a study: traces, cells, figures and report into a folder."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from halfmax.errors import FileError
from halfmax.output import write_folder
from halfmax.report import figures, save_figure
from halfmax.report.document import StudyReport
from halfmax.study.analyses.dish import Recorded, dish_analysis, is_refused
from halfmax.study.analyses.movies import record
from halfmax.study.document import StudyDocument, validated
from halfmax.study.entries import CalciumSection, MovieEntry
from halfmax.study.many import arrow
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
    section: CalciumSection | None = None,
    also: Sequence[Literal["parquet", "nwb"]] = (),
    pdf: bool = True,
    progress: Progress = lambda *_: None,
    **entry: Any,
) -> MovieRun:
    """Analyse a recording; its folder appears whole or not at all.

    Parameters
    ----------
    file : path, or sequence of paths
        The recording; several files where each channel has its own.
    output : path, optional
        A folder that is not there yet. Without it nothing is written.
    section : CalciumSection, optional
        Windows, calibration and camera.
    also : sequence of {"parquet", "nwb"}
        What traces are written as besides CSV; needs ``pip install "halfmax[parquet]"`` or ``"halfmax[nwb]"``.
    pdf : bool
    progress : callable, optional
    **entry
        Other keys of `MovieEntry`: ``masks``, ``stimuli``, ``channels``, ``interval``, ``diameter``, ``frames`` …

    Returns
    -------
    MovieRun

    Raises
    ------
    FileError, TableError, StudyError, RangeError
        If a file or a key is not what it should be, or `output` is there already; nothing is written then.
    """
    target = Path(output) if output is not None else None
    if target is not None and target.exists():
        raise FileError(f"{target}: is there already. Nothing is overwritten; choose another folder.")
    asked = _entry([Path(one) for one in ([file] if isinstance(file, str | Path) else file)], entry)
    chosen = section or validated(CalciumSection, {})
    begun = time.perf_counter()
    one = record(asked, chosen, Path(), progress=lambda done, of: progress("reading frames", done, of))
    seconds = time.perf_counter() - begun
    progress("drawing and writing", one.dish.traces.frames, one.dish.traces.frames)
    report = _report(one, chosen)
    if target is not None:
        write_folder(target, lambda new: _write(report, one, new, also=also, pdf=pdf))
    responders = {r.stimulus.name: None if is_refused(r) else int(r.calls.called.sum()) for r in one.dish.responses}
    traces = one.dish.traces
    return MovieRun(traces.frames, traces.cells, traces.channels, responders, seconds, peak_memory_mb(), report, target)


def _entry(files: Sequence[Path], said: dict[str, Any]) -> MovieEntry:
    """What was asked as an entry of a study; files are named from the root, since there is no folder of a study."""
    said = {key: value for key, value in said.items() if value is not None}
    said |= {key: str(Path(said[key]).resolve()) for key in ("masks", "stimuli") if key in said}
    first, *more = (str(file.resolve()) for file in files)
    return validated(MovieEntry, {"file": first, "more_files": more, **said})


def _report(one: Recorded, section: CalciumSection) -> StudyReport:
    title = Path(one.entry.file).name
    document = validated(StudyDocument, {"study": {"title": title}, "calcium": section})
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
        arrow()
        for export in report.analyses[0].exports:
            export.frame.to_parquet(folder / "tables" / f"{export.name}.parquet", index=False)
    if "nwb" in also:
        from halfmax.study.nwb import write_nwb

        write_nwb(one, folder / "traces.nwb")


def peak_memory_mb() -> float:
    """Most memory that this process has held, MB."""
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset) / 1e6
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6
