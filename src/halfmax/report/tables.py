"""The tables of a report: what is printed, and the same with full numbers as CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from halfmax.estimate import Estimate, Parameter
from halfmax.output import guarded
from halfmax.report.document import Curve, StudyReport
from halfmax.report.doseresponse import in_percent
from halfmax.report.forest import row_label
from halfmax.report.style import SIMULATED
from halfmax.units import format_duration, format_interval, p_value

__all__ = [
    "Table",
    "comparison_table",
    "exclusion_table",
    "experiment_table",
    "files_table",
    "filled",
    "fit_name",
    "heads",
    "numbers",
    "quality_table",
    "settings_table",
    "short",
    "suggestion_table",
    "summary_table",
    "table_of",
    "which",
]

Cite = Callable[[str | None], str]


@dataclass(frozen=True)
class Table:
    """Headed rows of text; `numeric` names the columns that are set to the right."""

    key: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()
    csv_columns: tuple[str, ...] = ()
    csv_rows: tuple[tuple[object, ...], ...] = ()
    simulated: bool = False

    def csv(self) -> str:
        """The table as CSV, with full numbers where it has them; no cell can start a formula."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        columns: Sequence[object] = self.csv_columns or self.columns
        rows: Iterable[Sequence[object]] = self.csv_rows or self.rows
        mark = (SIMULATED,) if self.simulated else ()
        writer.writerow([*columns, *(["origin"] if mark else [])])
        for row in rows:
            writer.writerow([_cell(cell) for cell in (*row, *mark)])
        return stream.getvalue()


def _cell(cell: object) -> object:
    """Cell of a CSV: numbers to ten digits, empty where there is none, text that is no formula."""
    if isinstance(cell, float):
        return f"{cell:.10g}" if math.isfinite(cell) else ""
    return guarded(cell)


def minus(text: str) -> str:
    """Text with true minus signs before numbers.

    Examples
    --------
    >>> minus("-1.4 (-1.6–-1.2)")
    '−1.4 (−1.6–−1.2)'
    """
    return text.replace("-", "−")


def short(value: float, digits: int = 2) -> str:
    """Plain number with a few significant digits, a dash where there is none.

    Examples
    --------
    >>> short(0.0876), short(-1.98), short(1234567.0, 3), short(float("nan"))
    ('0.088', '−2.0', '1,230,000', '–')
    """
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    place = digits - 1 - math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    return minus(f"{round(value, place):,.{max(0, place)}f}")


def spread(values: Sequence[float], unit: str = "") -> str:
    """Range of a quantity over experiments: one number, or the least and the most; whole numbers where it has a unit.

    Examples
    --------
    >>> spread([-1.31, -1.12]), spread([3.02], " %"), spread([])
    ('−1.3 to −1.1', '3 %', 'not identified')
    """
    if not values:
        return "not identified"
    low, high = (short(value) if not unit else minus(f"{round(value) + 0:d}") for value in (min(values), max(values)))
    return (low if low == high else f"{low} to {high}") + unit


def brief(status: str) -> str:
    """Status without its numbers and its advice, which stand with the curve.

    Examples
    --------
    >>> brief("open: the data do not bound EC50 from above (30 µM leaves 71 %). Reported as EC50 > 30 µM. Add doses.")
    'open: the data do not bound EC50 from above'
    >>> brief("ok, one experiment: the interval is that within the experiment, and says nothing of the next one")
    'ok, one experiment'
    """
    if status.startswith("ok"):
        return status.split(":")[0]
    return re.split(r"\.\s|\.$", re.sub(r" \([^)]*\)", "", status))[0]


def _parameter(estimate: Estimate | None, name: str) -> Parameter | None:
    return estimate[name] if estimate is not None and name in estimate else None


def effect_percent(fit: Estimate) -> float:
    """Plateau at full effect as percent of the fitted signal at zero dose, above blank; NaN where not identified."""
    from halfmax.estimate import zero_of

    falling = fit["hill_slope"].best < 0
    end, start = (fit["bottom"], fit["top"]) if falling else (fit["top"], fit["bottom"])
    if fit.response is None or end.operator != "=" or fit.status.startswith(("refused", "no curve")):
        return math.nan
    zero = zero_of(fit.response)
    zero = 0.0 if math.isnan(zero) else zero
    return 100.0 * (end.best - zero) / (start.best - zero) if start.best > zero else math.nan


def _counts(curve: Curve) -> tuple[int, int]:
    return len(curve.by_experiment), sum(int(fit.response.used.sum()) for fit in curve.fits if fit.response is not None)


