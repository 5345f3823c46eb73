"""Random effects against the numbers of metafor, and against the likelihood itself."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from halfmax.errors import FitError
from halfmax.estimate.random_effects import random_effects

#: Colditz et al. (1994): tuberculosis cases and others, vaccinated and not; data set dat.bcg of R metafor.
BCG = np.array([
    (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
    (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232), (17, 1699, 65, 1600),
    (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
], dtype=float)  # fmt: skip


def bcg():
    """Log risk ratios and their standard errors."""
    a, b, c, d = BCG.T
    return np.log(a / (a + b) / (c / (c + d))), np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))


def restricted(y, v, tau2):
    """Restricted log-likelihood, written from the normal density of the contrasts of y."""
    contrasts = np.eye(y.size)[:-1] - 1 / y.size
    return stats.multivariate_normal(cov=contrasts @ np.diag(v + tau2) @ contrasts.T).logpdf(contrasts @ y)


def test_the_vaccine_trials_give_the_numbers_of_metafor():
    """metafor: rma(yi, vi) tau² 0.3132, estimate -0.7145, se 0.1798; knha se 0.1808; confint 0.1197 to 1.1115."""
    found = random_effects(*bcg())
    assert found.tau2 == pytest.approx(0.3132, abs=5e-5)
    assert found.mean == pytest.approx(-0.7145, abs=5e-5)
    assert found.error / math.sqrt(found.factor) == pytest.approx(0.1798, abs=5e-5)
    assert found.error == pytest.approx(0.1808, abs=5e-5)
    assert (found.tau2_low, found.tau2_high) == pytest.approx((0.1197, 1.1115), abs=5e-5)


@pytest.mark.parametrize("seed", range(6))
def test_tau2_maximises_the_restricted_likelihood(seed):
    rng = np.random.default_rng(seed)
    error = rng.uniform(0.02, 0.4, 5)
    y = rng.normal(0, 0.3, 5) + rng.normal(0, error)
    grid = np.r_[0.0, np.geomspace(1e-5, 3, 400)]
    values = [restricted(y, error**2, t) for t in grid]
    near = grid[int(np.argmax(values))]
    best = near
    if near > 0:
        best = optimize.minimize_scalar(
            lambda t: -restricted(y, error**2, t), bounds=(near / 1.1, near * 1.1), method="bounded"
        ).x
    assert random_effects(y, error).tau2 == pytest.approx(best, abs=1e-4)


def test_equal_errors_give_the_variance_less_the_error():
    found = random_effects([1.0, 1.4, 2.1, 3.0], [0.2] * 4)
    assert found.tau2 == pytest.approx(np.var([1.0, 1.4, 2.1, 3.0], ddof=1) - 0.04)
    assert found.factor == pytest.approx(1.0)


def test_values_that_agree_have_no_variance_and_keep_their_own_errors():
    found = random_effects([1.0, 1.01, 0.99], [0.3, 0.3, 0.3])
    assert (found.tau2, found.tau2_low) == (0.0, 0.0)
    assert found.factor < 0.01
    assert found.error == pytest.approx(0.3 / math.sqrt(3))


def test_a_shift_moves_the_mean_and_nothing_else():
    y, error = bcg()
    here, there = random_effects(y, error), random_effects(y + 5, error)
    assert there.mean == pytest.approx(here.mean + 5)
    assert (there.tau2, there.error) == pytest.approx((here.tau2, here.error), rel=1e-6)


def test_one_value_and_errors_that_weigh_nothing_are_refused():
    with pytest.raises(FitError, match="at least two experiments, found 1"):
        random_effects([1.0], [0.1])
    with pytest.raises(FitError, match=r"must be positive and finite, found 0\.1, 0\. Use the two-stage t interval"):
        random_effects([1.0, 2.0], [0.1, 0.0])


@pytest.mark.slow
@pytest.mark.parametrize(("count", "tau"), [(3, 0.23), (5, 0.23), (5, 0.0)])
def test_the_interval_holds_the_truth_as_often_as_it_says(count, tau):
    """Experiments of unequal size; the interval with the factor held at 1 covers at least its level."""
    rng = np.random.default_rng(count)
    sets, hits = 1500, 0
    quantile = stats.t.ppf(0.975, count - 1)
    for _ in range(sets):
        error = rng.uniform(0.05, 0.15, count)
        found = random_effects(rng.normal(0, tau, count) + rng.normal(0, error), error)
        hits += abs(found.mean) <= quantile * found.error
    assert stats.binom.cdf(hits, sets, 0.95) > 0.001
