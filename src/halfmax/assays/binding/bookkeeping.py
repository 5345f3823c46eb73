"""From counts and a layout of tubes to binding experiments: background, efficiency, specific activity, added ligand."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from halfmax.assays.binding.activity import BindingAssay
from halfmax.assays.binding.experiment import BindingExperiment, Unit
from halfmax.assays.binding.matching import Count, Counted, match, natural
from halfmax.assays.binding.quality import binding_quality, check_amounts, check_totals
from halfmax.assays.binding.tube import Tube, tubes_of
from halfmax.errors import StudyError
from halfmax.table import FLAGS, AssayTable
from halfmax.units import format_concentration

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["binding_experiments"]

#: A target and a radioligand that binds elsewhere too, and what keeps it off there.
_MASKS = ((re.compile(r"sigma[- ]?2|σ[- ]?2|tmem97", re.IGNORECASE), re.compile(r"DTG"), "sigma-1", "(+)-pentazocine"),)


@dataclass(frozen=True)
class _Scale:
    """What a count is multiplied with, and the background that is taken off first."""

    assay: BindingAssay
    background: float
    background_sd: float
    by_counter: bool

    def net(self, count: Count) -> tuple[float, float]:
        """Activity (dpm where it is known, else cpm) less the background, and its counting error."""
        gross = count.dpm if self.by_counter else count.cpm
        per_cpm = count.dpm / count.cpm if self.by_counter and count.cpm > 0 else 1.0
        return gross - self.background, math.hypot(count.sd * per_cpm, self.background_sd)


def binding_experiments(
    table: AssayTable,
    tubes: pd.DataFrame | Sequence[Tube],
    assay: BindingAssay,
    *,
    unit: Unit = "M",
    simulated: bool = False,
) -> list[BindingExperiment]:
    """One `BindingExperiment` for each compound and experiment, with the controls of its experiment.

    ::

        dpm = (cpm - background) / efficiency
        mol = dpm / (specific activity on the day of counting)
        bound = mol / volume;   free = added - bound

    The counter's own dpm are taken where the assay states no efficiency. What was
    added is what the tubes of role `added` hold, else what the layout says. Counts of
    one tube that were repeated are pooled where the layout states its time of
    incubation; where it states none, they are a time course.

    Parameters
    ----------
    table : AssayTable
        Channel ``cpm``, and as far as known ``minutes``, ``dpm``, ``error_percent``
        (`halfmax.readers.counts.read_counts`).
    tubes : DataFrame or sequence of Tube
        What stood in each tube (`tubes_of`).
    assay : BindingAssay
    unit : str
        What bound is given in: ``M``, ``fmol/mg``, ``dpm`` or ``cpm``.
    simulated : bool

    Returns
    -------
    list of BindingExperiment
        In the order of experiments and compounds; tubes in an order of their own, which
        that of the files does not change.

    Raises
    ------
    StudyError
        If the layout names a tube that was not counted, or what the unit takes is missing.
    TableError
        If nonspecific is above total, or more is bound than was added.

    Examples
    --------
    >>> import pandas as pd
    >>> from halfmax.assays.binding import Radioligand
    >>> counts = AssayTable.of({"plate": ["1", "2", "3"], "channel": "cpm", "signal": [2030.0, 430.0, 30.0]})
    >>> tubes = pd.DataFrame({"tube": ["1", "2", "3"], "role": ["total", "nonspecific", "background"],
    ...                       "radioligand": ["5 nM", "5 nM", ""]})
    >>> ligand = Radioligand.of("[3H]DTG", specific_activity="80 Ci/mmol", efficiency=0.5)
    >>> (one,) = binding_experiments(counts, tubes, BindingAssay.of(ligand, volume="0.5 mL"))
    >>> (one.bound * 1e12).round(2).tolist(), one.nonspecific.tolist()
    ([45.05, 9.01], [False, True])
    """
    layout = tubes if isinstance(tubes, Sequence) else tubes_of(tubes)
    counted = match(table, layout)
    result = []
    for experiment in sorted({one.tube.experiment for one in counted if one.is_bound}, key=natural):
        shared = [one for one in counted if not one.is_bound and one.tube.experiment == ""]
        own = [one for one in counted if one.tube.experiment == experiment and (experiment or one.is_bound)]
        result += _of_experiment(experiment, shared + own, assay, unit, simulated)
    if not result:
        raise StudyError("layout of tubes: expected tubes of role total, found none. Give at least one that role.")
    return result


# One experiment


def _of_experiment(
    experiment: str, counted: list[Counted], assay: BindingAssay, unit: Unit, simulated: bool
) -> list[BindingExperiment]:
    """Experiments of all compounds that share controls."""
    scale, notes = _scale(counted, assay, unit)
    added, recovery, more = _added(counted, scale, unit)
    binding = [one for one in counted if one.is_bound]
    totals = [one for one in binding if one.tube.role == "total"]
    compounds = sorted({one.tube.compound for one in totals if one.tube.concentration > 0}, key=natural)
    result = []
    for compound in compounds or ([""] if totals else []):
        mine = [
            one
            for one in binding
            if one.tube.role == "nonspecific" or one.tube.concentration == 0 or one.tube.compound == compound
        ]
        made = _build(mine, (experiment, compound), added, scale, unit)
        check_totals(made)
        check_amounts(made)
        told = (*notes, *more, *_notes(made, mine))
        result.append(replace(made, recovery=recovery, notes=told, simulated=simulated))
    return result


def _scale(counted: list[Counted], assay: BindingAssay, unit: Unit) -> tuple[_Scale, list[str]]:
    """Background and its error, in the counter's dpm or in cpm."""
    good = [one.count for one in counted if one.is_good]
    stated = math.isfinite(assay.radioligand.efficiency)
    by_counter = unit != "cpm" and not stated and bool(good) and all(math.isfinite(count.dpm) for count in good)
    empty = [one.count for one in counted if one.is_good and one.tube.role == "background"]
    rates = [count.dpm if by_counter else count.cpm for count in empty]
    notes = ["The disintegrations are the counter's own (dpm)."] if by_counter else []
    if rates:
        weights = [count.minutes for count in empty]
        timed = all(math.isfinite(minutes) for minutes in weights)
        mean = float(np.average(rates, weights=weights if timed else None))
        errors = [count.sd * (count.dpm / count.cpm if by_counter and count.cpm > 0 else 1.0) for count in empty]
        share = np.array(weights) / sum(weights) if timed else np.full(len(rates), 1.0 / len(rates))
        return _Scale(assay, mean, float(np.linalg.norm(share * np.array(errors))), by_counter), notes
    if math.isfinite(assay.background):
        per_cpm = float(np.median([count.dpm / count.cpm for count in good if count.cpm > 0])) if by_counter else 1.0
        return _Scale(assay, assay.background * per_cpm, 0.0, by_counter), notes
    notes.append("No background was taken off: there are no background tubes.")
    return _Scale(assay, 0.0, 0.0, by_counter), notes