def published_text(curve: Curve, cite: Cite) -> str:
    """Published values as printed, each with what its ± is, its time and its citation."""
    parts = []
    for value in curve.published:
        what = "" if value.quantity == "ec50" else f"{value.label} "
        error = ", ± undefined" if value.error is not None and value.error_kind == "undefined" else ""
        time = f", {value.time}" if value.time else ""
        parts.append(f"{what}{value.text()}{error}{time} {cite(value.citation)}".strip())
    return "; ".join(parts) or "–"


def filled(table: Table, kept: int) -> Table:
    """Table without the printed columns, after the first `kept`, that say nothing in any row; the CSV has them all."""
    use = [k for k in range(len(table.columns)) if k < kept or any(row[k] != "–" for row in table.rows)]
    return replace(
        table,
        columns=tuple(table.columns[k] for k in use),
        rows=tuple(tuple(row[k] for k in use) for row in table.rows),
        numeric=tuple(use.index(k) for k in table.numeric if k in use),
    )


def between(report: StudyReport) -> str:
    """Of what the intervals of a report speak."""
    counts = {len(curve.by_experiment) > 1 for curve in report.curves}
    if counts == {False}:
        return "within its one experiment"
    return "between experiments" + (" (within it where there is one)" if len(counts) > 1 else "")


def summary_table(report: StudyReport, cite: Cite) -> Table:
    """The answer: one row a curve."""
    rows, machine = [], []
    for curve in report.curves:
        ec50, absolute = curve.combined["ec50"], _parameter(curve.absolute, "ec50_absolute")
        if absolute is None and curve.absolute is not None:
            absolute = curve.absolute.parameters[0]
        sd = _parameter(curve.combined, "sd_log10")
        slopes = [fit["hill_slope"].best for fit in curve.fits if fit["hill_slope"].operator == "="]
        effects = [x for x in map(effect_percent, curve.fits) if math.isfinite(x)]
        experiments, wells = _counts(curve)
        time = format_duration(curve.time_s)
        shown_sd = short(sd.value) if sd is not None else "–"
        rows.append((
            curve.compound, curve.cell_line, time, ec50.text(), absolute.text() if absolute else "–", spread(slopes),
            spread(effects, "\u00a0%"), f"{experiments} / {wells}", shown_sd, brief(curve.combined.status),
            published_text(curve, cite),
        ))  # fmt: skip
        machine.append((
            curve.compound, curve.cell_line, curve.time_s, *numbers(ec50), *numbers(absolute),
            min(slopes, default=math.nan), max(slopes, default=math.nan), min(effects, default=math.nan),
            max(effects, default=math.nan), experiments, wells, sd.value if sd else math.nan, curve.combined.status,
            published_text(curve, lambda key: key or ""),
        ))  # fmt: skip
    level = f"{100 * report.level:.0f} %"
    table = table_of(
        report, "summary",
        f"EC50 of every curve with its {level} interval {between(report)}. Ranges and the SD (of log10 EC50) are "
        "those between experiments. Signal left: the plateau at full effect, as percent of the vehicle.",
        ("compound", "line", "time", f"EC50 ({level} interval)", "absolute EC50", "Hill slope", "signal left",
         "experiments / wells", "SD, log10", "status", "published"),
        rows, (), ("compound", "cell_line", "time_s", *heads("ec50"), *heads("ec50_absolute"), "hill_slope_min",
                   "hill_slope_max", "effect_percent_min", "effect_percent_max", "experiments", "wells", "sd_log10",
                   "status", "published"),
        machine,
    )  # fmt: skip
    return filled(table, 4)


def heads(name: str, unit: str = "_M") -> tuple[str, ...]:
    return f"{name}_operator", f"{name}{unit}", f"{name}_low{unit}", f"{name}_high{unit}"


def numbers(parameter: Parameter | None) -> tuple[object, ...]:
    """Operator, value and ends; infinite ends are empty, as the operator says."""
    if parameter is None:
        return "", math.nan, math.nan, math.nan
    low = math.nan if parameter.log and parameter.low == 0 else parameter.low
    ends = (x if math.isfinite(x) else math.nan for x in (parameter.value, low, parameter.high))
    return parameter.operator, *ends


def table_of(
    report: StudyReport, key: str, caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]],
    numeric: Sequence[int] = (), csv_columns: Sequence[str] = (), csv_rows: Iterable[Sequence[object]] = (),
) -> Table:  # fmt: skip
    """Table whose caption says so where the data are simulated."""
    said = f"{caption} {SIMULATED.capitalize()}." if report.simulated else caption
    return Table(
        key, said, tuple(columns), tuple(tuple(row) for row in rows), tuple(numeric), tuple(csv_columns),
        tuple(tuple(row) for row in csv_rows), report.simulated,
    )  # fmt: skip


