"""The sentences of a report: what could not be determined, how it was done, and with whose methods."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from halfmax import reference
from halfmax.estimate import Estimate
from halfmax.report.document import Curve, StudyReport
from halfmax.report.forest import row_label
from halfmax.report.style import SIMULATED
from halfmax.report.tables import Table, which
from halfmax.units import format_duration

__all__ = ["References", "Work", "methods", "undetermined"]

#: Works whose methods are used, with their DOI where they have one.
WORKS = {
    "bates1988": ("Bates DM, Watts DG (1988). Nonlinear Regression Analysis and Its Applications. Wiley.", None),
    "gadagkar2015": ("Gadagkar SR, Call GB (2015). J Pharmacol Toxicol Methods 71:68.", "10.1016/j.vascn.2014.08.006"),
    "golub2003": ("Golub G, Pereyra V (2003). Inverse Problems 19:R1.", "10.1088/0266-5611/19/2/201"),
    "higgins2002": ("Higgins JPT, Thompson SG (2002). Stat Med 21:1539.", "10.1002/sim.1186"),
    "welch1947": ("Welch BL (1947). Biometrika 34:28.", "10.1093/biomet/34.1-2.28"),
    "zhang1999": ("Zhang JH, Chung TD, Oldenburg KR (1999). J Biomol Screen 4:67.", "10.1177/108705719900400206"),
    "benjamini1995": (
        "Benjamini Y, Hochberg Y (1995). J R Stat Soc B 57:289.", "10.1111/j.2517-6161.1995.tb02031.x"
    ),
    "okabe2008": ("Okabe M, Ito K (2008). Color Universal Design. https://jfly.uni-koeln.de/color/", None),
    "nunez2018": ("Nuñez JR, Anderton CR, Renslow RS (2018). PLoS ONE 13:e0199239.", "10.1371/journal.pone.0199239"),
}  # fmt: skip


@dataclass(frozen=True)
class Work:
    """One line of the list of references."""

    number: int
    text: str
    link: str


@dataclass
class References:
    """Numbers works in the order in which they are cited."""

    keys: list[str] = field(default_factory=list)

    def __call__(self, *keys: str | None) -> str:
        """Mark of some works, ``[3]`` or ``[3, 5]``; empty where there is none."""
        said = [key for key in keys if key is not None]
        self.keys += [key for key in dict.fromkeys(said) if key not in self.keys]
        return f"[{', '.join(str(self.keys.index(key) + 1) for key in said)}]" if said else ""

    def works(self) -> tuple[Work, ...]:
        """What was cited, in order."""
        found = []
        for number, key in enumerate(self.keys, start=1):
            if key in WORKS:
                text, doi = WORKS[key]
                text = f"{text} doi:{doi}" if doi else text
                link = f"https://doi.org/{doi}" if doi else ""
            else:
                entry = reference.citation(key)
                text, link = entry.text(), f"https://doi.org/{entry.doi}" if entry.doi else entry.url or ""
            found.append(Work(number, text, link))
        return tuple(found)


def methods(report: StudyReport, cite: References) -> tuple[str, ...]:
    """How the numbers were made, in sentences, of the methods that this report used."""
    said = _of_curves(report, cite) if report.curves else []
    said += list(dict.fromkeys(sentence for one in report.analyses for sentence in one.methods))
    if report.analyses:
        said.append(
            f"Intervals are profile likelihoods at {100 * report.level:.0f} %, with the threshold of the F "
            f"distribution {cite('bates1988')}; where the data do not bound a quantity, its interval is open."
        )
    said.append(
        f"Colours are Okabe and Ito's for lines {cite('okabe2008')} and cividis for plates {cite('nunez2018')}: "
        "readable with every colour vision."
    )
    return tuple(said)


def _of_curves(report: StudyReport, cite: References) -> list[str]:
    """How dose–response curves were fitted and combined."""
    level = f"{100 * report.level:.0f} %"
    models = sorted({fit.model for curve in report.curves for fit in curve.fits})
    lower = " with its lower plateau at zero" if models == ["hill3"] else ""
    said = [
        f"Each experiment was fitted alone, on raw signals, with a log-logistic curve{lower} "
        "(bottom + (top − bottom) / (1 + (EC50 / concentration)^Hill slope)) by least squares, the plateaus being "
        f"solved for at each step {cite('gadagkar2015', 'golub2003')}. Nothing was normalised before the fit.",
        "Control wells are part of the fit: vehicle wells as points at dose zero, kill wells (or blanks, where no kill "
        "control was plated) as points at infinite dose, so that their scatter is in every interval. An F-test asks "
        "whether the drug's full effect is that of the control; where it is not, the plateau is fitted and the notes "
        "say so.",
        f"Intervals within an experiment are profile likelihoods at {level}, with the threshold of the F distribution "
        f"with 1 and N − p degrees of freedom {cite('bates1988')}. An interval that the data do not bound is open, and "
        "is reported as > or <. Bands of curves are pointwise, by the delta method with a t quantile.",
    ]
    if any(curve.experiments for curve in report.curves):
        said.append(
            "Plates of one experiment share its cells and its day, but each has its own controls: they were fitted "
            "apart, and the logarithms of their EC50s averaged within the experiment. The scatter between plates is "
            "pooled over experiments; it is the error within an experiment, and never counts as a repeat."
        )
    if any(len(curve.by_experiment) > 1 for curve in report.curves):
        said.append(
            "The experiment is the sample, never the well: EC50s of several experiments were joined as the mean of "
            "their logarithms with a t interval, in two stages. The SD between experiments is that of log10 EC50, "
            "with its chi-square interval; the next experiment is expected within mean ± t · SD · √(1 + 1/k). "
            f"Cochran's Q asks whether the SD exceeds the experiments' own errors {cite('higgins2002')}."
        )
    if any(curve.pooled is not None for curve in report.curves):
        said.append(
            "For comparison only, all wells of a curve were put into one fit, as percent of the vehicle of their plate "
            "(raw where a plate has none). Its interval takes wells of one experiment as independent of each other, "
            "which they are not: it is too narrow by as much as experiments differ."
        )
    if any(curve.absolute is not None for curve in report.curves):
        said.append(
            "The EC50 is relative: half way between the curve's own plateaus. The absolute EC50 is the concentration "
            "that halves the signal between vehicle and no cells. They are two quantities."
        )
    used = {one.estimate["ratio"].method
            for one in report.comparisons}  # fmt: skip
    if "two-stage Welch t" in used:
        said.append(
            f"Ratios between curves: Welch t interval of the difference of mean logarithms {cite('welch1947')}."
        )
    if "joint profile" in used:
        said.append("Ratios within one experiment: joint profile of the log ratio over both curves.")
    if "ratio of bounds" in used:
        said.append("A ratio with an open EC50 is the ratio of the bounds, and carries the operator.")
    if report.plates:
        said.append(
            "Plate quality: Z′ = 1 − 3 (SD of vehicle + SD of full effect) / |difference of means| "
            f"{cite('zhang1999')}, its interval by the delta method. Edge, row, column and drift effects are F-tests "
            "beside the replicate groups, where the layout lets them be told from the doses. Suspect wells are found "
            "by their studentised distance from the other replicates, at a false-discovery rate of 1 % "
            f"{cite('benjamini1995')}; the program drops none."
        )
    return said


def undetermined(report: StudyReport) -> Table | None:
    """What the data leave open, curve by curve, with the experiment that would settle it."""
    rows: list[tuple[str, str, str]] = []
    for curve in report.curves:
        rows += [(row_label(curve), *found) for found in _of_curve(curve)]
    for one in report.comparisons:
        if not one.estimate.status.startswith("ok"):
            rows.append((one.label, one.estimate.status, "Bound the open EC50 first; the ratio follows."))
    confounded = _confounding(report)
    if confounded:
        rows.append(confounded)
    rows += [
        (one.title, *_split(one.estimate.status, "Add concentrations, or replicates."))
        for one in report.analyses
        if _is_open(one.estimate)
    ]
    if not rows:
        return None
    caption = "What is open, and what would settle it."
    return Table(
        "undetermined", f"{caption} {SIMULATED.capitalize()}." if report.simulated else caption,
        ("of", "what could not be determined", "experiment that would"), tuple(rows), simulated=report.simulated,
    )  # fmt: skip


def _is_open(estimate: Estimate) -> bool:
    return not estimate.status.startswith("ok")


def _of_curve(curve: Curve) -> list[tuple[str, str]]:
    """(what, experiment) of one curve; what several experiments share is said once."""
    found: dict[tuple[str, str], list[Estimate]] = {}
    for fit in curve.fits:
        if not fit.status.startswith("ok"):
            found.setdefault(_split(fit.status), []).append(fit)
        elif "extrapolated" in fit.status:
            found.setdefault((f"{fit.status.removeprefix('ok, ')}.", "Add doses beyond it."), []).append(fit)
        for note in fit.notes:
            if "assumes" in note:
                found.setdefault((note, "Add higher doses, until the plateau is seen."), []).append(fit)
            elif "steeper" in note:
                found.setdefault((note, "Add doses between those that flank the EC50."), []).append(fit)
    rows = [(f"{who}: {why}" if (who := which(curve, fits)) else why, advice) for (why, advice), fits in found.items()]
    if len(curve.by_experiment) == 1:
        rows.append(
            ("How much EC50 varies between experiments: there is only one.", "Repeat it on at least two more days.")
        )
    return rows


def _split(status: str, otherwise: str = "More doses around the expected EC50.") -> tuple[str, str]:
    """Status as (what is open, what to do)."""
    sentences = re.split(r"(?<=[.)])\s+(?=[A-Z])", status)
    todo = [sentence for sentence in sentences if sentence.startswith(("Add", "Look", "Raise", "Repeat"))]
    return " ".join(s for s in sentences if s not in todo), " ".join(todo) or otherwise


def _confounding(report: StudyReport) -> tuple[str, str, str] | None:
    """Line and time, where lines were read at different times and no line at two."""
    times: dict[tuple[str, str], set[float]] = {}
    for curve in report.curves:
        if math.isfinite(curve.time_s):
            times.setdefault((curve.compound, curve.cell_line), set()).add(curve.time_s)
    seen = {time for own in times.values() for time in own}
    if len(seen) < 2 or len(times) < 2 or any(len(own) > 1 for own in times.values()):
        return None
    shown = " and ".join(format_duration(time) for time in sorted(seen))
    return (
        "time of exposure",
        f"Whether EC50 depends on time: lines were read at {shown}, but none at two times, so line and time are "
        "confounded.",
        f"Read one line at {shown}, in the same experiments.",
    )
