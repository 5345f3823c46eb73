"""From the traces of a kinetic plate to one number a well, to responders, to dose–response.

The wells of one plate share its cells, its dye and its day: they are no independent
experiments, and the summary over biological lines counts lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from halfmax.assays.calcium import windows
from halfmax.assays.calcium.plates import PlateTraces, vehicle_of
from halfmax.assays.calcium.windows import Window, baseline
from halfmax.errors import StudyError, nearest
from halfmax.response import Response

__all__ = [
    "LineSummary", "Mode", "Responders", "Statistic", "measure", "percent_of_reference", "responders", "responses",
    "summarise_lines",
]  # fmt: skip

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: What of a trace is taken as its response.
Statistic = Literal["peak", "area", "plateau"]
#: Whether the compound raises the signal, or lowers that of a fixed agonist.
Mode = Literal["agonist", "antagonist"]


def measure(traces: PlateTraces, statistic: Statistic = "peak", window: Window | None = None) -> Array:
    """Peak, area or plateau of each well above its own baseline, shape (wells,).

    Baseline: mean of all reads before the addition.  Peak: maximum of the running median of
    three reads; area: trapezoids on the well's own times, in signal · s; plateau: mean.

    Parameters
    ----------
    traces : PlateTraces
    statistic : {"peak", "area", "plateau"}
    window : Window, optional
        Default: from the end of the addition's artefact to the end of the recording.

    Raises
    ------
    StudyError
        If there is no such statistic, or no well has a read in the window.
    """
    if statistic not in ("peak", "area", "plateau"):
        raise StudyError(f'unknown statistic "{statistic}". {nearest(statistic, ["peak", "area", "plateau"])}')
    window = window or traces.after
    base = baseline(traces.signal, traces.time_s, traces.before)
    if statistic == "peak":
        value = windows.peak(traces.signal, traces.time_s, window, base).height
    else:
        compute = windows.area if statistic == "area" else windows.plateau
        value = compute(traces.signal, traces.time_s, window, base)
    if not np.isfinite(value).any():
        last = np.nanmax(traces.time_s)
        raise StudyError(
            f"no well has a {statistic}: the window or the time before the addition holds no reads (the recording "
            f"ends at {last:.0f} s, the addition is at {np.nanmin(traces.start_s):.0f} s). Choose another window."
        )
    return value


def percent_of_reference(traces: PlateTraces, values: Array, reference: str) -> tuple[Array, Array]:
    """Values in percent of a reference compound's mean above vehicle, and the standard error of the two controls.

    ``y = 100 (x − v)/(r − v)``, v and r the means of the vehicle and reference wells of the
    same plate and line; ``se² = (dy/dv)² sv²/nv + (dy/dr)² sr²/nr`` with
    ``dy/dv = (y − 100)/(r − v)`` and ``dy/dr = −y/(r − v)``.  This error is common to all
    wells of the plate and line: it does not shrink with more wells, and it is no error of a
    single well.

    Parameters
    ----------
    traces : PlateTraces
    values : array, shape (wells,)
        From `measure`.
    reference : str
        Compound whose highest dose is the full response: ionomycin, a reference agonist.

    Raises
    ------
    StudyError
        If a plate and line has no vehicle or reference wells, or they do not differ.
    """
    if reference not in set(traces.compound):
        raise StudyError(
            f'no well holds the reference "{reference}". {nearest(reference, sorted(set(traces.compound)))}'
        )
    percent, error = np.full(values.size, np.nan), np.full(values.size, np.nan)
    for mine in _places(traces):
        top = _reference_wells(traces, mine, reference) & np.isfinite(values)
        low = vehicle_of(traces, mine) & np.isfinite(values)
        where = traces.place(int(mine.argmax())).partition(", well")[0]
        if not (top.any() and low.any()):
            lacks = f"wells of {reference}" if not top.any() else "vehicle wells"
            raise StudyError(f"{where}: no {lacks} to normalise to. Name them in the layout, or fit the raw response.")
        gap = float(values[top].mean() - values[low].mean())
        if gap <= 0:
            raise StudyError(f"{where}: {reference} does not rise above the vehicle, so it is no full response.")
        percent[mine] = 100 * (values[mine] - values[low].mean()) / gap
        parts = (percent[mine] - 100) / gap * _se(values[low]), -percent[mine] / gap * _se(values[top])
        error[mine] = np.hypot(*parts)
    return percent, error


def _se(values: Array) -> float:
    return float(values.std(ddof=1) / math.sqrt(values.size)) if values.size > 1 else math.nan


def _places(traces: PlateTraces) -> list[Mask]:
    """Wells of each experiment, plate and cell line that has samples; all of them where there are no samples."""
    keys = np.array(list(zip(traces.experiment, traces.plate, traces.cell_line, strict=True)))
    named = keys[traces.role == "sample"]
    wanted = {tuple(key) for key in (named if named.size else keys)}
    return [(keys == key).all(axis=1) for key in sorted(wanted)]


def _reference_wells(traces: PlateTraces, mine: Mask, reference: str) -> Mask:
    """Wells of the reference's highest dose on the same plate and line."""
    wells = np.asarray(mine & (traces.compound == reference))
    if not wells.any():
        return wells
    return np.asarray(wells & (traces.concentration == np.nanmax(traces.concentration[wells])))


