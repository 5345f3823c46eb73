"""Viability plates (MTT and its kin): background, blanks, the compound's own colour, plate quality, responses.

Nothing is normalised before the fit: `responses` hands on raw signals together with
the control wells, and `percent_of_vehicle` exists for the eye only.

MTT measures the reduction of a dye, not the number of living cells: a compound that
raises reduction, or reduces the dye itself, moves the signal without moving viability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from halfmax.errors import StudyError, nearest
from halfmax.response import Response
from halfmax.table import AssayTable
from halfmax.wells import edge_distance, plate_shape, row_column

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Effect",
    "PlateQuality",
    "Suggestion",
    "correct",
    "percent_of_vehicle",
    "quality",
    "responses",
    "z_prime",
]

Array = NDArray[np.float64]
#: Share of the window between vehicle and blank above which the compound's own signal is called not small.
COLOUR_WARNING = 0.05
#: Wells that a row or column must share with other rows or columns of the same dose to be judged.
_WELLS_A_LEVEL = 3


@dataclass(frozen=True)
class Effect:
    """A systematic effect of position: its size in percent of the vehicle signal, and the p-value of its F-test."""

    name: str
    percent: float
    p: float


@dataclass(frozen=True)
class Suggestion:
    """A well that differs from its replicates more than chance explains. Never dropped, only shown."""

    plate: str
    well: str
    signal: float
    expected: float
    q: float


@dataclass(frozen=True)
class PlateQuality:
    """How good a plate is.

    Parameters
    ----------
    plate, cell_line, experiment : str
    z_prime, z_prime_low, z_prime_high : float
        Z′ of vehicle against kill control (or blank) with its 95 % interval.
    signal_to_background : float
        Mean vehicle over mean full-effect signal.
    cv_vehicle, cv_full : float
        Coefficients of variation, percent.
    n_vehicle, n_full : int
    full_role : str
        ``kill`` or ``blank``: what the vehicle is set against.
    effects : tuple of Effect
        Edge, rows, columns and drift, where the layout lets them be told from the doses.
    suggestions : tuple of Suggestion
    n_flagged : int
        Wells that the reader flagged.
    notes : tuple of str
    """

    plate: str
    cell_line: str
    experiment: str
    z_prime: float
    z_prime_low: float
    z_prime_high: float
    signal_to_background: float
    cv_vehicle: float
    cv_full: float
    n_vehicle: int
    n_full: int
    full_role: str
    effects: tuple[Effect, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()
    n_flagged: int = 0
    notes: tuple[str, ...] = field(default=())

    @property
    def verdict(self) -> str:
        """In one word, by the usual cuts of Z′ [1]_.

        References
        ----------
        .. [1] Zhang, Chung & Oldenburg (1999), J Biomol Screen 4:67, doi 10.1177/108705719900400206.
        """
        if math.isnan(self.z_prime):
            return "no controls"
        if self.z_prime >= 0.5:
            return "good"
        return "marginal" if self.z_prime > 0 else "poor"


def correct(table: AssayTable, *, signal: str | None = None, background: str | None = None) -> AssayTable:
    """One channel: the signal, less the background wavelength where one is named.

    Parameters
    ----------
    table : AssayTable
        Endpoint readings.
    signal, background : str, optional
        Names of channels. `signal` may be left out where there is only one channel.

    Returns
    -------
    AssayTable
        With one channel, such as ``570 − 660``. A well whose signal or background is
        missing is missing, with the flag of whichever is.

    Raises
    ------
    StudyError
        If a channel is not in the table, or the choice is not unique.

    Examples
    --------
    >>> table = AssayTable.of({"plate": ["p", "p"], "well": ["A1", "A1"], "channel": ["570", "660"],
    ...     "signal": [0.8, 0.1]})
    >>> correct(table, signal="570", background="660").frame["signal"].round(3).tolist()
    [0.7]
    """
    channels = table.channels
    if signal is None:
        if len(channels) != 1:
            raise StudyError(
                f"the files hold the channels {', '.join(channels)}: say in [viability] which is the signal."
            )
        signal = channels[0]
    for name in filter(None, (signal, background)):
        if name not in channels:
            raise StudyError(f'no reading has the channel "{name}". {nearest(name, channels)}')
    top = table.where(channel=signal).frame
    if background is None:
        return AssayTable(top, table.sources)
    under = table.where(channel=background).frame.set_index(["experiment", "plate", "well"])
    under = under[["signal", "flag"]].rename(columns={"signal": "signal_under", "flag": "flag_under"})
    joined = top.join(under, on=["experiment", "plate", "well"])
    flag = joined["flag"].where(joined["flag"] != "", joined["flag_under"].fillna("empty"))
    value = joined["signal"] - joined["signal_under"]
    corrected = top.assign(signal=value, channel=f"{signal} − {background}", flag=flag.where(value.isna(), top["flag"]))
    return AssayTable(corrected, table.sources)


def percent_of_vehicle(table: AssayTable) -> pd.Series:
    """Signal as percent of the window between blank (or zero) and vehicle of the well's plate; for display only."""
    import pandas as pd

    frame = table.frame
    result = pd.Series(np.nan, index=frame.index)
    for _, plate in frame.groupby(["experiment", "plate"]):
        blank = plate.loc[plate["role"] == "blank", "signal"].mean()
        zero = 0.0 if math.isnan(blank) else float(blank)
        for line, part in plate.groupby("cell_line"):
            lines = [line, ""] if line else list(plate["cell_line"].unique())
            mine = (plate["role"] == "vehicle") & plate["cell_line"].isin(lines)
            vehicle = plate.loc[mine, "signal"].mean()
            if vehicle > zero:
                result.loc[part.index] = 100.0 * (part["signal"] - zero) / (vehicle - zero)
    return result


