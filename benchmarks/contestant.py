"""One fitter of the race in `fit_curves.py`, in a process and an environment of its own.

    python contestant.py NAME DATA.npz

Each line on standard input starts a turn: all curves are fitted, and fitted again until half
a second has passed.  The answer is one line of JSON: wall and processor seconds of the fastest,
and the estimates.  Imports and a first, untimed fit come before.  A fit is described by four numbers, in the sense of

    y = end + (start - end) / (1 + (dose / ec50)^slope)

so that they mean the same for all: log10 EC50 (M), slope, start, end; NaN where it failed.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: Fits all curves: (log10 doses, shape (points,); signals, shape (curves, points)) → shape (curves, 4).
Fitter = Callable[[Array, Array], Array]
FAILED = (np.nan,) * 4
#: Seconds for which a turn fits all curves again and again.
TURN = 0.5


def scipy_curve_fit() -> Fitter:
    """`scipy.optimize.curve_fit` in a loop, as it is commonly called: default settings, no derivatives."""
    from scipy.optimize import curve_fit

    def model(x: Array, log_ec50: float, slope: float, start: float, end: float) -> Array:
        return end + (start - end) / (1 + 10 ** (slope * (x - log_ec50)))

    def one(x: Array, y: Array) -> tuple[float, ...]:
        try:
            best, _ = curve_fit(model, x, y, p0=[np.median(x), 1.0, y.max(), y.min()])
        except RuntimeError:
            return FAILED
        return tuple(best)

    return lambda x, signals: np.array([one(x, y) for y in signals])


def halfmax(*, intervals: bool) -> Fitter:
    """`halfmax.estimate.fit_arrays`, all curves in one call."""
    from halfmax.estimate import fit_arrays

    def fit(x: Array, signals: Array) -> Array:
        best = fit_arrays(10**x, signals, intervals=intervals).best
        with np.errstate(divide="ignore"):
            return np.stack([np.log10(best["ec50"]), best["hill_slope"], best["bottom"], best["top"]], axis=1)

    return fit


def curve_curator(*, fast: bool) -> Fitter:
    """CurveCurator's model and least squares, in a loop.

    These are the calls that its pipeline makes for ``type = "OLS"`` and ``speed = "fast"`` or
    ``"standard"``, its default, without what the pipeline does besides: control point, null
    model, tests and errors.  It is made for ratios to a control: it gets shares of 100.
    """
    from curve_curator.models import LogisticModel

    def fit(x: Array, signals: Array) -> Array:
        model, found = LogisticModel(), []
        model.set_boundaries(x)
        for y in signals / 100:
            model.reset()
            if fast:
                model.find_best_guess_ols(x, y, noise=np.nan)
                model.fit_ols(x, y)
            else:
                model.efficiently_fit_ols(x, y, noise=np.nan)
            p = model.get_all_parameters()
            found.append((-p["pec50"], p["slope"], 100 * p["front"], 100 * p["back"]))
        return np.array(found)

    return fit


def thunor() -> Fitter:
    """thunor's `fit_drc` with its four-parameter curve, in a loop, without its test against a flat line."""
    from thunor.curve_fit import HillCurveLL4, fit_drc

    def one(doses: Array, y: Array) -> tuple[float, ...]:
        found = fit_drc(doses, y, fit_cls=HillCurveLL4, null_rejection_threshold=None)
        return FAILED if found is None else (np.log10(found.ec50), found.hill_slope, found.e0, found.emax)

    def fit(x: Array, signals: Array) -> Array:
        doses = 10**x
        return np.array([one(doses, y) for y in signals])

    return fit


#: By name: how it is made, and the package whose version is told.
CONTESTANTS: dict[str, tuple[Callable[[], Fitter], str]] = {
    "scipy": (scipy_curve_fit, "scipy"),
    "halfmax": (lambda: halfmax(intervals=False), "halfmax"),
    "halfmax-intervals": (lambda: halfmax(intervals=True), "halfmax"),
    "curve-curator-fast": (lambda: curve_curator(fast=True), "curve-curator"),
    "curve-curator": (lambda: curve_curator(fast=False), "curve-curator"),
    "thunor": (thunor, "thunor"),
}


def main(name: str, data: str) -> None:
    """Answer each line of the input with a timed fit."""
    answers, sys.stdout = sys.stdout, sys.stderr  # a package that prints does not spoil the answers
    warnings.simplefilter("ignore")
    make, package = CONTESTANTS[name]
    table = np.load(data)
    x, signals = table["logx"], table["y"]
    fit = make()
    fit(x, signals)
    print(json.dumps({each: version(each) for each in (package, "numpy", "scipy")}), file=answers, flush=True)
    for _ in sys.stdin:
        begin, times = time.perf_counter(), []
        while not times or time.perf_counter() - begin < TURN:
            wall, cpu = time.perf_counter(), time.process_time()
            found = fit(x, signals)
            times.append((time.perf_counter() - wall, time.process_time() - cpu))
        wall, cpu = min(times)
        print(json.dumps({"wall": wall, "cpu": cpu, "estimates": found.tolist()}), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
