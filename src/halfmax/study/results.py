"""Results on disk: estimates, report and provenance appear whole or not at all."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

from halfmax.errors import FileError
from halfmax.estimate import Estimate
from halfmax.estimate.combining import experiment_of
from halfmax.output import write_file, write_folder, write_table
from halfmax.report import write_html, write_pdf
from halfmax.report.document import Curve, StudyReport

__all__ = ["SCHEMA_VERSION", "records", "run_folder", "write_all", "write_results"]

#: Version of the layout of estimates.csv and estimates.json.
SCHEMA_VERSION = 1


def records(report: StudyReport) -> list[dict[str, object]]:
    """One flat record for each fit, combination and ratio of a report."""
    rows: list[dict[str, object]] = []
    for curve in report.curves:
        kind = "plate" if curve.experiments else "experiment"
        rows += [_labels(curve, kind, experiment_of(fit), _plate(fit)) | fit.record() for fit in curve.fits]
        rows += [_labels(curve, "experiment", experiment_of(one)) | one.record() for one in curve.experiments]
        rows.append(_labels(curve, "combined", "") | curve.combined.record())
        if curve.absolute is not None:
            rows.append(_labels(curve, "combined", "") | curve.absolute.record())
    rows += [{"kind": one.section, "label": one.title} | one.estimate.record() for one in report.analyses]
    rows += [{"kind": "ratio", "label": c.label} | c.estimate.record() for c in report.comparisons]
    return [{**row, "simulated": report.simulated} for row in rows]


def _plate(fit: Estimate) -> str:
    """Plates that a fit is of."""
    return ", ".join(dict.fromkeys(fit.response.plate.tolist())) if fit.response is not None else ""


def _labels(curve: Curve, kind: str, experiment: str, plate: str = "") -> dict[str, object]:
    hours = curve.time_s / 3600 if math.isfinite(curve.time_s) else None
    return {
        "kind": kind,
        "label": curve.title,
        "compound": curve.compound,
        "cell_line": curve.cell_line,
        "time_h": hours,
        "experiment": experiment,
        "plate": plate,
    }


def write_results(report: StudyReport, folder: Path, *, name: str | None = None, pdf: bool = True) -> Path:
    """Write a run's results to ``folder/results/name``, whole or not at all.

    Returns
    -------
    Path
        The folder of the run.

    Raises
    ------
    FileError
        If the place cannot be written, or a run of that name is there already.
    """
    target = run_folder(folder, name or re.sub(r"\D", "", report.provenance.created))
    return write_folder(target, lambda new: write_all(report, new, pdf=pdf))


def run_folder(folder: Path, name: str) -> Path:
    """Where the run of a name goes; a name that cannot be, or is taken, is refused."""
    if not re.fullmatch(r"[\w.-]+", name) or name.startswith("."):
        raise FileError(f'"{name}" cannot name a run. Use letters, digits, ".", "-" and "_".')
    target = folder / "results" / name
    if target.exists():
        raise FileError(f"{target}: there is a run of that name. Nothing is overwritten; choose another name.")
    return target


def write_all(report: StudyReport, folder: Path, *, pdf: bool) -> None:
    """All files of a run into a folder that is there."""
    rows = records(report)
    write_table(folder / "estimates.csv", rows)
    write_table(folder / "estimates.xlsx", rows)
    _write_json(
        {"schema": "halfmax estimates", "version": SCHEMA_VERSION, "title": report.title, "simulated": report.simulated,
         "created": report.provenance.created, "estimates": rows},
        folder / "estimates.json",
    )  # fmt: skip
    _write_json(_provenance(report), folder / "provenance.json")
    for export in (export for one in report.analyses for export in one.exports):
        (folder / "tables").mkdir(exist_ok=True)
        write_file(folder / "tables" / f"{export.name}.csv", export.frame.to_csv(index=False))
    write_html(report, folder / "report.html")
    if pdf:
        write_pdf(report, folder / "report.pdf")


def _provenance(report: StudyReport) -> dict[str, object]:
    about = report.provenance
    return {
        "schema": "halfmax provenance",
        "version": SCHEMA_VERSION,
        "created": about.created,
        "simulated": report.simulated,
        "inputs": [vars(source) for source in about.sources],
        "versions": dict(about.versions),
        "settings": dict(about.settings),
        "seed": about.seed,
        "exclusions": [vars(exclusion) for exclusion in report.exclusions],
    }


def _write_json(content: object, path: Path) -> None:
    write_file(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
