"""A realistic study, simulated with a fixed seed, and what the report makes of it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from halfmax import reference
from halfmax.assays import viability
from halfmax.curves import hill
from halfmax.estimate import Estimate, absolute_ec50, combine, compare, fit_all
from halfmax.report import Comparison, Curve, Exclusion, Plate, Provenance, StudyReport, write_html, write_pdf
from halfmax.table import AssayTable, Source
from halfmax.wells import well_name

LINES = (("MCF-7", 4.9e-6, 48.0), ("HMEC", 32.3e-6, 48.0), ("SK-N-SH", 7.6e-6, 24.0), ("PANC-1", 5e-4, 48.0))
DOSES = np.array([1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 1.8e-5, 3e-5, 5.6e-5, 1e-4])
CHANNEL = "570 − 660 nm"
EXCLUDED = ("1", "MCF-7-1", "C4")


def plate_table(line: str, ec50: float, hours: float, experiment: int, rng: np.random.Generator, **names: str):
    """One plate of 96 wells: 9 doses in columns 2 to 10, vehicle, kill and blank in 1, 11 and 12."""
    log_shift, height = rng.normal(0, 0.08), rng.uniform(0.8, 1.2)
    rows = []
    for column, role in ((0, "vehicle"), (10, "kill"), (11, "blank")):
        level = {"vehicle": 1.0, "kill": 0.06, "blank": 0.05}[role]
        rows += [(well_name(row, column), role, np.nan if role != "vehicle" else 0.0, level) for row in range(8)]
    mean = hill(DOSES, ec50=ec50 * 10**log_shift, hill_slope=-1.4, top=1.0, bottom=0.06)
    rows += [(well_name(row, 1 + j), "sample", dose, mean[j]) for j, dose in enumerate(DOSES) for row in range(2, 5)]
    level = np.array([row[3] for row in rows])
    signal = height * level * (1 + rng.normal(0, 0.05, level.size)) + rng.normal(0, 0.008, level.size)
    plate = f"{line}-{experiment}"
    wells = [row[0] for row in rows]
    flag = np.full(len(rows), "", dtype=object)
    if plate == "HMEC-2":
        signal[wells.index("A1")], flag[wells.index("A1")] = np.nan, "saturated"
    if plate == EXCLUDED[1]:
        signal[wells.index("C4")] *= 0.35
    if plate == "SK-N-SH-3":
        signal[wells.index("D5")] *= 0.3
    return AssayTable.of(
        {
            "assay": "viability", "compound": [names["compound"] if r[1] == "sample" else "" for r in rows],
            "concentration_M": [r[2] for r in rows], "time_s": hours * 3600, "cell_line": line, "plate": plate,
            "well": wells, "experiment": str(experiment), "role": [r[1] for r in rows], "channel": CHANNEL,
            "signal": signal, "flag": flag,
        }
    )  # fmt: skip


def simulate(lines=LINES, *, compound: str = "CM572", experiments: int = 3, seed: int = 7) -> AssayTable:
    """All plates of a study."""
    rng = np.random.default_rng(seed)
    return AssayTable.concat(
        plate_table(line, ec50, hours, experiment, rng, compound=compound)
        for line, ec50, hours in lines
        for experiment in range(1, experiments + 1)
    )


def curve_of(fits: list[Estimate]) -> Curve:
    """Curve of the fits of one line."""
    response = fits[0].response
    known = response.compound == "CM572" and response.cell_line in {line for line, *_ in LINES}
    absolutes = [replace(fit, parameters=(absolute_ec50(fit),)) for fit in fits]
    label = f"{response.compound} in {response.cell_line}"
    return Curve(
        response.compound, response.cell_line, response.time_s, tuple(fits), combine(fits, label=label),
        combine(absolutes, parameter="ec50_absolute", label=label),
        reference.values("CM572", response.cell_line, "ec50") if known else (),
    )  # fmt: skip


def plates_of(table: AssayTable, exclusions: dict[tuple[str, str, str], str]) -> tuple[Plate, ...]:
    """Plates as a study hands them on."""
    frame = table.frame.assign(percent=viability.percent_of_vehicle(table))
    frame["excluded"] = [
        exclusions.get(key, "") for key in zip(frame["experiment"], frame["plate"], frame["well"], strict=True)
    ]
    found = []
    for quality in viability.quality(table, exclusions=exclusions):
        part = frame[frame["plate"] == quality.plate]
        found.append(
            Plate(
                quality.plate, quality.cell_line, quality.experiment, float(part["time_s"].iloc[0]), (8, 12), CHANNEL,
                part, quality,
            )
        )  # fmt: skip
    return tuple(found)


def build(table: AssayTable, *, title: str = "CM572 in four lines", simulated: bool = True) -> StudyReport:
    """Report of a simulated study, on the road that a study takes."""
    exclusions = {EXCLUDED: "pipetting error noted at the bench"}
    responses = viability.responses(table, exclusions=exclusions, simulated=simulated)
    fits = fit_all(responses, direction="falling")
    groups: dict[tuple[str, str], list[Estimate]] = {}
    for fit in fits:
        groups.setdefault((fit.response.compound, fit.response.cell_line), []).append(fit)
    curves = tuple(curve_of(group) for group in groups.values())
    by_line = {curve.cell_line: curve for curve in curves}
    comparisons = ()
    if {"MCF-7", "HMEC"} <= set(by_line):
        index = compare(by_line["MCF-7"].combined, by_line["HMEC"].combined)
        published = reference.published_ratio(by_line["HMEC"].published[0], by_line["MCF-7"].published[0])
        comparisons = (
            Comparison(
                "selectivity index", "HMEC over MCF-7", index, published.ratio, published.standard_error,
                "The guide prints 6.4-fold, which is not the ratio of the printed means.",
            ),
        )  # fmt: skip
    digest = hashlib.sha256(b"simulated").hexdigest()
    return StudyReport(
        title, "MTT after 24 or 48 h of exposure; three experiments a line, three wells a dose.", simulated,
        "absorbance", 0.95, curves, comparisons, plates_of(table, exclusions),
        tuple(Exclusion(*key, reason) for key, reason in exclusions.items()), reference.discrepancies("CM572"),
        Provenance(
            tuple(Source(f"{name}.csv", digest, "plate", "0.1.0") for name in table.plates),
            (("halfmax", "0.1.0"), ("numpy", np.__version__)), (("model", "hill4"), ("direction", "falling")), 7,
            "2026-01-05 10:00",
        ),
    )  # fmt: skip


@pytest.fixture(scope="session")
def report() -> StudyReport:
    """Four lines, three experiments each, one line out of reach of the doses; the plates of two lines, to be quick."""
    full = build(simulate())
    return replace(full, plates=full.plates[:6])


@pytest.fixture(scope="session")
def html(report, tmp_path_factory):
    """The report as one HTML file."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_html(report, path)
    return path


@pytest.fixture(scope="session")
def pdf(report, tmp_path_factory):
    """The report as a PDF."""
    path = tmp_path_factory.mktemp("report") / "report.pdf"
    write_pdf(report, path)
    return path