def _added(counted: list[Counted], scale: _Scale, unit: Unit) -> tuple[dict[float, float], float, list[str]]:
    """Added radioligand (M) by its nominal concentration, the recovery, and what is to be said of them."""
    ligand = scale.assay.radioligand
    left = 1.0 if ligand.decayed_binds else ligand.remaining
    nominal = {one.tube.radioligand: one.tube.radioligand * left for one in counted if one.is_bound}
    counts = [one for one in counted if one.tube.role == "added" and one.is_good]
    if counts and unit in ("cpm", "dpm") and math.isnan(ligand.specific_activity * scale.assay.volume):
        return nominal, math.nan, ["The tubes of role added were not used: they need specific activity and volume."]
    measured = _measured_added(counts, scale)
    absent = [level for level in sorted(nominal) if level not in measured]
    notes = []
    if measured and absent:
        shown = ", ".join(format_concentration(level) for level in absent)
        notes.append(f"The radioligand added was not counted at {shown}: the nominal concentration stands there.")
    recovery = float(np.mean([found / (level * left) for level, found in measured.items()])) if measured else math.nan
    return {level: measured.get(level, meant) for level, meant in nominal.items()}, recovery, notes


def _measured_added(counts: list[Counted], scale: _Scale) -> dict[float, float]:
    """Mean radioligand (M) that was counted as added, by its nominal concentration."""
    ligand, values = scale.assay.radioligand, dict[float, list[float]]()
    for one in counts:
        dpm = scale.net(one.count)[0] * (1.0 if scale.by_counter else ligand.dpm_per_cpm)
        if not dpm > 0:
            raise StudyError(
                f"{one.tube.place}: a tube of role added must hold more than the background, found {one.count.cpm:g} "
                "cpm. Check its role, or exclude it."
            )
        molar = dpm / ligand.dpm_per_mol / one.tube.fraction / scale.assay.litres
        values.setdefault(one.tube.radioligand, []).append(molar)
    return {level: float(np.mean(found)) for level, found in sorted(values.items())}


