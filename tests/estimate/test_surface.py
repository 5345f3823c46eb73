"""Functions of several conditions: the same numbers as a curve where one would do, and no bound along a ridge."""

import numpy as np
import pytest

from halfmax.curves import hill
from halfmax.errors import FitError, RangeError
from halfmax.estimate import fit
from halfmax.estimate.surface import Surface, fit_surface, fit_surface_all
from halfmax.response import Response

DOSE = np.repeat(np.geomspace(1e-8, 1e-4, 9), 2)
HILL = Surface(
    lambda dose, ec50, hill_slope, top, bottom: bottom + (top - bottom) / (1 + (dose / ec50) ** hill_slope),
    starts={"ec50": [1e-7, 1e-6, 1e-5], "hill_slope": 1.0}, linear=("top", "bottom"), positive=("ec50", "hill_slope"),
    units={"ec50": "M"}, name="Hill",
)  # fmt: skip
RIDGE = Surface(
    lambda x, a, b: 1 - np.exp(-a * b * x), starts={"a": 1.0, "b": 100.0}, positive=("a", "b"), name="ridge"
)


def signal(seed, noise=0.03):
    mean = hill(DOSE, ec50=1e-6, hill_slope=-1.2, top=1.0, bottom=0.1)
    return mean + np.random.default_rng(seed).normal(0, noise, DOSE.size)


def test_a_surface_of_one_condition_has_the_intervals_of_the_curve():
    surface, curve = fit_surface(HILL, {"dose": DOSE}, signal(1)), fit(Response.of(DOSE, signal(1), role="sample"))
    assert surface.rss == pytest.approx(curve.rss, rel=1e-9)
    for name in ("ec50", "top", "bottom"):
        mine, theirs = surface[name], curve[name]
        assert (mine.best, mine.low, mine.high) == pytest.approx((theirs.best, theirs.low, theirs.high), rel=2e-4)
    assert surface["ec50"].unit == "M"


def test_rows_and_batches_change_nothing():
    order = np.random.default_rng(2).permutation(DOSE.size)
    one = fit_surface(HILL, {"dose": DOSE}, signal(3))
    other = fit_surface(HILL, {"dose": DOSE[order]}, signal(3)[order])
    third = fit_surface_all(HILL, {"dose": DOSE}, np.stack([signal(4), signal(3)]))[1]
    for found in (other, third):
        assert [p.low for p in found.parameters] == pytest.approx([p.low for p in one.parameters], rel=1e-6)


def test_what_only_a_product_tells_is_not_identified():
    x = np.tile(np.linspace(0.001, 0.03, 12), 2)
    y = 1 - np.exp(-100 * x) + np.random.default_rng(5).normal(0, 0.02, x.size)
    found = fit_surface(RIDGE, {"x": x}, y)
    assert {one.operator for one in found.parameters} == {"?"}
    assert found.status.startswith("open: the data do not bound a, b")
    held = fit_surface(RIDGE, {"x": x}, y, fixed={"b": 100.0})
    assert held["a"].low < 1.0 < held["a"].high
    assert held["a"].operator == "="


def test_missing_and_excluded_wells_take_no_part():
    y = signal(6)
    gap = np.where(np.arange(y.size) == 4, np.nan, y)
    wrong = np.where(np.arange(y.size) == 4, 50.0, y)
    reasons = ["bubble" if i == 4 else "" for i in range(y.size)]
    one = fit_surface(HILL, {"dose": DOSE}, gap)
    other = fit_surface(HILL, {"dose": DOSE}, wrong, excluded=reasons)
    assert one.n == other.n == DOSE.size - 1
    assert one["ec50"].best == pytest.approx(other["ec50"].best, rel=1e-9)


def test_bad_input_says_what_and_where():
    with pytest.raises(RangeError, match="row 3: dose must be a finite number, found nan"):
        fit_surface(HILL, {"dose": np.where(np.arange(18) == 2, np.nan, DOSE)}, signal(7))
    with pytest.raises(FitError, match=r"signal must be \(wells,\), found \(2, 18\)"):
        fit_surface(HILL, {"dose": DOSE}, np.stack([signal(8), signal(9)]))
    with pytest.raises(FitError, match=r"Ki: 3 wells cannot determine|Ki: a curve needs at least"):
        fit_surface(HILL, {"dose": DOSE[:3]}, signal(8)[:3], label="Ki")
