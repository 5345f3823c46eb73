"""Is there a curve at all, and does it meet the means of the doses: F-tests of many fits at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halfmax.curves.curve import FAR
from halfmax.estimate.batch import covariance, roots
from halfmax.estimate.least_squares import Problem, Solution, dot

__all__ = ["f_tests", "unseen_plateau", "worth"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
#: Standard error of a fitted plateau, as a share of the window, from which on it is not seen.
_UNSEEN = 0.15
_TINY = float(np.finfo(float).tiny)


def f_tests(problem: Problem, best: Solution) -> tuple[Array, Array]:
    """P-values of the F-tests against a flat line and against the means of the doses, NaN where there is no test.

    Wells at full effect are no part of the flat line: under it the drug has no effect, so they
    have a level of their own, or the one at which the curve holds it.
    """
    from scipy import stats

    used, full = problem.weight > 0, problem.at_full_effect()
    n, levels, pure = problem.weight.sum(0), used.sum(0), problem.base
    p = problem.free().sum(axis=0)
    cells = np.where(full, 0.0, problem.weight)
    mean = dot(cells, problem.signal) / cells.sum(0)
    apart = np.where(full & ~np.isnan(problem.held[-1]), problem.weight, 0.0)
    held = np.nan_to_num(problem.held[-1])
    rss_flat = pure + dot(cells, (problem.signal - mean) ** 2) + dot(apart, (problem.signal - held) ** 2)
    equal = rss_flat <= np.finfo(float).eps * dot(problem.weight * problem.signal, problem.signal)
    noise = np.maximum(best.rss / np.maximum(n - p, 1), _TINY)
    freedom = worth(problem, n - p)
    with np.errstate(over="ignore"):
        flat = np.maximum(rss_flat - best.rss, 0.0) / freedom / noise
    p_flat = np.where(equal, 1.0, stats.f.sf(flat, freedom, np.maximum(n - p, 1)))
    replicated = (n > levels) & (levels > p) & (pure > 0)
    error = np.where(replicated, pure, 1.0) / np.maximum(n - levels, 1)
    misfit = np.maximum(best.rss - pure, 0.0) / np.maximum(levels - p, 1) / error
    p_curve = stats.f.sf(misfit, np.maximum(levels - p, 1), np.maximum(n - levels, 1))
    nested = (n > p) & np.isfinite(freedom)
    return np.where(nested, p_flat, np.nan), np.where(replicated, p_curve, np.nan)


def worth(problem: Problem, df: Array) -> Array:
    """Numerator degrees of freedom of the test against a flat line; NaN where a flat line is not in the family.

    Under a flat line EC50 and slope mean nothing, so a curve is not worth its number of
    parameters less one. What it is worth was measured in pure noise (`Curve.worth`): it grows
    with the number of doses, is less with one plateau known, and least where control wells
    leave only one direction.
    """
    positive = (np.abs(problem.u) < FAR) & (problem.weight > 0)
    vehicle = ((problem.u <= -FAR) & (problem.weight > 0)).any(axis=0) & problem.curve.logarithmic
    kill = problem.at_full_effect().any(axis=0)
    plateaus = np.isnan(problem.held).sum(axis=0) - (kill & np.isnan(problem.held[-1]))
    size = problem.free().sum(axis=0)
    if problem.curve.worth is None:
        return np.full(df.size, np.nan)
    logs = np.log(np.maximum(positive.sum(axis=0), 2))
    both = problem.curve.worth[0] + problem.curve.worth[1] * logs
    ways = [0.53 + 0.19 * logs, 0.63 + 0.12 * logs, 0.28 + 0.28 * logs]
    one = np.select([vehicle & kill, vehicle, kill], ways, 0.85 + 0.25 * logs)
    scarce = np.where(plateaus > 1, 2.5 + 2.1 * np.maximum(size - 4, 0), 0.6) / np.maximum(df, 1)
    found = np.maximum(np.where(plateaus > 1, both, one) - scarce, 0.3)
    return np.where(plateaus > 0, found, np.nan)


def unseen_plateau(problem: Problem, best: Solution) -> Flags:
    """Whether the doses end too early to show the drug's own plateau, so that nothing can test it, shape (curves,)."""
    df = np.maximum(problem.weight.sum(axis=0) - problem.free().sum(axis=0), 1)
    error = roots(covariance(problem, best, df))[:, -1]
    return np.asarray(~(error < _UNSEEN * np.abs(best.linear[-1] - best.linear[0])))
