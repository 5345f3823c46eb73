"""Join independent experiments into one value.

The experiment is the sample, never the well: between-experiment variation is what
a new experiment would meet, and pooling wells hides it (three experiments with a
standard deviation of 0.1 log between them: pooled wells cover 73 % of the time,
the two-stage interval 95 %).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from halfmax.errors import FitError, nearest
from halfmax.estimate.random_effects import RandomEffects, random_effects
from halfmax.estimate.result import Estimate, Operator, Parameter
from halfmax.units import p_value

__all__ = ["Method", "Scale", "combine", "experiment_of", "is_combination", "name_of", "spread_parameter"]

Array = NDArray[np.float64]
#: Ways to join experiments.
Method = Literal["two-stage t", "random effects"]
_LABELS = {"ec50": "EC50", "ec50_absolute": "the absolute EC50"}


def name_of(parameter: str) -> str:
    """Name of a parameter for people."""
    return _LABELS.get(parameter, parameter)


def experiment_of(estimate: Estimate) -> str:
    """Name of the experiment that an estimate is of; empty where nothing says."""
    if estimate.response is not None:
        return estimate.response.experiment
    return experiment_of(estimate.parts[0]) if estimate.parts else ""


def is_combination(estimate: Estimate) -> bool:
    """Whether an estimate was joined from experiments by `combine`."""
    return estimate.model in get_args(Method)


@dataclass(frozen=True)
class Scale:
    """The scale on which a parameter is averaged: logarithms for concentrations, else the numbers themselves."""

    log: bool

    def values(self, parts: Sequence[Parameter]) -> Array:
        """Estimates on the scale."""
        found = np.array([part.value for part in parts], dtype=float)
        return np.log(found) if self.log else found

    def natural(self, value: float) -> float:
        """Back from the scale."""
        return math.exp(value) if self.log else value

    def decades(self, spread: float) -> float:
        """A standard deviation on the scale, in decades where that is the logarithm."""
        return spread / math.log(10) if self.log else spread

    def named(self, name: str) -> str:
        """Name of a standard deviation: in decades it says so."""
        return f"{name}_log10" if self.log else name

    def interval(self, like: Parameter, mean: float, half: float, error: float, method: str) -> Parameter:
        """A parameter like another, of a mean on the scale and the half width of its interval."""
        value, ends = self.natural(mean), (self.natural(mean - half), self.natural(mean + half))
        return Parameter(like.name, value, *ends, "=", like.unit, value, error, self.log, method)

    def bound(
        self, like: Parameter, operator: Operator, end: float, mean: float, method: str, error: float = math.nan
    ) -> Parameter:
        """A parameter of which one end is known; both numbers on the scale."""
        bound, least = self.natural(end), 0.0 if self.log else -math.inf
        low, high = (bound, math.inf) if operator == ">" else (least, bound)
        return Parameter(
            like.name, bound, low, high, operator, like.unit, self.natural(mean), error, self.log, method
        )  # fmt: skip

    def unknown(self, like: Parameter, method: str) -> Parameter:
        """A parameter of which nothing is known."""
        least = 0.0 if self.log else -math.inf
        return Parameter(like.name, math.nan, least, math.inf, "?", like.unit, log=self.log, method=method)


@dataclass(frozen=True)
class _Joined:
    """What a method makes of the experiments: the parameter, what comes with it, and words."""

    parameter: Parameter
    status: str
    extra: tuple[Parameter, ...] = ()
    notes: tuple[str, ...] = ()


def combine(
    estimates: Sequence[Estimate],
    *,
    parameter: str = "ec50",
    level: float = 0.95,
    method: Method = "two-stage t",
    label: str = "",
) -> Estimate:
    """One value from independent experiments, with the interval that a new sample of experiments would meet.

    ``two-stage t`` gives every experiment the same weight: ``mean(ln ec50) ± t(k - 1) *
    SD(ln ec50) / sqrt(k)`` over k experiments. ``random effects`` weighs them by
    ``1 / (se² + tau²)``, tau² by REML, with the interval of Hartung and Knapp, for
    experiments of very different size (see `random_effects`). Parameters that are not
    estimated on their logarithm (such as plateaus) are averaged as they are.

    Parameters
    ----------
    estimates : sequence of Estimate
        One for each independent experiment.
    parameter : str
        Which of their parameters.
    level : float
    method : {"two-stage t", "random effects"}
    label : str
        Who and what, for tables and messages.

    Returns
    -------
    Estimate
        With the parameter; ``sd_log10`` (between experiments, in decades, with its
        chi-square interval) and ``tau_log10`` (the same less the experiments' own
        errors); ``i_squared`` (share of it that these errors do not explain);
        ``ec50_next``, the interval in which the next experiment is expected (of the
        value that it would measure for ``two-stage t``, of its true value for
        ``random effects``); ``sd_plate_log10`` where the experiments are means of
        plates. Where an experiment gives only a bound, so does the combination.

    Raises
    ------
    FitError
        If there is no experiment, the units differ, the method is unknown, or random
        effects are asked of experiments without standard errors.

    References
    ----------
    .. [1] Higgins & Thompson (2002), Stat Med 21:1539, doi 10.1002/sim.1186.
    .. [2] Higgins, Thompson & Spiegelhalter (2009), J R Stat Soc A 172:137, doi 10.1111/j.1467-985X.2008.00552.x.

    Examples
    --------
    >>> from halfmax.estimate import Estimate, Parameter
    >>> def one(v):
    ...     return Estimate("hill4", (Parameter("ec50", v, 0.9 * v, 1.1 * v, unit="M", best=v, se=0.05, log=True),))
    >>> combine([one(4e-6), one(5e-6), one(6e-6)])["ec50"].text()
    '4.9 µM (3.0–8.2)'
    """
    parts = _parts(estimates, parameter, method, label)
    known = [part for part in parts if part.operator != "?"]
    notes: list[str] = []
    if len(known) < len(parts):
        notes.append(f"{len(parts) - len(known)} of {len(parts)} experiments do not identify {name_of(parameter)}.")
    joined = _join(known, parts[0], len(parts), level, method)
    status = joined.status
    if len(estimates) == 1 and joined.parameter.operator != "=":
        status, notes = estimates[0].status, []
    spread = _heterogeneity([part for part in known if part.operator == "="], level)
    if not math.isnan(spread.p) and spread.p < 0.05:
        notes.append(
            f"The experiments differ by more than their own errors (Q test, {p_value(spread.p)}; "
            f"I² = {100 * spread.i_squared.value:.0f} %)."
        )
    found = {p.name: p for p in (joined.parameter, *spread.parameters, *joined.extra, *_plates(estimates, level))}
    return Estimate(
        method, tuple(found.values()), level, len(parts), df=max(len(known) - 1, 0), status=status,
        notes=(*notes, *joined.notes), parts=tuple(estimates), label=label,
    )  # fmt: skip


def _parts(estimates: Sequence[Estimate], parameter: str, method: str, label: str) -> list[Parameter]:
    """The parameter of each experiment, of one unit."""
    who = label or "combine"
    if method not in get_args(Method):
        raise FitError(f'{who}: no method "{method}". {nearest(method, get_args(Method))}')
    if not estimates:
        raise FitError(f"{who}: there is no experiment to combine.")
    parts = [estimate[parameter] for estimate in estimates]
    if any(part.unit != parts[0].unit for part in parts):
        raise FitError(f"{who}: {parameter} comes in different units: {sorted({p.unit for p in parts})}.")
    return parts


def _join(known: Sequence[Parameter], first: Parameter, asked: int, level: float, method: Method) -> _Joined:
    """The experiments by one of the methods, or the bound that they give together."""
    label, scale = name_of(first.name), Scale(first.log)
    if not known:
        return _Joined(scale.unknown(first, method), f"open: none of {asked} experiments identifies {label}.")
    operators = {part.operator for part in known} - {"="}
    if operators == {"<", ">"}:
        status = f"open: some experiments bound {label} only from above, others only from below."
        return _Joined(scale.unknown(first, method), status)
    if len(known) == 1:
        status = "ok, one experiment: the interval is that within the experiment, and says nothing of the next one"
        if known[0].operator != "=":
            status = f"open: the one experiment that says anything gives only a bound of {label}"
        return _Joined(replace(known[0], method="within one experiment"), status)
    if operators:
        return _bounded(known, ">" if operators == {">"} else "<", level, method)
    return _two_stage(known, level) if method == "two-stage t" else _random(known, level)


def _two_stage(known: Sequence[Parameter], level: float) -> _Joined:
    scale, first = Scale(known[0].log), known[0]
    logs = scale.values(known)
    mean, error, half = _t_interval(logs, level)
    joined = scale.interval(first, mean, half, error, "two-stage t")
    return _Joined(joined, "ok", (_next(first, scale, mean, half * math.sqrt(logs.size + 1.0)),))


def _random(known: Sequence[Parameter], level: float) -> _Joined:
    from scipy import stats

    scale, first = Scale(known[0].log), known[0]
    found = random_effects(scale.values(known), [part.se for part in known], level=level)
    half = float(stats.t.ppf(0.5 + level / 2, len(known) - 1)) * found.error
    joined = scale.interval(first, found.mean, half, found.error, "random effects, Hartung–Knapp t")
    reach = math.inf
    if len(known) > 2:
        reach = float(stats.t.ppf(0.5 + level / 2, len(known) - 2)) * math.sqrt(found.tau2 + found.error**2)
    return _Joined(joined, "ok", (_tau(scale, found), _next(first, scale, found.mean, reach)), _words(found))


def _words(found: RandomEffects) -> tuple[str, ...]:
    """What has to be said of a variance between experiments of zero, and of a factor below 1."""
    notes = []
    if found.tau2 == 0:
        notes.append("The variance between experiments is estimated as zero, which few experiments cannot show.")
    if found.factor < 1 - 1e-6:
        notes.append(f"The factor of Hartung and Knapp is {found.factor:.2g}, held at 1.")
    return tuple(notes)


def _bounded(known: Sequence[Parameter], operator: Operator, level: float, method: Method) -> _Joined:
    """The bound that experiments give together of which some are bounds: an end of the t interval of all."""
    scale, first = Scale(known[0].log), known[0]
    mean, error, half = _t_interval(scale.values(known), level)
    end = mean - half if operator == ">" else mean + half
    joined = scale.bound(first, operator, end, mean, "two-stage t of the bounds", error)
    censored = sum(part.operator == operator for part in known)
    said = () if method == "two-stage t" else ("A bound has no standard error: the bound is that of the two stages.",)
    return _Joined(
        joined, f"open: {censored} of {len(known)} experiments give only a bound of {name_of(first.name)}", notes=said
    )


def _next(first: Parameter, scale: Scale, mean: float, reach: float) -> Parameter:
    """Interval in which the next experiment is expected."""
    like = replace(first, name=f"{first.name}_next")
    if not math.isfinite(reach):
        return replace(scale.unknown(like, "prediction"), best=scale.natural(mean))
    return scale.interval(like, mean, reach, math.nan, "prediction")


def _tau(scale: Scale, found: RandomEffects) -> Parameter:
    value, low, high = (scale.decades(math.sqrt(t)) for t in (found.tau2, found.tau2_low, found.tau2_high))
    return Parameter(scale.named("tau"), value, low, high, method="REML, Q profile", best=value)


def _t_interval(values: Array, level: float) -> tuple[float, float, float]:
    """Mean, standard error and half width of the t interval."""
    from scipy import stats

    error = float(values.std(ddof=1) / math.sqrt(values.size))
    return float(values.mean()), error, float(stats.t.ppf(0.5 + level / 2, values.size - 1)) * error


def spread_parameter(name: str, sd: float, df: int, level: float, *, method: str) -> Parameter:
    """A standard deviation with its chi-square interval, ``sd * sqrt(df / chi2(df))``."""
    from scipy import stats

    ends = (math.nan, math.nan)
    if df > 0 and math.isfinite(sd):
        high, low = (sd * math.sqrt(df / float(x)) for x in stats.chi2.ppf([0.5 - level / 2, 0.5 + level / 2], df))
        ends = (low, high)
    return Parameter(name, sd, *ends, method=method, best=sd)


@dataclass(frozen=True)
class _Heterogeneity:
    """How much experiments differ, and the p-value of Cochran's Q."""

    sd: Parameter
    tau: Parameter
    i_squared: Parameter
    p: float

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (self.sd, self.i_squared) + ((self.tau,) if math.isfinite(self.tau.value) else ())