@dataclass(frozen=True, eq=False)
class Responders:
    """Which wells respond more than vehicle wells do by chance.

    Parameters
    ----------
    called : array of bool, shape (wells,)
        False for wells that are no samples.
    threshold : array, shape (wells,)
        In the unit of the values.
    rate : float
        Share of wells without response that the rule calls, by its construction.
    by_rank : bool
        Whether the threshold is a rank among the vehicle wells, or else a t bound.
    n_vehicle, n_false : int
        Vehicle wells, and those of them that are called when each is judged by the others.
    """

    called: Mask
    threshold: Array
    rate: float
    by_rank: bool
    n_vehicle: int
    n_false: int

    @property
    def false_positive_rate(self) -> float:
        """Share of vehicle wells called when each is judged by the others."""
        return self.n_false / self.n_vehicle

    def text(self) -> str:
        """Rule and false-positive rate in a sentence."""
        found = (
            f"{100 * self.rate:.2g} % of wells without response would. Judged by the others, {self.n_false} of the "
            f"{self.n_vehicle} vehicle wells ({100 * self.false_positive_rate:.2g} %) respond."
        )
        if not self.by_rank:
            return f"A well responds if it exceeds the t prediction bound of the vehicle wells (normal noise): {found}"
        beaten = round(self.rate * (self.n_vehicle + 1)) - 1
        which = "all" if beaten == 0 else f"all but {beaten}"
        return f"A well responds if it stands out from the vehicle wells more than {which} of themselves do: {found}"


def responders(traces: PlateTraces, values: Array, *, level: float = 0.05) -> Responders:
    """Sample wells above what the vehicle wells of their plate and line do by chance.

    The vehicle wells go through the same window, smoothing and maximum, so what noise and
    drift raise is in the threshold.  It is the mean of the vehicle wells of the well's own
    plate and line, plus a margin pooled over all plates and lines:

    - with N vehicle wells enough for a rank, ``k = ⌊level (N + 1)⌋ ≥ 1``: the k-th largest
      distance of a vehicle well from the mean of the others of its line.  No distribution is
      assumed; a well without response exceeds it with a probability of ``k/(N + 1)`` at most;
    - with fewer: ``t(1 − level; N − L) s √(1 + 1/n)``, s pooled over the L lines with n wells
      each.  This rests on normal noise, which a maximum or a drift is not.

    Parameters
    ----------
    traces : PlateTraces
    values : array, shape (wells,)
        From `measure`.
    level : float
        Share of wells without response that may be called.

    Raises
    ------
    StudyError
        If fewer than three vehicle wells can be pooled, or a line has none.

    References
    ----------
    .. [1] Vovk, Gammerman & Shafer (2005), Algorithmic Learning in a Random World (ranks).
    """
    groups = [(mine, vehicle_of(traces, mine) & np.isfinite(values)) for mine in _places(traces)]
    sets = list({tuple(np.flatnonzero(low)): values[low] for _, low in groups}.values())
    for mine, low in groups:
        if not low.any():
            raise StudyError(f"{traces.place(int(mine.argmax()))}: no vehicle wells to judge its plate and line by.")
    n = sum(map(len, sets))
    if n - len(sets) < 2:
        raise StudyError("at least three vehicle wells are needed to say what chance does. Plate more of them.")
    threshold = np.full(values.size, np.nan)
    for mine, low in groups:
        threshold[mine] = _bound(values[low], sets, level)
    false = 0
    for k, vehicle in enumerate(sets):
        for i in range(len(vehicle)):
            others = np.delete(vehicle, i)
            false += bool(vehicle[i] > _bound(others, [*sets[:k], others, *sets[k + 1 :]], level))
    rank = _rank(sum(part.size for part in sets if part.size > 1), level)
    called = (traces.role == "sample") & (values > threshold)
    return Responders(called, threshold, rank / (n + 1) if rank else level, rank > 0, n, false)