def responses(
    table: AssayTable, *, exclusions: dict[tuple[str, str, str], str] | None = None, zero: float | None = None,
    quantity: str = "absorbance", simulated: bool = False,
) -> list[Response]:  # fmt: skip
    """One Response for each compound, line, time and experiment, with the control wells of its plates.

    Wells of several plates of one experiment stand in one Response, which says so:
    the experiment is the sample.

    Parameters
    ----------
    table : AssayTable
        One channel (see `correct`), with roles.
    exclusions : dict, optional
        (experiment, plate, well) to reason.
    zero : float, optional
        Signal of no cells at all, where it is known and no blanks were plated.
    quantity : str
        For axes and messages.
    simulated : bool

    Raises
    ------
    StudyError
        If there is no sample well.
    """  # fmt: skip
    frame = table.frame.copy()
    reasons = exclusions or {}
    frame["excluded"] = [
        reasons.get(key, "") for key in zip(frame["experiment"], frame["plate"], frame["well"], strict=True)
    ]
    frame, notes = _without_colour(frame)
    samples = frame[frame["role"] == "sample"]
    if samples.empty:
        raise StudyError("the layouts name no sample well: there is nothing to fit.")
    unit = "OD" if quantity == "absorbance" else ""
    result = []
    for key, part in samples.groupby(["compound", "cell_line", "time_s", "experiment"], sort=False, dropna=False):
        compound, cell_line, time_s, experiment = str(key[0]), str(key[1]), float(part["time_s"].iloc[0]), str(key[3])
        wells, remarks = _with_controls(frame, part)
        result.append(
            Response.of(
                wells["concentration_M"], wells["signal"], role=wells["role"].tolist(), well=wells["well"].tolist(),
                plate=wells["plate"].tolist(), excluded=wells["excluded"].tolist(), compound=compound,
                cell_line=cell_line, experiment=experiment, time_s=time_s, quantity=quantity, signal_unit=unit,
                zero=zero, simulated=simulated,
                notes=tuple(notes.get((compound, plate), "") for plate in part["plate"].unique()
                            if (compound, plate) in notes) + remarks,
            )
        )  # fmt: skip
    return result


