"""Answers of other programs to data that are not part of the package, run where a folder holds them."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from pathlib import Path

from halfmax.assays.growth import gr_value
from halfmax.errors import FileError
from halfmax.estimate import Estimate, fit, growth_metrics
from halfmax.response import Response
from halfmax.verify.check import Check

__all__ = ["RYEGRASS", "TOY", "checks"]

#: Files below the folder of data.
RYEGRASS = "dose_response/drc/ryegrass.csv"
TOY = "dose_response/growth_rate/toy_example_input1.tsv"

#: R drc 3.0-1: curve → its name there, ED50 with the digits that must agree, residual sum of squares.
_DRC = {
    "hill4": ("LL.4", 3.0579550, 6.0, 5.4002146),
    "hill3": ("LL.3", 3.2633582, 5.0, 6.6228198),
    "hill5": ("LL.5", 3.0235492, 2.0, 5.2770474),
    "weibull1": ("W1.4", 3.0889635, 4.0, 6.0241509),
    "weibull2": ("W2.4", 2.9969126, 4.0, 5.2925654),
}
#: R nls, which takes the expected information as halfmax does: ends of 95 % profile intervals.
_NLS = {
    "ec50": (math.exp(0.98994898), math.exp(1.24571026)), "hill_slope": (-4.233362, -2.182193),
    "top": (7.405378, 8.192463), "bottom": (0.010177, 0.906726),
}  # fmt: skip
_NLS_ERROR = 0.06076899
#: GRmetrics (R): BT20, drugA, first replicate at 48 h.
_GR = {"gr50": (0.0774608, 5.0), "gr_aoc": (0.555553253, 8.0), "gr_max": (-0.00640568, 5.0)}


def checks(folder: Path | None) -> Iterator[Check]:
    """All published answers, or what they would need."""
    answers: tuple[tuple[str, str, str, Callable[[Path], Iterator[Check]]], ...] = (
        ("Ryegrass", "R drc, R nls", RYEGRASS, _ryegrass),
        ("GR toy example", "GRmetrics (R)", TOY, _growth_rate),
    )
    for subject, source, place, run in answers:
        if folder is not None and (folder / place).is_file():
            yield from run(folder / place)
        else:
            yield Check(subject, "answers of other programs", source=source, missing=place)


def _ryegrass(path: Path) -> Iterator[Check]:
    rows = _rows(path, ",", ("conc", "rootl"))
    response = Response.of([row["conc"] for row in rows], [row["rootl"] for row in rows], quantity="ryegrass")
    for model, (theirs, ed50, required, squares) in _DRC.items():
        estimate = fit(response, model)
        yield Check("Ryegrass", "ED50", f"ED50, {theirs}", ed50, estimate["ec50"].best, required, "R drc 3.0-1")
        yield Check("Ryegrass", "residual sum of squares", f"RSS, {theirs}", squares, estimate.rss, 7.0, "R drc 3.0-1")
        if model == "hill4":
            yield from _nls(estimate)


def _nls(estimate: Estimate) -> Iterator[Check]:
    yield Check("Ryegrass", "standard error", "SE of ln ED50", _NLS_ERROR, estimate["ec50"].se, 6.0, "R nls")
    for name, (low, high) in _NLS.items():
        found = estimate[name]
        required = 2.0 if name == "bottom" else 3.0
        yield Check("Ryegrass", "profile intervals", f"{name}, low end", low, found.low, required, "R nls")
        yield Check("Ryegrass", "profile intervals", f"{name}, high end", high, found.high, required, "R nls")


def _growth_rate(path: Path) -> Iterator[Check]:
    names = (
        "concentration",
        "cell_count",
        "cell_count__ctrl",
        "cell_count__time0",
        "perturbation",
        "replicate",
        "time",
    )
    wanted = {"cell_line": "BT20", "agent": "drugA"}
    rows = [row for row in _rows(path, "\t", names, wanted) if (row["perturbation"], row["replicate"], row["time"]) == (
        0, 1, 48)]  # fmt: skip
    count, control, zero = ([row[name] for row in rows] for name in names[1:4])
    values = gr_value(count, control=control, time_zero=zero)
    response = Response.of([row["concentration"] for row in rows], values, concentration_unit="µM")
    metrics = growth_metrics(fit(response, "gr3"))
    for name, (expected, required) in _GR.items():
        yield Check("GR toy example", name, name, expected, metrics[name].best, required, "GRmetrics (R)")


def _rows(path: Path, separator: str, names: tuple[str, ...], wanted: dict[str, str] | None = None) -> list[
    dict[str, float]
]:  # fmt: skip
    """Numbers of some columns of a table, of the rows that hold the words wanted."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            table = list(csv.DictReader(stream, delimiter=separator))
        kept = [row for row in table if all(row[key] == word for key, word in (wanted or {}).items())]
        return [{name: float(row[name]) for name in names} for row in kept]
    except (OSError, ValueError, KeyError) as error:
        raise FileError(
            f"{path.name}: expected the columns {', '.join(names)}, found another table: {error}."
        ) from error