def comparison_table(report: StudyReport) -> Table | None:
    """Ratios that the study asked for, beside those of the published values."""
    if not report.comparisons:
        return None
    rows, machine = [], []
    for one in report.comparisons:
        ratio = one.estimate["ratio"]
        published = "–"
        if math.isfinite(one.published_ratio):
            error = f" ± {one.published_error:.2g} if ± is SEM" if math.isfinite(one.published_error) else ""
            published = f"{one.published_ratio:.3g}{error}"
        label = one.label if one.name in one.label else f"{one.name}: {one.label}"
        rows.append((label, ratio.text(), ratio.method, one.estimate.status, published))
        machine.append((one.name, one.label, *numbers(ratio), ratio.method, one.estimate.status, one.published_ratio,
                        one.published_error, one.published_note))  # fmt: skip
    return table_of(
        report, "comparisons", f"Ratios of EC50s with their {100 * report.level:.0f} % intervals.",
        ("comparison", "ratio", "interval by", "status", "ratio of published values"),
        rows, (),
        ("comparison", "of", *heads("ratio", ""), "method", "status", "published_ratio", "published_error", "note"),
        machine,
    )  # fmt: skip


def fit_name(curve: Curve, fit: Estimate) -> str:
    """Which experiment a fit is of, and of which of its plates where plates were fitted apart."""
    if fit.response is None:
        return ""
    plates = ", ".join(dict.fromkeys(fit.response.plate.tolist())) if curve.experiments else ""
    return f"{fit.response.experiment}, {plates}" if plates else fit.response.experiment


def which(curve: Curve, fits: Sequence[Estimate]) -> str:
    """Which experiments, or plates where plates were fitted apart, some fits are of: ``Experiments 1, 3``."""
    names = [fit_name(curve, fit).split(", ", 1)[-1] if curve.experiments else fit_name(curve, fit) for fit in fits]
    kept = list(dict.fromkeys(filter(None, names)))
    what = "Plate" if curve.experiments else "Experiment"
    return f"{what}{'s' if len(kept) > 1 else ''} {', '.join(kept)}" if kept else ""


def experiment_table(report: StudyReport, curve: Curve, index: int) -> Table:
    """The fits of one curve, one row an experiment, or one a plate where plates were fitted apart."""
    rows, machine = [], []
    for fit in curve.fits:
        name = fit_name(curve, fit)
        plateaus = [minus(_plain_text(fit[part])) for part in ("top", "bottom")]
        rows.append((name, fit["ec50"].text(), minus(fit["hill_slope"].text()).replace("–−", " to −"), *plateaus,
                     str(fit.n), str(fit.df), short(fit.sigma), fit.status))  # fmt: skip
        machine.append((name, *numbers(fit["ec50"]), *numbers(fit["hill_slope"]), *numbers(fit["top"]),
                        *numbers(fit["bottom"]), fit.n, fit.df, fit.rss, fit.sigma, fit.p_flat, fit.p_full,
                        fit.p_curve, fit.status, " ".join(fit.notes)))  # fmt: skip
    unit = next((f" ({f.response.signal_unit})" for f in curve.fits if f.response and f.response.signal_unit), "")
    shown = " Plateaus are raw signals." if in_percent(curve) else ""
    one = "experiment, plate" if curve.experiments else "experiment"
    each = "plate, which are averaged within their experiment" if curve.experiments else "experiment"
    return table_of(
        report, f"experiments-{index + 1}", f"{row_label(curve)}: the fit of each {each}.{shown}",
        (one, "EC50", "Hill slope", f"top{unit}", f"bottom{unit}", "wells", "df", f"residual SD{unit}",
         "status"),
        rows, (5, 6, 7),
        (one.replace(", ", "_"), *heads("ec50"), *heads("hill_slope", ""), *heads("top", ""), *heads("bottom", ""),
         "wells", "df", "rss", "sigma", "p_flat", "p_full", "p_curve", "status", "notes"),
        machine,
    )  # fmt: skip


def _plain_text(parameter: Parameter) -> str:
    """Interval without a unit, which the column names."""
    text = format_interval(parameter.value, parameter.low, parameter.high, parameter.operator, unit="")
    return re.sub(r"(?<![\d.])\d{5,}", lambda number: f"{int(number.group()):,}", text)


def interval(value: float, low: float, high: float) -> str:
    """Number with its interval, two digits behind the point: ``0.72 (0.55–0.83)``."""
    if math.isnan(value):
        return "–"
    if not math.isfinite(value):
        return minus(f"{value:g}")
    between = "–" if low >= 0 else " to "
    return minus(f"{value:.2f} ({low:.2f}{between}{high:.2f})") if math.isfinite(low) else minus(f"{value:.2f}")


