"""Plates of one experiment into one value: technical repeats are averaged before experiments are counted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from halfmax.errors import FitError
from halfmax.estimate.combining import Scale, experiment_of, name_of, spread_parameter
from halfmax.estimate.result import Estimate, Operator, Parameter

__all__ = ["average_plates"]


def average_plates(
    fits: Sequence[Estimate], *, parameter: str = "ec50", level: float = 0.95, experiments: Sequence[str] = ()
) -> tuple[Estimate, ...]:
    """One estimate for each experiment, from the fits of its plates.

    A plate has its own controls and its own scale, so each is fitted alone; the
    logarithms of the EC50s are then averaged within the experiment. How much plates of
    one experiment differ is pooled over all experiments, ``s² = sum (ln ec50 - mean of
    its experiment)² / sum (plates - 1)``, and the interval of an experiment with m
    plates is ``mean ± t(df) * s / sqrt(m)``. That is the error *within* an experiment:
    the experiments themselves go to `combine`, which counts them and not the plates.

    Parameters
    ----------
    fits : sequence of Estimate
        One for each plate.
    parameter : str
    level : float
    experiments : sequence of str
        Name of the experiment of each fit, where their responses do not say.

    Returns
    -------
    tuple of Estimate
        In order of appearance; `parts` are the plates, and ``sd_plate_log10`` is s in
        decades. Where no experiment has two plates the parameter is that of the plate.
        A plate that gives only a bound makes its experiment a bound: that of the mean
        of the ends of the intervals.

    Raises
    ------
    FitError
        If there is no fit, or an experiment has no name where others have.

    Examples
    --------
    >>> from halfmax.estimate import Estimate, Parameter, combine
    >>> def plate(v):
    ...     return Estimate("hill4", (Parameter("ec50", v, 0.9 * v, 1.1 * v, unit="M", best=v, se=0.05, log=True),))
    >>> days = average_plates([plate(v) for v in (4e-6, 4.4e-6, 7e-6, 6.4e-6)], experiments=["1", "1", "2", "2"])
    >>> [day["ec50"].text() for day in days]
    ['4.20 µM (3.44–5.12)', '6.7 µM (5.5–8.2)']
    """
    if not fits:
        raise FitError("average_plates: there is no plate to average.")
    names = list(experiments) or [experiment_of(fit) for fit in fits]
    if len(names) != len(fits):
        raise FitError(f"average_plates: {len(fits)} fits but {len(names)} names of experiments. Give one a fit.")
    if not all(names):
        raise FitError(
            "average_plates: nothing says of which experiment plate "
            f"{names.index('') + 1} is. Give the names as experiments=[…]."
        )
    groups = [[fit for fit, own in zip(fits, names, strict=True) if own == name] for name in dict.fromkeys(names)]
    sd, df = _within(groups, parameter)
    return tuple(
        _average(name, group, parameter, sd, df, level)
        for name, group in zip(dict.fromkeys(names), groups, strict=True)
    )


def _within(groups: Sequence[Sequence[Estimate]], parameter: str) -> tuple[float, int]:
    """Pooled standard deviation between plates of an experiment, on the scale of the parameter, and its df."""
    squares, df = 0.0, 0
    for group in groups:
        known = [fit[parameter] for fit in group if fit[parameter].operator == "="]
        if len(known) > 1:
            values = Scale(known[0].log).values(known)
            squares += float(((values - values.mean()) ** 2).sum())
            df += len(known) - 1
    return (math.sqrt(squares / df) if df else math.nan), df


def _average(name: str, group: Sequence[Estimate], parameter: str, sd: float, df: int, level: float) -> Estimate:
    """One experiment."""
    parts = [fit[parameter] for fit in group]
    scale = Scale(parts[0].log)
    known = [part for part in parts if part.operator != "?"]
    operators = {part.operator for part in known} - {"="}
    notes: tuple[str, ...] = ()
    if known and len(known) < len(parts):
        notes = (f"{len(parts) - len(known)} of {len(parts)} plates do not identify {name_of(parameter)}.",)
    if not known or len(operators) > 1:
        mean = scale.unknown(parts[0], "mean of plates")
        status = f"open: the plates of experiment {name} do not identify {name_of(parameter)}."
    elif operators:
        mean = _bound(known, ">" if ">" in operators else "<", scale)
        status = f"open: a plate of experiment {name} gives only a bound of {name_of(parameter)}."
    else:
        mean, status = _mean(known, sd, df, level, scale), "ok"
    spread = spread_parameter(scale.named("sd_plate"), scale.decades(sd), df, level, method="between plates")
    who = group[0].label.split(", experiment")[0]
    return Estimate(
        "mean of plates", (mean, *((spread,) if df else ())), level, len(group), df=df, status=status, notes=notes,
        parts=tuple(group), label=f"{who}, experiment {name}" if who else f"experiment {name}",
    )  # fmt: skip


def _mean(known: Sequence[Parameter], sd: float, df: int, level: float, scale: Scale) -> Parameter:
    """Mean of plates that all have both ends, with the pooled error between plates."""
    from scipy import stats

    first = known[0]
    if not df:
        return first
    mean, error = float(scale.values(known).mean()), sd / math.sqrt(len(known))
    half = float(stats.t.ppf(0.5 + level / 2, df)) * error
    said = f"mean of {len(known)} plates" if len(known) > 1 else "one plate"
    return scale.interval(first, mean, half, error, said)


def _bound(known: Sequence[Parameter], operator: Operator, scale: Scale) -> Parameter:
    """Mean of the lower (or upper) ends: no plate is taken as better known than it is."""
    sides = np.array([(part.low if operator == ">" else part.high, part.best) for part in known])
    end, middle = (np.log(sides) if scale.log else sides).mean(axis=0)
    return scale.bound(known[0], operator, float(end), float(middle), "mean of the ends")
