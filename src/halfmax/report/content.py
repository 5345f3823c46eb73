"""What both documents say, in the order in which they say it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from halfmax.estimate import Estimate
from halfmax.report.analysis import SECTIONS, analysis_table, findings_table
from halfmax.report.document import Analysis, Curve, Plate, StudyReport
from halfmax.report.figure import Figure, figures
from halfmax.report.forest import row_label
from halfmax.report.platemap import plate_title
from halfmax.report.style import SIMULATED
from halfmax.report.tables import (
    Table,
    comparison_table,
    effects_text,
    exclusion_table,
    experiment_table,
    files_table,
    interval,
    quality_table,
    settings_table,
    short,
    suggestion_table,
    summary_table,
    which,
)
from halfmax.report.variation import influence_table, variation_table, variation_words
from halfmax.report.wording import References, Work, methods, undetermined

__all__ = ["Content", "content_of"]

#: Kinds of figures, in the order of the report.
KINDS = ("forest", "spread", "curve", "analysis", "plate")
#: Suspect wells named under a plate; the table of all of them stands further down.
MOST_LOOKS = 4
READ_CURVES = (
    "Every well is a point, shifted sideways a little so that it can be seen. Vehicle and full-effect wells stand "
    "beyond the breaks of the axis. The black dot and its bar are the EC50 and the interval of the answer above; an "
    "arrow is an interval that the data leave open. Where experiments are shown as percent of their vehicle, that is "
    "for the eye: the fits are on raw signals, as are plateaus in the tables."
)
READ_PLATES = (
    "Each well shows percent of its plate's vehicle, where there is one, or else the signal. Control wells are framed "
    "in the colour of their role, excluded wells crossed, flagged wells struck through, and wells that differ from "
    "their replicates more than chance explains are ringed. Effects of position are tested beside the doses."
)


@dataclass(frozen=True)
class CurvePart:
    """One curve or analysis: its figures, its table (the fits of its experiments), what is to be said besides."""

    title: str
    answer: str
    status: str
    figures: tuple[Figure, ...]
    table: Table
    notes: tuple[str, ...]


@dataclass(frozen=True)
class SectionPart:
    """Analyses of one kind under their heading."""

    anchor: str
    title: str
    parts: tuple[CurvePart, ...]


@dataclass(frozen=True)
class PlatePart:
    """One plate: its picture and its quality in a line."""

    title: str
    figure: Figure
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Doubt:
    """A discrepancy of the published record."""

    title: str
    statement: str
    consequence: str
    marks: str


@dataclass(frozen=True)
class Content:
    """Everything that stands in a document."""

    report: StudyReport
    version: str
    level: str
    banner: str
    date: str
    summary: Table | None
    findings: Table | None
    comparisons: Table | None
    ratio_notes: tuple[str, ...]
    forests: tuple[Figure, ...]
    variation: Table | None
    variation_words: str
    spreads: tuple[Figure, ...]
    influence: Table | None
    curves: tuple[CurvePart, ...]
    sections: tuple[SectionPart, ...]
    plates: tuple[PlatePart, ...]
    quality: Table | None
    exclusions: Table | None
    suggestions: Table | None
    how_to_read_curves: str
    how_to_read_plates: str
    open_questions: Table | None
    methods: tuple[str, ...]
    doubts: tuple[Doubt, ...]
    works: tuple[Work, ...]
    files: Table | None
    settings: Table


def content_of(report: StudyReport) -> Content:
    """Put a report into words, tables and figures."""
    from halfmax import __version__

    cite = References()
    drawn = figures(report)
    kinds = {kind: [figure for figure in drawn if figure.kind == kind] for kind in KINDS}
    summary = summary_table(report, cite) if report.curves else None
    comparisons = comparison_table(report)
    said = methods(report, cite)
    doubts = tuple(Doubt(d.title, d.statement, d.consequence, cite(*d.citations)) for d in report.discrepancies)
    banner = f"{SIMULATED.capitalize()}: no instrument measured this." if report.simulated else ""
    date = re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d).*?(Z|\+00:00)$", r"\1 \2 UTC", report.provenance.created)
    return Content(
        report, __version__, f"{100 * report.level:.0f} %", banner, date, summary,
        findings_table(report), comparisons,
        _ratio_notes(report),
        tuple(kinds["forest"]),
        variation_table(report), variation_words(report), tuple(kinds["spread"]), influence_table(report),
        tuple(
            _curve_part(report, curve, index, figure)
            for index, (curve, figure) in enumerate(zip(report.curves, kinds["curve"], strict=True))
        ),
        tuple(_sections(report, kinds["analysis"])),
        tuple(_plate_part(plate, figure) for plate, figure in zip(report.plates, kinds["plate"], strict=True)),
        quality_table(report), exclusion_table(report), suggestion_table(report),
        READ_CURVES, READ_PLATES, undetermined(report),
        said, doubts, cite.works(), files_table(report), settings_table(report),
    )  # fmt: skip


def _ratio_notes(report: StudyReport) -> tuple[str, ...]:
    """How the ratios stand to print, and what follows where the published record contradicts itself."""
    said = [one.published_note for one in report.comparisons if one.published_note]
    if report.comparisons:
        for doubt in report.discrepancies:
            if any("selectivity" in value for value in doubt.values):
                said += [f"{doubt.statement} {doubt.consequence}" if doubt.statement not in said else doubt.consequence]
    return tuple(dict.fromkeys(said))


def _curve_part(report: StudyReport, curve: Curve, index: int, figure: Figure) -> CurvePart:
    found: dict[str, list[Estimate]] = {}
    for fit in (*curve.fits, *curve.experiments):
        for note in fit.notes:
            found.setdefault(note, []).append(fit)
    notes = [f"{who}: {note}" if (who := which(curve, fits)) else note for note, fits in found.items()]
    return CurvePart(
        row_label(curve), curve.combined["ec50"].text(),
        "" if curve.combined.status == "ok" else curve.combined.status, (figure,),
        experiment_table(report, curve, index), (*curve.combined.notes, *notes),
    )  # fmt: skip


def _sections(report: StudyReport, drawn: Sequence[Figure]) -> Iterator[SectionPart]:
    for section, title in SECTIONS.items():
        parts = tuple(
            _analysis_part(report, one, index, tuple(figure for figure in drawn if figure.index == index))
            for index, one in enumerate(report.analyses)
            if one.section == section
        )
        if parts:
            yield SectionPart(section, title, parts)


def _analysis_part(report: StudyReport, one: Analysis, index: int, drawn: tuple[Figure, ...]) -> CurvePart:
    notes = (*one.notes, *one.estimate.notes)
    return CurvePart(one.title, one.answer, one.sentence, drawn, analysis_table(report, one, index), notes)


def _plate_part(plate: Plate, figure: Figure) -> PlatePart:
    q = plate.quality
    numbers = [
        "no Z′" if math.isnan(q.z_prime) else f"Z′ {interval(q.z_prime, q.z_prime_low, q.z_prime_high)}, {q.verdict}",
        *([f"S/B {short(q.signal_to_background)}"] if math.isfinite(q.signal_to_background) else []),
        f"CV {short(q.cv_vehicle)} % vehicle" + (f", {short(q.cv_full)} % {q.full_role}" if q.n_full else ""),
    ]
    lines = [" · ".join(numbers), f"Position: {effects_text(q)}."]
    lines += _looks(plate)
    if q.n_flagged:
        flagged = plate.frame[plate.frame["flag"] != ""]
        what = ", ".join(f"{well} ({flag})" for well, flag in zip(flagged["well"], flagged["flag"], strict=True))
        lines.append(f"Flagged: {what}." if len(flagged) <= 6 else f"{q.n_flagged} wells flagged.")
    lines += [f"{note[:1].upper()}{note[1:]}." for note in q.notes]
    return PlatePart(plate_title(plate), figure, tuple(lines))


def _looks(plate: Plate) -> list[str]:
    """Which wells to look at, and why, in one line."""
    suggestions = plate.quality.suggestions
    if not suggestions:
        return []
    shown = [
        f"{s.well} ({short(s.signal, 3)}, its replicates {short(s.expected, 3)}, "
        f"{'excluded' if _is_excluded(plate, s.well) else 'took part'})"
        for s in suggestions[:MOST_LOOKS]
    ]
    rest = len(suggestions) - len(shown)
    more = f"; {rest} more in the table below" if rest else ""
    return [f"Look at well{'s' if len(suggestions) > 1 else ''} {', '.join(shown)}{more}."]


def _is_excluded(plate: Plate, well: str) -> bool:
    own = plate.frame.loc[plate.frame["well"] == well, "excluded"]
    return bool((own != "").any())
