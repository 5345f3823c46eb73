"""Draws the pictures of the curves' pages: ``python docs/curves/draw.py`` writes docs/images/curves/*.svg."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import vl_convert

from halfmax.curves import curve, own_curve
from halfmax.report.style import GREY, INK, OKABE_ITO, configuration

FOLDER = Path(__file__).parent.parent / "images/curves"
DOSE = np.geomspace(1e-3, 1e3, 241)
TIME = np.linspace(0, 24, 121)
FALL = {"ec50": 1.0, "hill_slope": -1.0, "top": 1.0, "bottom": 0.1}


def lines(model: Any, x: np.ndarray, base: dict[str, float], varied: dict[str, dict[str, float]]) -> pd.DataFrame:
    """One line for each name of `varied`."""
    parts = []
    for name, changed in varied.items():
        one = curve(changed.pop("model")) if "model" in changed else curve(model)
        parts.append(pd.DataFrame({"x": x, "y": one.value(x, **(base | changed)), "which": name}))
    return pd.concat(parts)


def picture(frame: pd.DataFrame, title: str, *, log: bool = True, half: bool = True) -> alt.Chart:
    """Lines with their names beside them; a grey rule at the midpoint where all share it."""
    names = list(dict.fromkeys(frame["which"]))
    scale = alt.Scale(type="log" if log else "linear", nice=False)
    axis = alt.Axis(
        values=[1e-3, 1e-2, 0.1, 1, 10, 100, 1000] if log else [0, 6, 12, 18, 24], grid=False, format="~g", offset=6
    )
    chart = (
        alt.Chart(frame)
        .mark_line(strokeWidth=2.5, strokeCap="round")
        .encode(
            x=alt.X("x:Q", scale=scale, axis=axis, title="concentration / EC50" if log and half else
                    "concentration" if log else "time"),
            y=alt.Y("y:Q", axis=alt.Axis(grid=True, tickCount=5, domain=False, ticks=False), title=None),
            color=alt.Color("which:N", sort=names, scale=alt.Scale(domain=names, range=OKABE_ITO[: len(names)]),
                            legend=alt.Legend(title=title, symbolStrokeWidth=3, symbolType="stroke", labelFontSize=12,
                                              titleFontSize=12, titleFontWeight="normal", labelColor=INK)),
        )
        .properties(width=430, height=190)
    )  # fmt: skip
    if half and log:
        rule = alt.Chart(pd.DataFrame({"x": [1.0]})).mark_rule(color=GREY, strokeDash=[2, 3]).encode(x="x:Q")
        chart = rule + chart
    return chart.configure(**configuration(simulated=False).to_dict())


PICTURES = {
    "log-logistic": picture(
        lines("hill4", DOSE, FALL, {f"{s:g}": {"hill_slope": s} for s in (-0.5, -1.0, -2.0, -5.0)}), "hill_slope"
    ),
    "richards": picture(
        lines("hill5", DOSE, FALL | {"hill_slope": -1.5}, {f"{f:g}": {"asymmetry": f} for f in (0.2, 1.0, 8.0)}),
        "asymmetry",
    ),
    "weibull": picture(
        lines("hill4", DOSE, FALL | {"hill_slope": -1.5}, {
            "weibull1": {"model": "weibull1", "hill_slope": -1.08},
            "hill4": {"hill_slope": -1.5},
            "weibull2": {"model": "weibull2", "hill_slope": -1.08},
        }), "curve"
    ),
    "log-normal": picture(
        lines("hill4", DOSE, FALL | {"hill_slope": -1.0}, {
            "lognormal": {"model": "lognormal", "hill_slope": -0.6267}, "hill4": {}
        }), "curve"
    ),
    "two-sites": picture(
        lines("two_sites", DOSE, {"ec50_first": 0.03, "gap": np.log(1000), "start": 1.0, "end": 0.0}, {
            f"{part:g}": {"part_first": part} for part in (0.2, 0.5, 0.8)
        }), "part_first", half=False
    ),
    "bell": picture(
        lines("bell", DOSE, {"ec50_first": 0.05, "slope_first": 1.5, "slope_second": 1.5, "start": 0.1, "middle": 1.0,
                             "end": 0.3}, {f"ln {r:g}": {"gap": np.log(r)} for r in (10, 100, 1000)}),
        "gap", half=False
    ),
    "hormesis": picture(
        lines("brain_cousens", DOSE, {"location": 10.0, "steepness": 3.0, "start": 1.0, "end": 0.0}, {
            "brain_cousens": {"stimulation": 0.15},
            "crs_a": {"model": "crs_a", "stimulation": 1.0},
            "crs_c": {"model": "crs_c", "stimulation": 1.0},
            "no stimulation": {"stimulation": 0.0},
        }), "curve", half=False
    ),
    "association": picture(
        lines("association", TIME, {"start": 0.0, "plateau": 1.0}, {f"{k:g} /h": {"kobs": k} for k in (0.1, 0.3, 1.0)}),
        "kobs", log=False
    ),
    "growth-rate-inhibition": picture(
        lines("gr3", DOSE, {"ec50": 1.0, "hill_slope": -1.2, "top": 1.0}, {
            f"{low:g}": {"bottom": low} for low in (0.5, 0.0, -0.6)
        }), "GR at full effect"
    ),
    "own": picture(
        lines(own_curve(lambda x, a, b: a * x * np.exp(-b * x), starts={"b": 1.0}, linear=["a"]), TIME, {"a": 1.0}, {
            f"{b:g}": {"b": b} for b in (0.2, 0.4, 0.8)
        }), "b of a x exp(-b x)", log=False
    ),
}  # fmt: skip

if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, chart in PICTURES.items():
        FOLDER.joinpath(f"{name}.svg").write_text(vl_convert.vegalite_to_svg(chart.to_json()), encoding="utf-8")
