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

__all__ = [
    "Analysis",
    "Bar",
    "Comparison",
    "Curve",
    "Exclusion",
    "Export",
    "HeatMap",
    "Outlines",
    "Plate",
    "Plot",
    "Provenance",
    "Series",
    "StudyReport",
]

Array = NDArray[np.float64]
#: What an analysis belongs to; the sections of a report, in their order.
Section = Literal["binding", "kinetics", "function", "calcium", "blots", "mechanism"]


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
        The fit or a trace, or empty. A line breaks where it is NaN.
    low, high : array, shape (places,), optional
        An interval at the places of `at`, drawn as a band behind the line; an infinite end reaches the edge.
    """

    label: str
    x: Array
    y: Array
    at: Array
    line: Array
    low: Array | None = None
    high: Array | None = None


@dataclass(frozen=True)
class Bar:
    """A stimulus as a bar above the data: from `start` to `end`, s; an infinite end is the end of the axis."""

    start: float
    end: float
    label: str


@dataclass(frozen=True)
class Plot:
    """Wells of several conditions against one abscissa, and the fit.

    A line of more than 600 places is thinned for the drawing: its least and its greatest value in each of some 300
    stretches are kept, so that every peak is seen. A band is widened to the extremes of each stretch. Wells are all
    drawn: a trace of many frames belongs in `Series.line`.

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
    bars : tuple of Bar
        Stimuli, drawn where `x_kind` is ``time``.
    """

    x_title: str
    x_kind: Literal["concentration", "time", "plain"]
    y_title: str
    series: tuple[Series, ...]
    caption: str = "Every well is a point; lines: the fit."
    y_log: bool = False
    bars: tuple[Bar, ...] = ()


@dataclass(frozen=True)
class Outlines:
    """A grey picture with the outlines of its cells.

    Parameters
    ----------
    picture : array, shape (height, width)
        In any unit; grey runs from its 0.5th to its 99.8th percentile.
    outlines : tuple of arrays, shape (n, 2)
        Row and column of each corner, one array a cell; the centre of the first pixel is (0, 0).
    groups : tuple of str
        What each cell is: ``responder``, ``other``, ``flagged``; the legend counts them.
    pixel_um : float
        Edge of a pixel, µm; NaN where unknown.
    caption, title : str
    """

    picture: Array
    outlines: tuple[Array, ...]
    groups: tuple[str, ...]
    pixel_um: float = float("nan")
    caption: str = "Mean image with the outlines of the cells."
    title: str = ""


@dataclass(frozen=True)
class HeatMap:
    """Many traces as one picture, a line each.

    More than 400 rows or 600 columns are averaged for the picture, and its caption says so. NaN is light grey.

    Parameters
    ----------
    values : array, shape (rows, columns)
        The first row stands on top.
    x : array, shape (columns,), s
        Ascending.
    x_title, y_title, colour_title : str
        The last with its unit.
    bars : tuple of Bar
    caption : str
    order_note : str
        How the rows are ordered.
    """

    values: Array
    x: Array
    x_title: str
    y_title: str
    colour_title: str
    bars: tuple[Bar, ...] = ()
    caption: str = "Every line is a cell."
    order_note: str = ""


@dataclass(frozen=True, eq=False)
class Export:
    """A table that is written beside the report, too long to stand in it: `name` is that of its file."""

    name: str
    frame: pd.DataFrame


@dataclass(frozen=True)
class Analysis:
    """One analysis whose answer is not an EC50: binding, kinetics, receptor theory, calcium, blots, mechanism.

    Parameters
    ----------
    section : {"binding", "kinetics", "function", "calcium", "blots", "mechanism"}
    title : str
    answer : str
        The finding in a few words: ``Ki 14.6 nM (12.1–17.7)``.
    sentence : str
        What can be said and what cannot, and what experiment would tell.
    estimate : Estimate
        Its parameters are the table.
    plots : tuple of Plot, Outlines, HeatMap
        The first shows data and fit; others are for the eye.
    notes : tuple of str
    methods : tuple of str
        How it was made, in sentences for the methods section.
    exports : tuple of Export
        Such as the traces of all cells.
    """

    section: Section
    title: str
    answer: str
    sentence: str
    estimate: Estimate
    plots: tuple[Plot | Outlines | HeatMap, ...]
    notes: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    exports: tuple[Export, ...] = ()


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
