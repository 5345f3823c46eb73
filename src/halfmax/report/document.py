"""What a report is made of: typed parts that a study fills in and `halfmax.report` draws and prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from halfmax.assays.viability import PlateQuality
from halfmax.estimate import Estimate, Influence
from halfmax.reference import Discrepancy, Value
from halfmax.table import Source

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Analysis", "Comparison", "Curve", "Exclusion", "Plate", "Plot", "Provenance", "Series", "StudyReport"]

Array = NDArray[np.float64]
#: What an analysis belongs to; the sections of a report, in their order.
Section = Literal["binding", "kinetics", "function"]


@dataclass(frozen=True)
class Curve:
    """One compound in one line at one time: an estimate for each experiment, and their combination.

    `combined` has the parameters ``ec50``, ``sd_log10``, ``i_squared``; its `n` counts
    experiments. Each of `fits` carries its `response` (raw signals with controls).
    `absolute` is the combined EC50 on the absolute scale (half way between vehicle and
    no cells), or None where zero is not known. `published` are values of the
    literature for the same compound and line, for display beside ours.

    Where plates were fitted apart, `fits` are those of the plates and `experiments` the
    means of each experiment's plates, which were combined; else `experiments` is empty
    and each fit is an experiment (`by_experiment` is right in both cases). `pooled` is one
    fit through all wells as if they came from one experiment, for comparison only, and
    `influence` the combination without each of the experiments.
    """

    compound: str
    cell_line: str
    time_s: float
    fits: tuple[Estimate, ...]
    combined: Estimate
    absolute: Estimate | None = None
    published: tuple[Value, ...] = ()
    experiments: tuple[Estimate, ...] = ()
    pooled: Estimate | None = None
    influence: Influence | None = None

    @property
    def by_experiment(self) -> tuple[Estimate, ...]:
        """One estimate for each experiment."""
        return self.experiments or self.fits

    @property
    def title(self) -> str:
        """Compound and line."""
        return f"{self.compound} · {self.cell_line}" if self.cell_line else self.compound


@dataclass(frozen=True)
class Comparison:
    """A ratio of EC50s that the study asked for, such as a selectivity index.

    `estimate` has one parameter, ``ratio``; `name` is what people call it. `published_ratio` is the ratio of
    the published values with its standard error (NaN where it has none), and
    `published_note` says how that stands to what was printed.
    """

    name: str
    label: str
    estimate: Estimate
    published_ratio: float = float("nan")
    published_error: float = float("nan")
    published_note: str = ""


@dataclass(frozen=True)
class Series:
    """Wells of one condition, and the fitted line through them.

    Parameters
    ----------
    label : str
        For the legend.
    x, y : array, shape (wells,)
        M, s or a plain number, as the analysis says; and the signal.
    at, line : array, shape (places,)
        The fit, or empty.
    """

    label: str
    x: Array
    y: Array
    at: Array
    line: Array


@dataclass(frozen=True)
class Plot:
    """Wells of several conditions against one abscissa, and the fit.

    Parameters
    ----------
    x_title, y_title : str
    x_kind : {"concentration", "time", "plain"}
        A concentration is drawn on a logarithmic axis, with none beyond its break.
    series : tuple of Series
    caption : str
        What is seen.
    y_log : bool
        Whether the ordinate is logarithmic too.
    """

    x_title: str
    x_kind: Literal["concentration", "time", "plain"]
    y_title: str
    series: tuple[Series, ...]
    caption: str = "Every well is a point; lines: the fit."
    y_log: bool = False


@dataclass(frozen=True)
class Analysis:
    """One analysis whose answer is not an EC50: binding, kinetics, receptor theory.

    Parameters
    ----------
    section : {"binding", "kinetics", "function"}
    title : str
    answer : str
        The finding in a few words: ``Ki 14.6 nM (12.1–17.7)``.
    sentence : str
        What can be said and what cannot, and what experiment would tell.
    estimate : Estimate
        Its parameters are the table.
    plots : tuple of Plot
        The first shows data and fit; others are for the eye.
    notes : tuple of str
    methods : tuple of str
        How it was made, in sentences for the methods section.
    """

    section: Section
    title: str
    answer: str
    sentence: str
    estimate: Estimate
    plots: tuple[Plot, ...]
    notes: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exclusion:
    """A well left out by the study file, with its reason."""

    experiment: str
    plate: str
    well: str
    reason: str


@dataclass(frozen=True)
class Plate:
    """A plate as it was read: `frame` has one row a well with the columns well, role, compound,
    concentration_M, signal (raw, corrected for the background wavelength), percent (of vehicle, for
    display), flag, excluded (reason or empty)."""

    name: str
    cell_line: str
    experiment: str
    time_s: float
    shape: tuple[int, int]
    channel: str
    frame: pd.DataFrame
    quality: PlateQuality


@dataclass(frozen=True)
class Provenance:
    """What the numbers came from: files with their SHA-256, versions, seed, settings."""

    sources: tuple[Source, ...]
    versions: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]
    seed: int | None
    created: str


@dataclass(frozen=True)
class StudyReport:
    """Everything a report says."""

    title: str
    description: str
    simulated: bool
    quantity: str
    level: float
    curves: tuple[Curve, ...]
    comparisons: tuple[Comparison, ...]
    plates: tuple[Plate, ...]
    exclusions: tuple[Exclusion, ...]
    discrepancies: tuple[Discrepancy, ...]
    provenance: Provenance
    analyses: tuple[Analysis, ...] = ()