def _rank(n: int, level: float) -> int:
    """Rank, from the top, that a share `level` of one more value exceeds; 0 where n values are too few."""
    return math.floor(level * (n + 1) + 1e-9)


def _bound(own: Array, sets: Sequence[Array], level: float) -> float:
    """Bound for one more well like `own`, its margin pooled over `sets`; infinite where nothing is left."""
    from scipy import stats

    filled = [part for part in sets if part.size > 1]
    freedom = sum(part.size - 1 for part in filled)
    if own.size == 0 or freedom < 1:
        return math.inf
    apart = np.concatenate([(part - part.mean()) * part.size / (part.size - 1) for part in filled])
    if rank := _rank(apart.size, level):
        return float(own.mean() + np.sort(apart)[-rank])
    squares = sum(float(((part - part.mean()) ** 2).sum()) for part in filled)
    quantile = float(stats.t.ppf(1 - level, freedom))
    return float(own.mean()) + quantile * math.sqrt(squares / freedom * (1 + 1 / own.size))


@dataclass(frozen=True)
class LineSummary:
    """A compound at one dose, summarised line by line, then over lines.

    `means`, `sds` and `wells` stand for each of `lines`; `mean` with its t interval is that of
    the lines' means, n the number of lines. With one line the interval is missing.
    """

    compound: str
    concentration: float
    lines: tuple[str, ...]
    means: tuple[float, ...]
    sds: tuple[float, ...]
    wells: tuple[int, ...]
    mean: float
    low: float
    high: float

    @property
    def n(self) -> int:
        """Number of lines: the sample."""
        return len(self.lines)


def summarise_lines(traces: PlateTraces, values: Array, *, level: float = 0.95) -> list[LineSummary]:
    """Each compound and dose by line, then over lines; vehicle wells are a compound of their own, without name.

    Wells of one line are repeats of one culture: they make the line's mean better known,
    and add nothing to n.
    """
    from scipy import stats

    result = []
    seen = np.isfinite(values) & np.isin(traces.role, ("sample", "vehicle"))
    doses = list(dict.fromkeys(zip(traces.compound[seen], traces.concentration[seen], strict=True)))
    for compound, dose in doses:
        mine = seen & (traces.compound == compound) & (traces.concentration == dose)
        names = list(dict.fromkeys(traces.cell_line[mine]))
        parts = [values[mine & (traces.cell_line == name)] for name in names]
        means = np.array([part.mean() for part in parts])
        sds = tuple(float(part.std(ddof=1)) if part.size > 1 else math.nan for part in parts)
        half = math.nan
        if means.size > 1:
            half = float(stats.t.ppf(0.5 + level / 2, means.size - 1)) * _se(means)
        centre = float(means.mean())
        result.append(
            LineSummary(str(compound), float(dose), tuple(map(str, names)), tuple(means.tolist()), sds,
                        tuple(part.size for part in parts), centre, centre - half, centre + half)
        )  # fmt: skip
    return result