def _heterogeneity(parts: Sequence[Parameter], level: float) -> _Heterogeneity:
    """SD between experiments with and without their own errors, I², and the p-value of Cochran's Q."""
    from scipy import stats

    scale = Scale(not parts or parts[0].log)
    values, errors = scale.values(parts), np.array([part.se for part in parts])
    freedom = len(parts) - 1
    sd = float(values.std(ddof=1)) if freedom > 0 else math.nan
    tau = i_squared = p = math.nan
    if freedom > 0 and (np.isfinite(errors) & (errors > 0)).all():
        tau = math.sqrt(max(0.0, sd**2 - float((errors**2).mean())))
        weights = errors**-2.0
        q = float((weights * (values - (weights * values).sum() / weights.sum()) ** 2).sum())
        i_squared, p = (max(0.0, 1.0 - freedom / q) if q > 0 else 0.0), float(stats.chi2.sf(q, freedom))
    said = "between experiments"
    return _Heterogeneity(
        spread_parameter(scale.named("sd"), scale.decades(sd), freedom, level, method=said),
        Parameter(
            scale.named("tau"), scale.decades(tau), math.nan, math.nan, method=f"{said}, own errors taken off",
            best=scale.decades(tau),
        ),
        Parameter("i_squared", i_squared, math.nan, math.nan, method="Q statistic", best=i_squared),
        p,
    )  # fmt: skip


def _plates(estimates: Sequence[Estimate], level: float) -> tuple[Parameter, ...]:
    """SD between plates of an experiment, where the experiments are means of plates."""
    names = ("sd_plate_log10", "sd_plate")
    found = [(estimate, name) for estimate in estimates for name in names if name in estimate]
    if not found:
        return ()
    estimate, name = found[0]
    return (spread_parameter(name, estimate[name].value, estimate.df, level, method="between plates of an experiment"),)