def effects_text(plate: object) -> str:
    """Effects of position with sizes and p-values."""
    effects = getattr(plate, "effects", ())
    parts = [
        f"{effect.name} {effect.percent:+.1f}\u00a0% ({p_value(effect.p)})".replace("-", "−") for effect in effects
    ]
    return "; ".join(parts) or "confounded with the doses by this layout"


def quality_table(report: StudyReport) -> Table | None:
    """Quality of each plate."""
    if not report.plates:
        return None
    rows, machine = [], []
    for plate in report.plates:
        q = plate.quality
        notes = (
            "; ".join(
                [*q.notes, *([f"{q.n_flagged} well{'s' if q.n_flagged > 1 else ''} flagged"] if q.n_flagged else [])]
            )
            or "–"
        )
        rows.append((q.plate, q.cell_line, q.experiment, interval(q.z_prime, q.z_prime_low, q.z_prime_high), q.verdict,
                     short(q.signal_to_background), f"{short(q.cv_vehicle)} ({q.n_vehicle})",
                     f"{short(q.cv_full)} ({q.n_full} {q.full_role})", effects_text(q), notes))  # fmt: skip
        effects = {effect.name: effect for effect in q.effects}
        machine.append((q.plate, q.cell_line, q.experiment, q.z_prime, q.z_prime_low, q.z_prime_high, q.verdict,
                        q.signal_to_background, q.cv_vehicle, q.n_vehicle, q.cv_full, q.n_full, q.full_role,
                        *(number for name in ("edge", "rows", "columns", "drift")
                          for number in ((effects[name].percent, effects[name].p) if name in effects else ("", ""))),
                        q.n_flagged, notes))  # fmt: skip
    table = table_of(
        report, "quality", "Quality of every plate. Sizes of effects are percent of the vehicle signal.",
        ("plate", "line", "experiment", "Z′ (95 % interval)", "verdict", "S/B", "CV vehicle, % (wells)",
         "CV full effect, % (wells)", "effects of position", "notes"), rows, (5,),
        ("plate", "cell_line", "experiment", "z_prime", "z_prime_low", "z_prime_high", "verdict",
         "signal_to_background",
         "cv_vehicle_percent", "n_vehicle", "cv_full_percent", "n_full", "full_role", "edge_percent", "edge_p",
         "rows_percent", "rows_p", "columns_percent", "columns_p", "drift_percent", "drift_p", "n_flagged", "notes"),
        machine,
    )  # fmt: skip
    return filled(table, 4)


def exclusion_table(report: StudyReport) -> Table | None:
    """Wells left out, with reasons."""
    rows = [(one.experiment, one.plate, one.well, one.reason) for one in report.exclusions]
    caption = "Wells left out of every fit, with the reason given in the study file."
    return table_of(report, "exclusions", caption, ("experiment", "plate", "well", "reason"), rows) if rows else None


def suggestion_table(report: StudyReport) -> Table | None:
    """Wells that a person should look at; all of them took part."""
    rows, machine = [], []
    for plate in report.plates:
        for s in plate.quality.suggestions:
            rows.append((s.plate, s.well, short(s.signal, 3), short(s.expected, 3), f"{s.q:.1g}"))
            machine.append((s.plate, s.well, s.signal, s.expected, s.q))
    if not rows:
        return None
    return table_of(
        report, "suggestions",
        "Wells that differ from their replicates more than chance explains (false-discovery rate 1 %). "
        "Nothing was dropped: unless excluded above, they are in the fits.",
        ("plate", "well", "signal", "mean of the other replicates", "q"), rows, (2, 3, 4),
        ("plate", "well", "signal", "expected", "q"), machine,
    )  # fmt: skip


def files_table(report: StudyReport) -> Table | None:
    """Input files with their SHA-256, shortened for the eye."""
    sources = report.provenance.sources
    if not sources:
        return None
    rows = [(s.file, s.sha256[:12], s.reader, s.version) for s in sources]
    full = [(s.file, s.sha256, s.reader, s.version) for s in sources]
    columns = ("file", "SHA-256 (first 12)", "reader", "version")
    return table_of(report, "files", "Input files.", columns, rows, (), ("file", "sha256", "reader", "version"), full)


def settings_table(report: StudyReport) -> Table:
    """Settings, versions and seed."""
    p = report.provenance
    rows = [("setting", name, value) for name, value in p.settings]
    rows += [("version", "versions", ", ".join(f"{name} {version}" for name, version in p.versions))]
    rows += [("seed", "random seed", "none" if p.seed is None else str(p.seed)), ("created", "created", p.created)]
    return table_of(report, "settings", "Settings and versions.", ("kind", "name", "value"), rows)
