"""Answers that a formula gives exactly: of made data, or of data that stand in a textbook."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from halfmax.assays.growth import gr_value
from halfmax.curves import curve, own_curve
from halfmax.estimate import Estimate, Parameter, combine, fit
from halfmax.response import Response
from halfmax.verify.check import Check

__all__ = ["checks"]

Array = NDArray[np.float64]
_LEVEL = 0.95


def checks() -> Iterator[Check]:
    """All closed forms."""
    yield from _exact_curves()
    yield from _straight_line()
    yield from _mean()
    yield from _hyperbola()
    yield from _two_stage()
    yield from _growth_rate()


def _exact_curves() -> Iterator[Check]:
    """Signals without error give their own curve back."""
    source = "the curve from which the signals were computed"
    dose = np.geomspace(1e-8, 1e-4, 12)
    truth = {"ec50": 1.7e-6, "hill_slope": -1.3, "top": 1.1, "bottom": 0.2}
    for name, more in (("hill4", {}), ("hill5", {"asymmetry": 2.0}), ("weibull1", {}), ("lognormal", {})):
        chosen = truth | more
        estimate = fit(Response.of(dose, curve(name).value(dose, **chosen)), name)
        for key, value in chosen.items():
            yield Check(f"Exact {name}", "parameters", key, value, estimate[key].best, 6.0, source)


def _straight_line() -> Iterator[Check]:
    """Slope, intercept, their standard errors and t intervals, by the formulas of any textbook."""
    from scipy import stats

    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    y = np.array([2.1, 3.9, 6.2, 7.8, 10.3, 11.7, 14.2, 15.8])
    estimate = fit(Response.of(x, y), own_curve(lambda x, a, b: a + b * x, starts={}, linear=["a", "b"], name="line"))
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread
    intercept = float(y.mean()) - slope * float(x.mean())
    variance = float(((y - intercept - slope * x) ** 2).sum()) / (x.size - 2)
    errors = {"a": np.sqrt(variance * (1 / x.size + x.mean() ** 2 / spread)), "b": np.sqrt(variance / spread)}
    quantile = float(stats.t.ppf(0.5 + _LEVEL / 2, x.size - 2))
    source = "ordinary least squares in closed form"
    for name, value in (("a", intercept), ("b", slope)):
        found, error = estimate[name], float(errors[name])
        yield Check("Straight line", "parameters", name, value, found.best, 10.0, source)
        yield Check("Straight line", "standard errors", f"SE of {name}", error, found.se, 10.0, source)
        for end, sign, here in (("low", -1, found.low), ("high", 1, found.high)):
            expected = value + sign * quantile * error
            yield Check("Straight line", "intervals", f"{name}, {end} end", expected, here, 5.0, source)


def _mean() -> Iterator[Check]:
    """A flat curve: Student's interval of a mean, and one-way analysis of variance as its lack-of-fit test."""
    from scipy import stats

    dose = np.repeat([1e-7, 1e-6, 1e-5], 3)
    y = np.array([1.02, 0.95, 1.07, 0.98, 1.11, 1.03, 0.91, 1.05, 0.99])
    estimate = fit(Response.of(dose, y), "flat")
    low, high = stats.t.interval(_LEVEL, y.size - 1, y.mean(), y.std(ddof=1) / np.sqrt(y.size))
    mean, source = estimate["mean"], "Student (1908), as scipy.stats.t.interval computes it"
    yield Check("Flat curve", "mean", "mean", float(y.mean()), mean.best, 12.0, source)
    yield Check("Flat curve", "interval", "mean, low end", float(low), mean.low, 5.0, source)
    yield Check("Flat curve", "interval", "mean, high end", float(high), mean.high, 5.0, source)
    p = float(stats.f_oneway(*(y[dose == one] for one in np.unique(dose))).pvalue)
    yield Check(
        "Flat curve", "lack-of-fit test", "p, lack of fit", p, estimate.p_curve, 10.0,
        "one-way analysis of variance, scipy.stats.f_oneway",
    )  # fmt: skip


def _hyperbola() -> Iterator[Check]:
    """The profile interval of a Michaelis constant, whose profile is a formula because the curve is linear in Vmax.

    Puromycin, treated cells: Bates & Watts (1988), Nonlinear Regression Analysis and Its Applications, appendix A1.3.
    """
    from scipy import optimize, stats

    x = np.repeat([0.02, 0.06, 0.11, 0.22, 0.56, 1.10], 2)
    y = np.array([76, 47, 97, 107, 123, 139, 159, 152, 191, 201, 207, 200], dtype=float)

    def squares(km: float) -> float:
        share = x / (x + km)
        return float(y @ y - (share @ y) ** 2 / (share @ share))

    best = optimize.minimize_scalar(squares, bounds=(0.01, 0.3), method="bounded", options={"xatol": 1e-12})
    threshold = best.fun * (1 + float(stats.f.ppf(_LEVEL, 1, y.size - 2)) / (y.size - 2))
    low, high = (
        float(optimize.brentq(lambda km: squares(km) - threshold, *bracket, xtol=1e-15))
        for bracket in ((1e-3, best.x), (best.x, 1.0))
    )
    estimate = fit(Response.of(x, y), "hill4", fixed={"hill_slope": 1.0, "bottom": 0.0})
    found, source = estimate["ec50"], "Bates & Watts (1988); its profile as a formula"
    yield Check("Puromycin", "Michaelis constant", "Km", float(best.x), found.best, 6.0, source)
    yield Check("Puromycin", "residual sum of squares", "RSS", float(best.fun), estimate.rss, 10.0, source)
    for name, end, here in (("low", low, found.low), ("high", high, found.high)):
        yield Check("Puromycin", "profile interval", f"Km, {name} end", end, here, 4.0, source)


def _two_stage() -> Iterator[Check]:
    """Independent experiments: the t interval of the mean of ln EC50."""
    from scipy import stats

    values = np.array([3.1e-6, 4.4e-6, 3.6e-6, 5.2e-6])
    logs = np.log(values)
    half = float(stats.t.ppf(0.5 + _LEVEL / 2, values.size - 1)) * float(logs.std(ddof=1)) / np.sqrt(values.size)
    joined = combine([_known(value) for value in values.tolist()], level=_LEVEL)["ec50"]
    source = "t interval of the mean of the logarithms"
    centre = float(logs.mean())
    ends = (("low end", centre - half, joined.low), ("high end", centre + half, joined.high))
    for name, log, found in (("estimate", centre, joined.value), *ends):
        yield Check("Two-stage t", "EC50", f"EC50, {name}", float(np.exp(log)), found, 12.0, source)


def _known(value: float) -> Estimate:
    parameter = Parameter("ec50", value, 0.9 * value, 1.1 * value, unit="M", best=value, se=0.05, log=True)
    return Estimate("hill4", (parameter,))


def _growth_rate() -> Iterator[Check]:
    """Growth-rate values: a control that doubles twice, cells that double once, stand still, or halve."""
    found = gr_value([200.0, 100.0, 50.0], control=400.0, time_zero=100.0)
    source = "Hafner et al. (2016), Nat Methods 13:521, doi 10.1038/nmeth.3853"
    for name, expected, here in zip(
        ("doubles once", "stands still", "halves"), (2**0.5 - 1, 0.0, 2**-0.5 - 1), found, strict=True
    ):
        yield Check("Growth rate", "values", name, expected, float(here), 12.0, source)