def responses(
    traces: PlateTraces, *, statistic: Statistic = "peak", window: Window | None = None, mode: Mode = "agonist",
    reference: Sequence[str] = (), simulated: bool = False,
) -> list[Response]:  # fmt: skip
    """One Response for each compound, line and experiment, raw, with the control wells of its plates.

    Agonist mode: vehicle wells are dose zero.  Antagonist mode: wells with the agonist and
    solvent (``vehicle``) are dose zero, and wells without agonist (``untreated``) are what
    a complete inhibition leaves: the full effect, at infinite dose.  Whether the compound
    reaches it is tested by the fit, which says so where it does not.

    Parameters
    ----------
    traces : PlateTraces
        As `traces_of` gives them; not after `subtract_vehicle`, whose error is common to all wells.
    statistic : {"peak", "area", "plateau"}
    window : Window, optional
    mode : {"agonist", "antagonist"}
    reference : sequence of str
        Compounds that are references, and get no curve.
    simulated : bool

    Raises
    ------
    StudyError
        If nothing is left to fit, or a reference is not on the plates.
    """
    if mode not in ("agonist", "antagonist"):
        raise StudyError(f'unknown mode "{mode}". {nearest(mode, ["agonist", "antagonist"])}')
    if traces.quantity.endswith("above vehicle"):
        raise StudyError(
            "the vehicle is taken off already: fit the traces as they were read, with their vehicle wells."
        )
    known = sorted(set(traces.compound) - {""})
    strange = [name for name in reference if name not in known]
    if strange:
        raise StudyError(f'no well holds the reference "{strange[0]}". {nearest(strange[0], known)}')
    values = measure(traces, statistic, window)
    samples = (traces.role == "sample") & ~np.isin(traces.compound, list(reference))
    keys = [
        (str(c), str(line), str(e))
        for c, line, e in zip(traces.compound, traces.cell_line, traces.experiment, strict=True)
    ]
    wanted = list(dict.fromkeys(key for key, mine in zip(keys, samples, strict=True) if mine))
    if not wanted:
        raise StudyError("the layout names no sample well besides the references: there is nothing to fit.")
    same = np.array([wanted.index(key) if key in wanted else -1 for key in keys])
    quantity = f"{statistic} of {traces.quantity}"
    return [
        _response(traces, values, samples & (same == place), mode, quantity, statistic, simulated)
        for place in range(len(wanted))
    ]


def _response(
    traces: PlateTraces, values: Array, mine: Mask, mode: Mode, quantity: str, statistic: Statistic, simulated: bool
) -> Response:
    """Wells of one compound, line and experiment with the controls of their plates."""
    vehicle, full = np.zeros_like(mine), np.zeros_like(mine)
    for plate in np.unique(traces.plate[mine]):
        part = mine & (traces.plate == plate)
        vehicle |= vehicle_of(traces, part)
        if mode == "antagonist":
            full |= vehicle_of(traces, part, "untreated")
    first, notes = int(mine.argmax()), list(traces.notes)
    plates = np.unique(traces.plate[mine])
    if plates.size > 1:
        notes.append(f"Wells of {plates.size} plates of this experiment are fitted together.")
    if not vehicle.any():
        notes.append("There are no vehicle wells: the plateau at dose zero rests on the lowest doses.")
    if mode == "antagonist" and not full.any():
        notes.append("There are no wells without agonist: the lower plateau rests on the highest doses.")
    rows = np.concatenate([np.flatnonzero(kind) for kind in (mine, vehicle, full)])
    role = ["sample"] * int(mine.sum()) + ["vehicle"] * int(vehicle.sum()) + ["kill"] * int(full.sum())
    dose = np.where(np.array(role) == "sample", traces.concentration[rows], 0.0)
    dose[np.array(role) == "kill"] = np.nan
    return Response.of(
        dose, values[rows], role=role, well=traces.well[rows].tolist(), plate=traces.plate[rows].tolist(),
        compound=str(traces.compound[first]), cell_line=str(traces.cell_line[first]),
        experiment=str(traces.experiment[first]), quantity=quantity,
        signal_unit="s" if statistic == "area" else "", simulated=simulated, notes=tuple(notes),
    )  # fmt: skip
