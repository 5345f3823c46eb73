"""The command line: words in, calls to the library, text out.  No science here.

Results go to stdout, everything else to stderr.  Exit codes: 0 ok, 1 internal,
2 usage, 3 bad input, 4 an analysis refused under ``--strict``, 130 interrupted.
"""

from __future__ import annotations

import json as json_module
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from halfmax import __version__
from halfmax.errors import FileError, FitError, HalfmaxError, RangeError

if TYPE_CHECKING:
    from halfmax.study import Outcome
    from halfmax.study.many import Work
    from halfmax.study.road import Progress
    from halfmax.table import AssayTable
    from halfmax.verify import Check

app = typer.Typer(
    name="halfmax",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From the files a pharmacology lab's instruments write to estimates with honest uncertainty.",
    epilog="Research use only.",
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 4 where an estimate is open or refused.")]
NoPdf = Annotated[bool, typer.Option("--no-pdf", help="Leave out report.pdf.")]
Open = Annotated[bool, typer.Option("--open", help="Open the report in the browser.")]
RunName = Annotated[str | None, typer.Option("--name", help="Name of the run; the time, if not given.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"halfmax {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """From the files a pharmacology lab's instruments write to estimates with honest uncertainty."""


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where to write the example study.")] = Path("halfmax-demo"),
    name: RunName = None,
    open_report: Open = False,
    no_pdf: NoPdf = False,
) -> None:
    """Write the example study (CM572, simulated) and analyse it."""
    from halfmax.study import write_example

    if not (folder / "study.toml").is_file():
        write_example(folder)
        _say(f"The example study stands in {folder}.")
    _report_run(_run(folder, name, no_pdf), open_report)


@app.command()
def run(
    study: Annotated[Path, typer.Argument(help="A study folder, or its study.toml.")] = Path(),
    name: RunName = None,
    json: Json = False,
    strict: Strict = False,
    open_report: Open = False,
    no_pdf: NoPdf = False,
) -> None:
    """Analyse a study: estimates, report and provenance go to its results folder."""
    outcome = _run(study, name, no_pdf)
    if json:
        from halfmax.study import records

        _print_json(records(outcome.report))
    else:
        _report_run(outcome, open_report)
    refused = list(dict.fromkeys(fit.label for fit in outcome.refused))
    _refuse(strict, len(outcome.refused), ", ".join(refused))


@app.command()
def movie(
    files: Annotated[list[Path], typer.Argument(help="The recording; one file a channel where they are apart.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder to write, not there yet.")] = None,
    masks: Annotated[Path | None, typer.Option(help="Label image, ROIs or _seg.npy of the first frame.")] = None,
    stimuli: Annotated[Path | None, typer.Option(help="What was added and when: a table.")] = None,
    channels: Annotated[str | None, typer.Option(help='Where the file does not say, such as "340,380".')] = None,
    interval: Annotated[str | None, typer.Option(help='From frame to frame, such as "2 s".')] = None,
    diameter: Annotated[float | None, typer.Option(help="Of a cell, pixels, where cells are to be found.")] = None,
    settings: Annotated[Path | None, typer.Option(help="A TOML file with a [calcium] section.")] = None,
    frames: Annotated[int | None, typer.Option(help="Only so many from the start.")] = None,
    parquet: Annotated[bool, typer.Option("--parquet", help="Write traces and cells as Parquet too.")] = False,
    nwb: Annotated[bool, typer.Option("--nwb", help="Write the traces as NWB too.")] = False,
    json: Json = False,
    open_report: Open = False,
    no_pdf: NoPdf = False,
) -> None:
    """Analyse one recording of calcium: cells, traces, responses, figures and report."""
    from halfmax.study import run_movie
    from halfmax.study.document import calcium_of

    with _frames() as progress:
        made = run_movie(
            list(files), output, section=calcium_of(settings) if settings else None,
            also=_chosen(parquet=parquet, nwb=nwb), pdf=not no_pdf, progress=progress,
            masks=masks, stimuli=stimuli, channels=channels.split(",") if channels else None, interval=interval,
            diameter=diameter, frames=frames,
        )  # fmt: skip
    if json:
        _print_json(made.summary())
        return
    if made.report.simulated:
        typer.echo("Simulated data: no instrument measured this.")
    (one,) = made.report.analyses
    typer.echo(f"{one.answer}\n{one.sentence}")
    rate = made.frames * len(made.channels) / made.seconds
    typer.echo(f"{made.frames} frames, {made.cells} cells, {made.seconds:.1f} s ({rate:.0f} pages/s)")
    if made.folder is not None:
        page = (made.folder / "report.html").resolve()
        typer.echo(f"Report: {page}")
        if open_report:
            typer.launch(page.as_uri())


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the new study.")],
    files: Annotated[list[Path] | None, typer.Option("--from", help="Exports of the plate reader; repeat it.")] = None,
    more: Annotated[list[Path] | None, typer.Argument(help="More exports, after --from.", show_default=False)] = None,
) -> None:
    """Write an empty study, or one whose plates are found in files."""
    from halfmax.study import empty_study, study_from_files

    exports = [*(files or []), *(more or [])]
    made = study_from_files(folder, exports) if exports else empty_study(folder)
    typer.echo(made)
    _say(f"Fill in the layout and study.toml in {made}, then: halfmax run {made}")


@app.command()
def read(
    file: Annotated[Path, typer.Argument(help="A plate reader's export.")],
    json: Json = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the table (.csv or .xlsx).")] = None,
) -> None:
    """Read a plate reader's export and say what it holds."""
    from halfmax.output import write_table
    from halfmax.readers import read as read_file

    table = read_file(file)
    if output is not None:
        rows = table.frame.astype(object).where(table.frame.notna(), None).to_dict("records")
        write_table(output, [{str(key): value for key, value in row.items()} for row in rows])
    summary = _summary_of(table)
    if json:
        _print_json(summary)
        return
    typer.echo(f"{file.name}: {summary['format']}, {len(table)} readings")
    typer.echo(f"plates   {', '.join(table.plates)}")
    typer.echo(f"channels {', '.join(table.channels)}")
    typer.echo(f"wells    {summary['wells']}, {summary['flagged']} flagged")
    for flag, count in summary["flags"].items():
        typer.echo(f"         {count} {flag}")


def _models() -> list[str]:
    """Names of all curves."""
    from halfmax.curves import MODELS

    return list(MODELS)


class _Fit(TyperCommand):
    """`fit`, whose help names all curves; they are looked up when it is asked for."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Help, with the names of the curves."""
        for parameter in self.params:
            if parameter.name == "model":
                parameter.help = f"The curve: {', '.join(_models())}."  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


@app.command(cls=_Fit)
def fit(
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet with one observation a row; several, or a glob.")],
    concentration: Annotated[str, typer.Option("--concentration", "-x", help="Column of the concentrations.")],
    response: Annotated[str, typer.Option("--response", "-y", help="Column of the responses.")],
    unit: Annotated[str | None, typer.Option("--unit", help='Unit of the concentrations, such as "µM".')] = None,
    by: Annotated[str | None, typer.Option("--by", help="Columns that tell curves apart, with commas.")] = None,
    model: Annotated[str, typer.Option("--model", help="The curve.", autocompletion=_models)] = "hill4",
    fix: Annotated[
        list[str] | None, typer.Option("--fix", help="Hold a parameter, such as bottom=0; repeat it.")
    ] = None,
    bound: Annotated[
        list[str] | None, typer.Option("--bound", help="Keep one within limits, such as bottom=0:20; repeat it.")
    ] = None,
    noise: Annotated[str, typer.Option(help="constant, proportional, power, or a power from 0 to 2.")] = "constant",
    also: Annotated[
        str | None, typer.Option(help="Quantities besides, with commas: ec10, ec90, ec50_absolute, mean_response …")
    ] = None,
    zero: Annotated[float | None, typer.Option(help="Response without any cells, for ec50_absolute.")] = None,
    level: Annotated[float, typer.Option("--level", help="Level of the intervals.")] = 0.95,
    json: Json = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the records (.csv, .xlsx or .parquet).")
    ] = None,
    strict: Strict = False,
    workers: Annotated[int, typer.Option("--workers", help="Processes that fit side by side.")] = 1,
    cluster: Annotated[str | None, typer.Option("--cluster", help="Dask scheduler, such as tcp://host:8786.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Take up an interrupted run with the same output.")] = False,
) -> None:
    """Fit a curve to each group of long tables."""
    from halfmax.estimate.many import FitOptions
    from halfmax.readers.long import Columns
    from halfmax.study.many import Work, expand, fit_tables, fit_to_file

    options = FitOptions(
        model, level, fixed=_held(fix or []), bounds=_limits(bound or []), noise=_noise(noise), also=_words(also),
        zero=zero,
    )  # fmt: skip
    columns = Columns(concentration, response, _words(by), unit)
    work = Work(expand(files), columns, options, workers, cluster)
    with _counting("curves fitted") as progress:
        if output is not None and not json and output.suffix.lower() != ".xlsx":
            count, n_open = fit_to_file(work, output, progress, resume=resume)
            _say(f"{count} curves, {n_open} of them open or refused: {output}")
            _refuse(strict, n_open, f"see {output}")
            return
        if work.large:
            raise FileError(f"{work.files[0].name}: too large for the screen. Write to a file: -o fits.csv")
        records = fit_tables(work, progress)
    _put(records, work, json=json, output=output)
    opened = [record for record in records if not str(record["status"]).startswith("ok")]
    _refuse(strict, len(opened), ", ".join(_title(record, work) for record in opened[:5]))


def _words(text: str | None) -> tuple[str, ...]:
    """Words with commas between them, each once."""
    return tuple(dict.fromkeys(word.strip() for word in (text or "").split(",") if word.strip()))


def _held(texts: Sequence[str]) -> dict[str, float]:
    """Values of parameters, from texts such as ``bottom=0``."""
    return {name: _number("--fix", text, value) for text, name, value in _named("--fix", "bottom=0", texts)}


def _limits(texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Limits of parameters, from texts such as ``bottom=0:20``; an end that is left out is open."""
    found = {}
    for text, name, value in _named("--bound", "bottom=0:20", texts):
        low, colon, high = value.partition(":")
        if not colon:
            raise RangeError(f'--bound "{text}": expected two limits, found one. Write it as {name}=low:high.')
        found[name] = (_number("--bound", text, low or "-inf"), _number("--bound", text, high or "inf"))
    return found


def _named(option: str, example: str, texts: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Each text, its name and its value; no name twice."""
    met = set()
    for text in texts:
        name, sign, value = (part.strip() for part in text.partition("="))
        if not (name and sign and value):
            raise RangeError(f'{option} "{text}": expected a name and a value. Write it as {example}.')
        if name in met:
            raise RangeError(f'{option} "{text}": {name} is given twice. Leave one of them out.')
        met.add(name)
        yield text, name, value


def _number(option: str, text: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if math.isnan(number) or (option == "--fix" and math.isinf(number)):
        raise RangeError(f'{option} "{text}": expected a number, found "{value}". Write it without a unit, as in 2e-6.')
    return number


def _noise(text: str) -> Any:
    """A noise model by name, or a power."""
    try:
        return float(text)
    except ValueError:
        return text


def _title(record: dict[str, object], work: Work) -> str:
    return ", ".join(str(record[name]) for name in work.columns.by) or work.files[0].name


def _put(records: list[dict[str, object]], work: Work, *, json: bool, output: Path | None) -> None:
    """Records as JSON, as a workbook, or as lines for a person."""
    from halfmax.output import write_table

    status = str(records[0]["status"])
    if len(records) == 1 and status.startswith("refused"):
        raise FitError(f"{work.files[0].name}: {status.removeprefix('refused: ')}")
    if output is not None:
        write_table(output, records)
    if json:
        _print_json(records)
    elif output is None:
        for record in records:
            values = ", ".join(_value(record, name) for name in work.shown)
            typer.echo(f"{_title(record, work)}  {values}  n = {record['n']}  {record['status']}")
            if record["notes"]:
                typer.echo(f"    {record['notes']}")


def _value(record: dict[str, Any], name: str) -> str:
    """One parameter of a record with its interval."""
    from halfmax.units import format_interval

    ends = (record[name + end] for end in ("", "_low", "_high"))
    value, low, high = (math.nan if end is None else end for end in ends)
    unit = "M" if record.get(f"{name}_unit") == "M" else ""
    shown = format_interval(value, low, high, record[f"{name}_operator"], unit=unit)
    return f"{re.sub('^ec(?=[0-9])', 'EC', name)} {shown}"


@app.command()
def plan(
    folder: Annotated[Path, typer.Argument(help="Folder of the new plan.")],
    line: Annotated[list[str], typer.Option("--line", "-l", help="Cell line; repeat it.")],
    compound: Annotated[str, typer.Option("--compound", "-c", help="Compound.")],
    lowest: Annotated[str, typer.Option(help="Lowest dose.")] = "0.1 µM",
    highest: Annotated[str, typer.Option(help="Highest dose.")] = "100 µM",
    points: Annotated[int | None, typer.Option(help="Number of doses; two a decade, if not given.")] = None,
    replicates: Annotated[int, typer.Option(help="Wells of a dose on a plate.")] = 3,
    time: Annotated[list[str] | None, typer.Option("--time", "-t", help='Exposure; repeat it. ["48 h"]')] = None,
    experiments: Annotated[int, typer.Option(help="Independent experiments.")] = 3,
    stock: Annotated[str, typer.Option(help="Stock of the compound in solvent.")] = "20 mM",
    solvent_limit: Annotated[str, typer.Option(help="Largest share of solvent.")] = "0.5 %",
    wells: Annotated[int, typer.Option(help="96 or 384.")] = 96,
    edges: Annotated[str, typer.Option(help="unused, or used.")] = "unused",
    randomise: Annotated[bool, typer.Option("--randomise", help="Arrange each plate at random.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the arrangement.")] = 0,
) -> None:
    """Plan an MTT experiment: layouts, dilutions, worklists and a protocol sheet."""
    from halfmax.plan import ViabilityOptions, plan_viability

    options = ViabilityOptions(
        wells=wells, edges=edges, randomise=randomise, seed=seed, stock=stock, solvent_limit=solvent_limit
    )
    planned = plan_viability(
        line, compound, lowest=lowest, highest=highest, points=points, replicates=replicates,
        times=time or ["48 h"], experiments=experiments, options=options,
    )  # fmt: skip
    made = planned.write(folder)
    typer.echo(f"{planned.title}: {len(planned.plates)} plates of {wells} wells, {len(planned.doses)} doses")
    typer.echo(f"Protocol: {(made / 'protocol.html').resolve()}")
    _say(f"Put the reader's exports into {made / 'plates'}, then: halfmax run {made}")


@app.command("plan-imaging")
def plan_imaging(
    folder: Annotated[Path, typer.Argument(help="Folder of the new plan.")],
    line: Annotated[str, typer.Option("--line", "-l", help="Cell line.")],
    compound: Annotated[str, typer.Option("--compound", "-c", help="Compound.")],
    dose: Annotated[
        list[str] | None, typer.Option("--dose", "-d", help="Concentration; repeat it. [0.1, 1, 3, 10, 100 µM]")
    ] = None,
    dye: Annotated[str, typer.Option(help="fura2, or fluo8.")] = "fura2",
    dishes: Annotated[int, typer.Option(help="Dishes of a concentration on a day.")] = 2,
    days: Annotated[int, typer.Option(help="Days: independent experiments.")] = 3,
    vehicle: Annotated[int, typer.Option(help="Vehicle dishes of a day.")] = 2,
    agonist: Annotated[str, typer.Option(help="Reference agonist, at the end of each dish.")] = "ATP",
    agonist_dose: Annotated[str, typer.Option(help="Its concentration.")] = "100 µM",
    agonist_stock: Annotated[str, typer.Option(help="Its stock.")] = "10 mM",
    delivery: Annotated[str, typer.Option(help="perfusion, or pipette.")] = "perfusion",
    flow: Annotated[str, typer.Option(help="Of the perfusion.")] = "2 mL/min",
    dead_time: Annotated[str, typer.Option(help="From the valve to the cells.")] = "15 s",
    baseline: Annotated[str, typer.Option(help="Window before an addition.")] = "60 s",
    response: Annotated[str, typer.Option(help="Window after it.")] = "60 s",
    interval: Annotated[str, typer.Option(help="From frame to frame.")] = "2 s",
    loading: Annotated[str, typer.Option(help="With dye, at 37 °C.")] = "45 min",
    stock: Annotated[str, typer.Option(help="Stock of the compound in solvent.")] = "20 mM",
    solvent_limit: Annotated[str, typer.Option(help="Largest share of solvent.")] = "0.5 %",
    cells: Annotated[int, typer.Option(help="Cells in a recording, expected.")] = 40,
    cell_sd: Annotated[float, typer.Option(help="SD of cells of a dish, of the full response.")] = 0.5,
    icc: Annotated[float, typer.Option(help="Correlation of two cells of a dish.")] = 0.15,
    day_sd: Annotated[float, typer.Option(help="SD of log10 EC50, or of a log10 ratio, between days.")] = 0.1,
    effect: Annotated[float, typer.Option(help="Ratio of two groups that shall be found.")] = 2.0,
    within: Annotated[float, typer.Option(help="Wanted interval of EC50, a factor to either side.")] = 2.0,
    ec50: Annotated[str | None, typer.Option(help="EC50 expected; the middle of the doses, if not given.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the order of the dishes.")] = 0,
) -> None:
    """Plan recordings of calcium: order of dishes, stimuli, solutions, a protocol sheet, and what they will tell."""
    from halfmax.plan.imaging import Bench, Controls, Expected, ImagingDesign, Scatter, Timing, write_imaging
    from halfmax.units import concentration

    design = ImagingDesign(
        compound, line, tuple(dose or ImagingDesign.concentrations), dye, dishes, days, seed=seed,
        controls=Controls(vehicle, agonist, agonist_dose, agonist_stock),
        timing=Timing(baseline, response, interval=interval, dead_time=dead_time, loading=loading),
        bench=Bench(delivery, flow, stock=stock, solvent_limit=solvent_limit),
    )  # fmt: skip
    spread = Scatter(cell_sd, icc, day_sd)
    expected = Expected(spread, cells, effect, within, concentration(ec50) if ec50 else None)
    made = write_imaging(design, folder, expected)
    typer.echo(f"{design.title}: {design.dishes_a_day} dishes a day, {design.days} days")
    for sentence in expected.sentences(design):
        typer.echo(sentence)
    typer.echo(f"Protocol: {(made / 'protocol.html').resolve()}")
    _say(f"Put the recordings into {made / 'recordings'}, then: halfmax run {made}")


@app.command()
def reference(
    name: Annotated[str, typer.Argument(help="A ligand, target or cell line, such as CM572.")],
    json: Json = False,
) -> None:
    """Print what is published of a ligand, a target or a cell line."""
    from halfmax.reference import as_dict, summary

    if json:
        _print_json(as_dict(name))
    else:
        typer.echo(summary(name))


@app.command()
def verify(
    data: Annotated[
        Path | None,
        typer.Option("--data", envvar="HALFMAX_DATA", help="Folder of data sets that are not part of halfmax."),
    ] = None,
    json: Json = False,
) -> None:
    """Compute reference answers on this machine and say how many digits agree."""
    from halfmax.verify import verify as verify_all
    from halfmax.verify import worst

    with _counting("reference answers") as progress:
        checks = verify_all(data, progress=progress)
    if json:
        _print_json([check.record() for check in checks])
    else:
        _print_checks(worst(checks), len(checks))
    failed = [check for check in checks if not check.passed]
    for check in failed:
        _say(f"{check.subject}, {check.quantity}: {check.digits:.1f} digits, {check.required:g} required. {check.run}")
    if failed:
        raise typer.Exit(1)


def _print_checks(checks: Sequence[Check], count: int) -> None:
    """One row for each part of each set: of its numbers the one with the fewest digits to spare."""
    from rich.console import Console
    from rich.table import Table

    ran = [check for check in checks if not check.missing]
    missing = [check for check in checks if check.missing]
    table = Table("set", "quantity", box=None, pad_edge=False, header_style="bold")
    for name in ("expected", "found", "digits"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for check in ran:
        colour = "green" if check.passed else "bold red"
        table.add_row(
            check.subject, check.quantity, f"{check.expected:.8g}", f"{check.found:.8g}", f"{check.digits:.1f}",
            f"[{colour}]{check.verdict}[/]",
        )  # fmt: skip
    Console().print(table)
    for check in missing:
        typer.echo(f"not run: {check.subject}, needs {check.missing} in the folder of --data")
    short = sum(not check.passed for check in checks)
    typer.echo(f"{count - len(missing)} numbers compared, the worst of each kind shown: {short or 'none'} fall short.")


@app.command()
def schema() -> None:
    """Print the JSON Schema of study.toml, for an editor."""
    from halfmax.study import schema as study_schema

    _print_json(study_schema())


def _run(study: Path, name: str | None, no_pdf: bool) -> Outcome:
    from halfmax.study import run as run_study

    with _steps() as progress:
        return run_study(study, name=name, pdf=not no_pdf, progress=progress)


def _report_run(outcome: Outcome, open_report: bool) -> None:
    """The answer on stdout, and where the report is."""
    report = outcome.report
    if report.simulated:
        typer.echo("Simulated data: no instrument measured this.")
    width = max((len(curve.title) for curve in report.curves), default=0)
    for curve in report.curves:
        typer.echo(f"{curve.title:<{width}}  EC50 {curve.combined['ec50'].text()}  n = {curve.combined.n}")
    for one in report.analyses:
        typer.echo(f"{one.title}  {one.answer}")
        if one.sentence:
            typer.echo(f"    {one.sentence}")
    for comparison in report.comparisons:
        typer.echo(f"{comparison.label}  {comparison.estimate['ratio'].text()}")
    assert outcome.folder is not None
    page = (outcome.folder / "report.html").resolve()
    typer.echo(f"Report: {page}")
    if open_report:
        typer.launch(page.as_uri())


def _summary_of(table: AssayTable) -> dict[str, Any]:
    """What a file holds, for `read`."""
    frame = table.frame
    flagged = frame[frame["flag"] != ""]
    return {
        "format": table.sources[0].reader if table.sources else "",
        "plates": table.plates,
        "wells": int(frame[["plate", "well"]].drop_duplicates().shape[0]),
        "flagged": int(flagged[["plate", "well"]].drop_duplicates().shape[0]),
        "flags": {str(flag): int(count) for flag, count in flagged["flag"].value_counts().items()},
        "channels": table.channels,
        "readings": len(table),
        "times_s": sorted({float(time) for time in frame["time_s"].dropna()}),
    }


def _print_json(content: object) -> None:
    typer.echo(json_module.dumps(content, indent=1, ensure_ascii=False, allow_nan=False))


def _say(text: str) -> None:
    """A line for a person, on stderr."""
    typer.echo(text, err=True)


def _refuse(strict: bool, count: int, which: str) -> None:
    if strict and count:
        _say(f"--strict: {count} estimates are open or refused: {which}")
        raise typer.Exit(4)


@contextmanager
def _counting(what: str) -> Iterator[Callable[[int], None]]:
    """A running count on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed} {task.description}"), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def _steps() -> Iterator[Progress]:
    """The steps of a study on stderr: a bar on a terminal, a line each elsewhere."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    if not sys.stderr.isatty():
        yield lambda what, done, of: _say(f"[{done}/{of}] {what}")
        return
    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda what, done, of: bar.update(task, description=what, completed=done, total=of)


def _chosen(**flags: bool) -> list[Any]:
    """Names of the flags that are set."""
    return [name for name, chosen in flags.items() if chosen]


@contextmanager
def _frames() -> Iterator[Progress]:
    """Frames of a recording on stderr: a bar on a terminal, a line each quarter elsewhere."""
    with _steps() as told:
        if sys.stderr.isatty():
            yield told
            return
        last: list[tuple[str, int]] = []

        def quarters(what: str, done: int, of: int) -> None:
            step = what, 4 * done // max(of, 1)
            if [step] != last:
                last[:] = [step]
                told(what, done, of)

        yield quarters


def main() -> None:
    """Entry point of the `halfmax` command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        app()
    except HalfmaxError as error:
        _say(f"error: {error}")
        sys.exit(3)


if __name__ == "__main__":
    main()