def _build(
    counted: list[Counted], who: tuple[str, str], added: dict[float, float], scale: _Scale, unit: Unit
) -> BindingExperiment:
    """Arrays of one compound, in an order that does not depend on that of the files."""
    rows = sorted(counted, key=lambda one: _order(one, added))
    net = np.array([scale.net(one.count) if not one.count.flag else (math.nan, math.nan) for one in rows])
    milligrams = [scale.assay.protein if math.isnan(one.tube.protein) else one.tube.protein for one in rows]
    tested = [one.tube.concentration if one.tube.role == "total" else 0.0 for one in rows]
    made = BindingExperiment.of(
        [added[one.tube.radioligand] for one in rows],
        net[:, 0],
        bound_sd=net[:, 1],
        competitor=tested,
        nonspecific=[one.tube.role == "nonspecific" for one in rows],
        time_s=[one.time_s for one in rows],
        tube=[one.name for one in rows],
        replicate=_replicates(rows, added),
        excluded=[_reason(one) for one in rows],
        wash=[one.tube.wash for one in rows],
        protein=milligrams,
        unit="dpm" if scale.by_counter else "cpm",
        assay=scale.assay,
        compound=who[1],
        nonspecific_by=_several(one.tube.compound for one in rows if one.tube.role == "nonspecific"),
        experiment=who[0],
        masking=_several(one.tube.masking or scale.assay.masking for one in rows),
    )
    return made.in_unit(unit)


def _order(one: Counted, added: dict[float, float]) -> tuple[object, ...]:
    return (*_condition(one, added), natural(one.name), one.count.time_s)


def _condition(one: Counted, added: dict[float, float]) -> tuple[object, ...]:
    """What replicates share."""
    is_nonspecific = one.tube.role == "nonspecific"
    time = -1.0 if math.isnan(one.time_s) else one.time_s
    tested = 0.0 if is_nonspecific else one.tube.concentration
    return is_nonspecific, added[one.tube.radioligand], tested, one.tube.wash, time


def _replicates(rows: list[Counted], added: dict[float, float]) -> list[str]:
    """Replicate of each tube: as the layout says, else counted up among those that are alike."""
    seen: dict[tuple[object, ...], int] = {}
    names = []
    for one in rows:
        key = _condition(one, added)
        seen[key] = seen.get(key, 0) + 1
        names.append(one.tube.replicate or str(seen[key]))
    return names


def _reason(one: Counted) -> str:
    flag = one.count.flag
    return f"{flag}: {FLAGS[flag]}" if flag else one.tube.excluded


def _several(texts: Iterable[str]) -> str:
    return " / ".join(sorted({text for text in texts if text}))


# What is to be said


def _notes(made: BindingExperiment, rows: list[Counted]) -> list[str]:
    """Sentences on one compound of one experiment."""
    notes = []
    quality = binding_quality(made)
    specific = made.specific()
    below = [str(made.tube[i]) for i in np.flatnonzero(made.used & (specific < 0))]
    if below:
        shown = ", ".join(dict.fromkeys(below[:8])) + (" …" if len(below) > 8 else "")
        notes.append(
            f"Specific binding is negative in {len(below)} of {quality.n_total} total tubes ({shown}): kept, not set "
            "to zero."
        )
    if not all(math.isfinite(value) for value in made.bound_sd[made.used]):
        notes.append("The counting error is not known: the file gives no counting times.")
    ligand = made.assay.radioligand
    if made.unit in ("M", "fmol/mg") and math.isnan(quality.fraction_bound):
        notes.append("Depletion of the radioligand is not known: the volume of a tube is missing.")
    if made.unit in ("M", "fmol/mg") and ligand.isotope and (ligand.calibrated is None or ligand.counted is None):
        notes.append("The specific activity is taken as stated: a calibration or counting date is missing.")
    return notes + _mask_notes(made, rows) + [f"Flag: {flag}." for flag in quality.flags]


def _mask_notes(made: BindingExperiment, rows: list[Counted]) -> list[str]:
    """What is to be said of a radioligand that binds to another site, too."""
    masked = {bool(one.tube.masking or made.assay.masking) for one in rows}
    if masked == {True, False}:
        return ["Some tubes state a masking ligand and some do not: they do not measure the same site."]
    for target, ligand, other, mask in _MASKS:
        if masked == {False} and target.search(made.target) and ligand.search(made.radioligand_name):
            return [
                f"{made.radioligand_name} binds to {other} as well, and no masking ligand is stated: what is bound may "
                f"be both. State masking, such as 100 nM {mask}."
            ]
    return []