def _with_controls(frame: pd.DataFrame, samples: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Sample wells with vehicle, kill and blank wells of the same plates, and what is to be said of the plates."""
    import pandas as pd

    plates, experiment = list(samples["plate"].unique()), samples["experiment"].iloc[0]
    line = samples["cell_line"].iloc[0]
    here = frame["plate"].isin(plates) & (frame["experiment"] == experiment)
    same_line = frame["cell_line"].isin([line, ""])
    controls = frame[here & (frame["role"].isin(["vehicle", "kill"]) & same_line | (frame["role"] == "blank"))]
    remarks: list[str] = []
    if len(plates) > 1:
        remarks.append(f"Wells of {len(plates)} plates of this experiment are fitted together.")
        vehicle = controls[controls["role"] == "vehicle"].groupby("plate")["signal"].mean()
        if len(vehicle) > 1 and vehicle.max() > 1.1 * vehicle.min():
            remarks.append(
                f"Their vehicle signals differ by {100 * (vehicle.max() / vehicle.min() - 1):.0f} %, "
                "which widens the interval."
            )
    if not (controls["role"] == "vehicle").any() and not (samples["concentration_M"] == 0).any():
        remarks.append("There are no vehicle wells: the upper plateau rests on the lowest doses.")
    return pd.concat([samples, controls]), tuple(remarks)


def _without_colour(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[tuple[str, str], str]]:
    """Samples less the signal of their compound without cells, and a note where that is not small.

    The compound's own signal above the blank is taken as proportional to its
    concentration (Beer–Lambert; first-order reduction), unless the wells contradict
    that, in which case the mean at each concentration is subtracted.
    """
    notes: dict[tuple[str, str], str] = {}
    own = frame[(frame["role"] == "compound_blank") & frame["signal"].notna() & (frame["excluded"] == "")]
    for (experiment, plate, compound), part in own.groupby(["experiment", "plate", "compound"]):
        here = (frame["plate"] == plate) & (frame["experiment"] == experiment)
        blank = frame.loc[here & (frame["role"] == "blank"), "signal"].mean()
        vehicle = frame.loc[here & (frame["role"] == "vehicle"), "signal"].mean()
        if math.isnan(blank):
            raise StudyError(
                f"plate {plate}: compound without cells needs blank wells (medium, no cells) to be set against."
            )
        added = _colour(part["concentration_M"].to_numpy(), part["signal"].to_numpy() - blank)
        mine = here & (frame["role"] == "sample") & (frame["compound"] == compound)
        doses = frame.loc[mine, "concentration_M"].to_numpy()
        frame.loc[mine, "signal"] -= added(doses)
        share = float(np.max(added(doses))) / (vehicle - blank) if vehicle > blank else math.nan
        if share > COLOUR_WARNING:
            notes[(str(compound), str(plate))] = (
                f"{compound} without cells gives up to {100 * share:.0f} % of the window between blank and vehicle on "
                f"plate {plate}: colour or direct reduction of the dye. Subtracted."
            )
    return frame, notes


def _colour(concentration: Array, excess: Array) -> Any:
    """Function of concentration that gives the compound's own signal."""
    from scipy import stats

    slope = float((concentration * excess).sum() / max((concentration**2).sum(), np.finfo(float).tiny))
    levels, place = np.unique(concentration, return_inverse=True)
    means = np.bincount(place, excess) / np.bincount(place)
    pure = float(((excess - means[place]) ** 2).sum())
    rss = float(((excess - slope * concentration) ** 2).sum())
    freedom, rest = levels.size - 1, excess.size - levels.size
    bent = freedom > 0 and rest > 0 and pure > 0
    if bent and stats.f.sf((rss - pure) / freedom / (pure / rest), freedom, rest) < 0.01:
        return lambda dose: np.interp(dose, levels, means)
    return lambda dose: slope * dose


def z_prime(vehicle: Array, full: Array, *, level: float = 0.95) -> tuple[float, float, float]:
    """Z′ of two controls with its interval.

    ``Z′ = 1 - 3 (SD1 + SD2) / |mean1 - mean2|``; the interval is that of the
    logarithm of the ratio by the delta method with a t quantile.

    Parameters
    ----------
    vehicle, full : array, shape (n,), unit of the signal
        At least two wells each.

    Returns
    -------
    z_prime, low, high : float
        NaN where a control has fewer than two wells.

    References
    ----------
    .. [1] Zhang, Chung & Oldenburg (1999), J Biomol Screen 4:67, doi 10.1177/108705719900400206.

    Examples
    --------
    >>> [round(v, 2) for v in z_prime(np.array([1.0, 1.1, 0.9, 1.0]), np.array([0.1, 0.12, 0.08, 0.1]))]
    [0.67, 0.23, 0.86]
    """
    from scipy import stats

    if vehicle.size < 2 or full.size < 2:
        return math.nan, math.nan, math.nan
    sd = np.array([vehicle.std(ddof=1), full.std(ddof=1)])
    n = np.array([vehicle.size, full.size])
    window = abs(float(vehicle.mean() - full.mean()))
    if window == 0:
        return -math.inf, -math.inf, -math.inf
    ratio = 3.0 * float(sd.sum()) / window
    if ratio == 0:
        return 1.0, 1.0, 1.0
    variance = float((sd**4 / (2 * (n - 1) * np.maximum(sd, 1e-300) ** 2)).sum() / sd.sum() ** 2)
    variance += float((sd**2 / n).sum()) / window**2
    half = float(stats.t.ppf(0.5 + level / 2, n.sum() - 2)) * math.sqrt(variance)
    return 1.0 - ratio, 1.0 - ratio * math.exp(half), 1.0 - ratio * math.exp(-half)


def quality(table: AssayTable, *, exclusions: dict[tuple[str, str, str], str] | None = None) -> list[PlateQuality]:
    """Quality of each plate of a table with one channel and roles."""
    reasons = exclusions or {}
    result = []
    for (experiment, plate), part in table.frame.groupby(["experiment", "plate"], sort=False):
        kept = np.array([(experiment, plate, well) not in reasons for well in part["well"]])
        result.append(_plate_quality(str(experiment), str(plate), part[kept]))
    return result


def _plate_quality(experiment: str, plate: str, part: pd.DataFrame) -> PlateQuality:
    read = part[part["signal"].notna()]
    vehicle = read.loc[read["role"] == "vehicle", "signal"].to_numpy()
    kill = read.loc[read["role"] == "kill", "signal"].to_numpy()
    blank = read.loc[read["role"] == "blank", "signal"].to_numpy()
    full, role = (kill, "kill") if kill.size >= 2 else (blank, "blank")
    z, low, high = z_prime(vehicle, full)
    notes = []
    if vehicle.size < 2:
        notes.append("fewer than two vehicle wells")
    if full.size < 2:
        notes.append("fewer than two kill or blank wells: no Z′")
    background = float(full.mean()) if full.size else math.nan
    lines = [line for line in part["cell_line"].unique() if line]
    return PlateQuality(
        plate, ", ".join(lines), experiment, z, low, high,
        float(vehicle.mean() / background) if vehicle.size and background > 0 else math.nan,
        _cv(vehicle), _cv(full), int(vehicle.size), int(full.size), role,
        _effects(read), _suggestions(plate, read), int((part["flag"] != "").sum()), tuple(notes),
    )  # fmt: skip


def _cv(values: Array) -> float:
    """Coefficient of variation in percent."""
    if values.size < 2 or values.mean() == 0:
        return math.nan
    return float(100.0 * values.std(ddof=1) / abs(values.mean()))


def _groups(read: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    """Wells with living cells, and the number of the replicate group each belongs to."""
    cells = read[read["role"].isin(["sample", "vehicle", "untreated"])]
    keys = ["role", "compound", "cell_line", "time_s", "concentration_M"]
    number = cells.groupby(keys, dropna=False).ngroup()
    return cells, np.asarray(number, dtype=np.intp)


def _effects(read: pd.DataFrame) -> tuple[Effect, ...]:
    """F-tests of edge, rows, columns and drift on top of the replicate groups.

    An effect that the layout confounds with the doses (a column that holds one dose
    only) cannot be told from them and is left out. Drift is the change from the first
    well of the plate to the last, row by row.
    """
    cells, place = _groups(read)
    vehicle = cells.loc[cells["role"] == "vehicle", "signal"].mean()
    if len(cells) < 8 or not vehicle > 0:
        return ()
    shape = plate_shape(read["well"])
    positions = np.array([row_column(well) for well in cells["well"]])
    edge = np.array([edge_distance(well, shape) == 0 for well in cells["well"]], dtype=float)
    order = positions[:, 0] * shape[1] + positions[:, 1]
    share = order / (shape[0] * shape[1] - 1)
    groups = np.eye(place.max() + 1)[place]
    y = cells["signal"].to_numpy()
    candidates = {
        "edge": edge[:, None],
        "rows": np.eye(shape[0])[positions[:, 0]],
        "columns": np.eye(shape[1])[positions[:, 1]],
        "drift": share[:, None],
    }
    found = (_effect(name, groups, extra, y, float(vehicle)) for name, extra in candidates.items())
    return tuple(effect for effect in found if effect is not None)


def _effect(name: str, groups: Array, extra: Array, y: Array, vehicle: float) -> Effect | None:
    """Test of one set of columns beside the group means; None where the layout confounds them."""
    from scipy import stats

    inside = extra - groups @ np.linalg.lstsq(groups, extra, rcond=None)[0]
    if extra.shape[1] > 1:
        varied = np.abs(inside).max(axis=1) > 1e-8
        extra = extra[:, extra[varied].sum(0) >= _WELLS_A_LEVEL]
        if extra.shape[1] < 2:
            return None
        inside = extra - groups @ np.linalg.lstsq(groups, extra, rcond=None)[0]
    rank = int(np.linalg.matrix_rank(inside, tol=1e-8))
    rest = y.size - groups.shape[1] - rank
    if rank < 1 or rest < 3:
        return None
    residual = y - groups @ np.linalg.lstsq(groups, y, rcond=None)[0]
    coefficients = np.linalg.lstsq(inside, residual, rcond=None)[0]
    explained = inside @ coefficients
    rss = float(((residual - explained) ** 2).sum())
    if rss <= 0:
        return None
    statistic = float((explained**2).sum()) / rank / (rss / rest)
    size = float(np.ptp(coefficients)) if extra.shape[1] > 1 else float(coefficients[0])
    return Effect(name, 100.0 * size / vehicle, float(stats.f.sf(statistic, rank, rest)))


def _suggestions(plate: str, read: pd.DataFrame) -> tuple[Suggestion, ...]:
    """Wells too far from their replicates (false-discovery rate 1 %), for a person to look at.

    Each well is set against the mean of the other wells of its group by the externally
    studentised residual of the group means [1]_, so the well itself does not blur the
    scale it is judged by.

    References
    ----------
    .. [1] Cook & Weisberg (1982), Residuals and Influence in Regression, section 2.2.
    """
    from scipy import stats

    cells, place = _groups(read)
    y = cells["signal"].to_numpy()
    counts = np.bincount(place)
    keep = counts[place] >= 3
    freedom = int(keep.sum() - (counts >= 3).sum()) - 1
    if freedom < 3:
        return ()
    means = np.bincount(place, y) / counts
    residual, rest = (y - means[place])[keep], 1.0 - 1.0 / counts[place][keep]
    rss = float((residual**2).sum())
    spread = np.sqrt(np.maximum(rss - residual**2 / rest, 0.0) / freedom)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(spread > 0, residual / (spread * np.sqrt(rest)), 0.0)
    q = stats.false_discovery_control(2 * stats.t.sf(np.abs(t), freedom), method="bh")
    others = ((means * counts)[place] - y) / np.maximum(counts[place] - 1, 1)
    wells = cells["well"].to_numpy()
    return tuple(
        Suggestion(plate, str(wells[keep][i]), float(y[keep][i]), float(others[keep][i]), float(q[i]))
        for i in np.flatnonzero(q < 0.01)
    )
