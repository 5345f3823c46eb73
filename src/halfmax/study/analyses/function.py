"""Receptor theory: function entries of a study → analyses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from halfmax.curves import receptor
from halfmax.estimate.receptor import fit_gaddum, fit_schild
from halfmax.report.document import Analysis, Plot, Series
from halfmax.study.analyses.table import Found, columns_of, needed, places, status_of
from halfmax.study.entries import FunctionEntry
from halfmax.table import Source
from halfmax.units import concentration_factor, format_concentration

__all__ = ["function"]


def function(entry: FunctionEntry, folder: Path, level: float, _simulated: bool) -> Iterator[Found]:
    """pA2 of an entry."""
    path = folder / entry.file
    factor = concentration_factor(entry.unit)
    columns, _ = columns_of(
        path, {entry.agonist_column: factor, entry.antagonist_column: factor, entry.signal_column: 1.0}
    )
    needed(path, columns, without=entry.signal_column)
    agonist, antagonist, signal = columns.values()
    doses = np.unique(antagonist)
    if (doses > 0).sum() == 1:
        estimate = fit_gaddum(agonist, antagonist, signal, level=level, label=entry.name)
        said = (
            f"{status_of(estimate)} With one antagonist concentration the Schild slope cannot be tested, and is taken "
            "to be 1. Add concentrations."
        ).strip()
    else:
        found = fit_schild(agonist, antagonist, signal, level=level, label=entry.name)
        estimate, said = found.estimate, found.status
    at = places(agonist)
    names = ("ec50", "hill_slope", "pa2", "schild_slope", "emax", "basal")
    best = {name: estimate[name].best for name in names if name in estimate}
    series = []
    for dose in doses.tolist():
        here = antagonist == dose
        label = f"with {format_concentration(dose)}" if dose else "agonist alone"
        series.append(Series(label, agonist[here], signal[here], at, receptor.gaddum(at, dose, **best)))
    plot = Plot("agonist", "concentration", entry.quantity, tuple(series))
    analysis = Analysis(
        "function", entry.name, f"pA2 {estimate['pa2'].text()}", said, estimate, (plot,), (),
        ("All agonist curves were fitted together with the Gaddum equation; an F-test asks whether the Schild slope is "
         "1, and only then is pA2 the logarithm of an affinity.",),
    )  # fmt: skip
    yield Found(analysis, [Source.of(path, reader="table")])
