"""The vendor guide's figure "dual activity of CM572 on the sigma-2 receptor", drawn from the model.

No point of it was measured or traced.  Three curves of one receptor (`halfmax.curves.receptor`) and
one set of parameters, hand-set to show the behaviour, illustrative, fitted to nothing (`DualActivity`):

- CB-64D alone: a full agonist, `operational`;
- CM572 alone, read at the peak of the Ca²⁺ signal, within a minute of its addition: so little time
  loads the receptor only at high concentration, and CM572 acts as an agonist, `response_together`;
- CB-64D at a fixed concentration after an hour of CM572 and a wash: an hour loads it at low
  concentration, and CM572 acts as an antagonist down to its own effect, `response_after_pretreatment`.

The two activities differ in time, not in site.  The curve after pretreatment ends on a floor, the
effect of the receptors that hold CM572: a site without adaptation cannot antagonise below it.  That
CM572 abolishes the signal of CB-64D, which was reported, needs more than this layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfmax.curves.receptor import operational, response_after_pretreatment, response_together
from halfmax.report.figure import Figure
from halfmax.report.marks import data, rules, simulated_label, texts
from halfmax.report.style import (
    GREY,
    MUTED,
    OKABE_ITO,
    concentration_expression,
    concentration_ticks,
    configuration,
)
from halfmax.units import format_concentration, format_duration

__all__ = ["DualActivity", "activity_windows", "dual_activity", "dual_activity_curves", "dual_activity_figure"]

Array = NDArray[np.float64]
Row = dict[str, Any]
WIDTH, HEIGHT = 520, 320
ALONE, AGONIST, AFTER = "CB-64D alone", "CM572 alone", "CB-64D after CM572"
COLOURS = {ALONE: OKABE_ITO[0], AGONIST: OKABE_ITO[2], AFTER: OKABE_ITO[1]}
#: The antagonist's window begins where this share of the way to the floor is gone, and ends where this share of the
#: greatest response appears.
_BLOCKED, _APPEARS = 0.5, 0.04


@dataclass(frozen=True)
class DualActivity:
    """What the figure is drawn with: hand-set, illustrative, fitted to nothing.

    Parameters
    ----------
    ka : float, M
        Of CB-64D: its published Ki.
    kinact, k_inact_half : float, 1/s and M
        Of CM572: 1.98 per minute and 5 µM, one of many pairs that a competition assay of two hours
        would show as its published Ki of 14.6 nM.
    efficacy : float
        Of a receptor that holds CM572, reversibly or covalently, as a share of CB-64D's.
    tau, transducer_slope : float
        Of CB-64D and the cell: chosen so that CM572 is clearly partial.
    peak, pretreatment : float, s
        From the addition of CM572 to the reading of its own effect; how long it is there before a wash.
    fixed : float, M
        CB-64D that is added after CM572.
    low, high : float, M
        Ends of the axis.
    """

    ka: float = 16.5e-9
    kinact: float = 1.98 / 60.0
    k_inact_half: float = 5e-6
    efficacy: float = 0.5
    tau: float = 1.8
    transducer_slope: float = 4.0
    peak: float = 40.0
    pretreatment: float = 3600.0
    fixed: float = 1e-6
    low: float = 1e-9
    high: float = 1e-4

    @property
    def _system(self) -> dict[str, float]:
        return {"ka": self.ka, "tau": self.tau, "transducer_slope": self.transducer_slope}

    @property
    def floor(self) -> float:
        """Response where all receptors hold CM572 covalently, in % of the greatest response of CB-64D."""
        whole = operational(1.0, **self._system)
        blocked = self._after(np.array(1.0), 1e9)
        return float(100.0 * blocked / whole)

    def _after(self, dose: Array, time: float) -> Array:
        return response_after_pretreatment(
            self.fixed, dose, time, kinact=self.kinact, k_inact_half=self.k_inact_half,
            residual_efficacy=self.efficacy, **self._system,
        )  # fmt: skip


def dual_activity_curves(
    parameters: DualActivity | None = None, *, points: int = 161
) -> dict[str, tuple[Array, Array]]:
    """The three curves: concentrations (M) and responses, in % of the greatest response of CB-64D.

    Examples
    --------
    >>> concentration, response = dual_activity_curves()["CM572 alone"]
    >>> bool(response[0] < 1 and response[-1] > 30)
    True
    """
    p = parameters or DualActivity()
    dose = np.geomspace(p.low, p.high, points)
    scale = 100.0 / operational(1.0, **p._system)
    alone = response_together(
        0.0, dose, p.peak, kinact=p.kinact, k_inact_half=p.k_inact_half, bound_efficacy=p.efficacy,
        residual_efficacy=p.efficacy, **p._system,
    )  # fmt: skip
    return {
        ALONE: (dose, scale * operational(dose, **p._system)),
        AGONIST: (dose, scale * alone),
        AFTER: (dose, scale * p._after(dose, p.pretreatment)),
    }


def _crossing(concentration: Array, response: Array, level: float) -> float:
    """Concentration at which a monotone response passes a level."""
    rising = response if response[-1] > response[0] else -response
    return float(np.exp(np.interp(level if rising is response else -level, rising, np.log(concentration))))


def activity_windows(parameters: DualActivity | None = None) -> tuple[float, float]:
    """Concentrations of CM572 from which it is an antagonist, after pretreatment, and an agonist, at once (M).

    Half way to the floor, and at 4 % of the greatest response of CB-64D.

    Examples
    --------
    >>> [f"{1e6 * end:.2g} µM" for end in activity_windows()]
    ['0.05 µM', '1.9 µM']
    """
    p = parameters or DualActivity()
    curves = dual_activity_curves(p, points=801)
    untouched = 100.0 * float(operational(p.fixed, **p._system) / operational(1.0, **p._system))
    blocked = untouched + _BLOCKED * (p.floor - untouched)
    return _crossing(*curves[AFTER], blocked), _crossing(*curves[AGONIST], 100.0 * _APPEARS)


def dual_activity_figure(parameters: DualActivity | None = None) -> Any:
    """The chart.

    Returns
    -------
    altair.LayerChart
    """
    import altair as alt

    p = parameters or DualActivity()
    curves, ticks = dual_activity_curves(p), concentration_ticks(p.low, p.high)
    x = alt.X(
        "x:Q",
        title="CB-64D (blue curve) or CM572 (log scale)",
        scale=alt.Scale(type="log", domain=[p.low, p.high], nice=False),
        axis=alt.Axis(values=ticks, labelExpr=concentration_expression(ticks, {}), grid=False, domain=True),
    )
    y = alt.Y(
        "y:Q",
        title="response, % of the greatest of CB-64D",
        scale=alt.Scale(domain=[0, 108], nice=False),
        axis=alt.Axis(values=[0, 25, 50, 75, 100], domain=False),
    )
    layers = [
        *_windows(p, x),
        _floor(p, x, y),
        *_curves(curves, x, y),
        *_labels(curves, p, x, y),
        *simulated_label(True, WIDTH),
    ]
    title = alt.TitleParams(
        text="Dual activity of CM572 on the sigma-2 receptor",
        subtitle="drawn from a receptor model with hand-set parameters",
    )
    return alt.layer(*layers, width=WIDTH, height=HEIGHT).properties(
        title=title, config=configuration(simulated=True)
    )  # fmt: skip


def dual_activity(parameters: DualActivity | None = None) -> Figure:
    """The figure with its caption and its content in words.

    Examples
    --------
    >>> from halfmax.report import save_figure
    >>> save_figure(dual_activity(), "dual_activity.png")  # doctest: +SKIP
    """
    p = parameters or DualActivity()
    fixed, hour, floor = format_concentration(p.fixed), format_duration(p.pretreatment), f"{p.floor:.0f} %"
    caption = (
        f"Simulated. One receptor, one set of hand-set parameters. CB-64D alone is a full agonist. CM572 alone, read "
        f"{format_duration(p.peak)} after its addition, is a partial agonist at high concentration. The response to "
        f"{fixed} CB-64D after {hour} of CM572 and a wash falls at low concentration of CM572, down to {floor}: the "
        f"effect of the receptors that hold CM572. A site without adaptation cannot go below it."
    )
    alt = f"Three simulated concentration–response curves. {_in_words(p)}"
    return Figure("dual-activity", "model", 0, caption, alt, dual_activity_figure(p))


def _windows(p: DualActivity, x: Any) -> list[Any]:
    """Shaded ranges of concentration with what CM572 is there."""
    import altair as alt

    antagonist, agonist = activity_windows(p)
    bands: list[Row] = [
        {"x": antagonist, "x2": agonist, "fill": COLOURS[AFTER], "text": "antagonist"},
        {"x": agonist, "x2": p.high, "fill": COLOURS[AGONIST], "text": "agonist"},
    ]
    rects = (
        alt.Chart(data(bands))
        .mark_rect(opacity=0.09, aria=False)
        .encode(x=x, x2=alt.X2("x2:Q"), fill=alt.Fill("fill:N", scale=None))
    )
    words = [{"x": float(np.sqrt(band["x"] * band["x2"])), "text": f"CM572: {band['text']}"} for band in bands]
    return [rects, texts(words, x, alt.value(11), align="center", fontSize=11, color=MUTED)]


def _floor(p: DualActivity, x: Any, y: Any) -> Any:
    return rules([{"x": p.low, "x2": p.high, "y": p.floor, "stroke": GREY, "width": 0.8}], x=x, x2="x2:Q", y=y)


def _curves(curves: dict[str, tuple[Array, Array]], x: Any, y: Any) -> list[Any]:
    import altair as alt

    rows = [
        {"x": float(f"{dose:.5g}"), "y": float(f"{response:.5g}"), "curve": name, "tone": COLOURS[name]}
        for name, (doses, responses) in curves.items()
        for dose, response in zip(doses, responses, strict=True)
    ]
    return [
        alt.Chart(data(rows))
        .mark_line(strokeWidth=2.4, strokeDash=[7, 3], clip=True, aria=False)
        .encode(x=x, y=y, stroke=alt.Stroke("tone:N", scale=None), detail=alt.Detail("curve:N"))
    ]


def _labels(curves: dict[str, tuple[Array, Array]], p: DualActivity, x: Any, y: Any) -> list[Any]:
    """Each curve's name beside it, in its colour, and that of the floor."""
    fixed, hour = format_concentration(p.fixed), format_duration(p.pretreatment)
    said = {
        ALONE: (0.6, -10, "right", [ALONE]),
        AFTER: (0.45, 18, "left", [f"CM572 for {hour}, wash,", f"then {fixed} CB-64D"]),
        AGONIST: (0.5, 14, "left", [f"{AGONIST},", f"read after {format_duration(p.peak)}"]),
    }
    layers = []
    for name, (share, dx, align, lines) in said.items():
        concentrations, responses = curves[name]
        level = float(responses.min() + share * (responses.max() - responses.min()))
        at = {"x": _crossing(concentrations, responses, level), "y": level}
        layers += [
            texts([{**at, "text": line}], x, y, align=align, color=COLOURS[name], dx=dx, dy=15 * row, fontWeight="bold")
            for row, line in enumerate(lines)
        ]
    words = [{"x": activity_windows(p)[0], "y": p.floor, "text": "floor: all receptors hold CM572"}]
    return [*layers, texts(words, x, y, align="left", baseline="top", dx=8, dy=6, fontSize=11, color=MUTED)]


def _in_words(p: DualActivity) -> str:
    curves = dual_activity_curves(p)
    antagonist, agonist = (format_concentration(end) for end in activity_windows(p))
    return (
        f"CB-64D alone rises to 100 %. CM572 alone rises from {agonist} on, to {curves[AGONIST][1][-1]:.0f} %. "
        f"The response to {format_concentration(p.fixed)} CB-64D after CM572 is half way to its floor of "
        f"{p.floor:.0f} % at {antagonist} CM572."
    )
