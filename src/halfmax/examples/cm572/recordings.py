"""Simulate the recordings of calcium of this study: SK-N-SH cells with Fura-2, three days, seven dishes a day.

No raw data of CM572 are public.  These are **simulated**.  CM572 raises calcium with an EC50 of 5.7 µM and at most
by 0.62 µM (a partial agonist), CB-64D by 1.6 µM at 30 µM (its EC50 of 5 µM is an assumption).  1 µM of CM572 before
CB-64D leaves 30 % of its rise, an assumption too: the published experiment says that it is cut, not how far.
Every dish gets vehicle first.  Days differ in EC50 (SD 0.08 decades) and in height (SD 10 %), dishes of a day in
height (SD 10 %), cells in height (SD 25 %) and rest (SD 20 %); 13 of 16 cells answer.  The seed fixes every byte.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from halfmax.virtual import Addition, Calcium, Cells, Drift, MovieDesign, MovieTruth, simulate_movie, write_stimuli

SEED = 572
DAYS = ("day 1", "day 2", "day 3")
EC50, EMAX, DOSES = 5.7e-6, 0.62e-6, (1e-6, 3e-6, 10e-6, 30e-6, 100e-6)  # M, of CM572
FULL = Addition("CB-64D", concentration=20e-6, ec50=5e-6, emax=1.6e-6 * (1 + 5 / 30))
LEFT = 0.3  # of the rise by CB-64D, after 1 µM of CM572
DAY_EC50_SD, DAY_SD, DISH_SD = 0.08, 0.10, 0.10  # decades; natural logarithm
VEHICLE_S, GAP_S, INTERVAL_S = 153.0, 60.0, 3.0  # first addition, from one to the next, from frame to frame
BASELINE_S, RESPONSE_S = 30.0, 24.0  # as in study.toml
BASE = MovieDesign(
    shape=(90, 90),
    interval=INTERVAL_S,
    cells=Cells(number=16, radius=6.0, radius_sd=0.5, margin=4.0),
    calcium=Calcium(responders=0.8),
    drift=Drift(rms=1.0, smoothness=10.0),
)


@dataclass(frozen=True)
class Dish:
    """A dish as simulated: its name, its day, and what is added after vehicle; `ec50` is that of CM572 on the day."""

    name: str
    day: str
    ec50: float  # M
    added: tuple[Addition, ...]

    @property
    def stem(self) -> str:
        """Name of its files."""
        plain = f"{self.day}_{self.name}".replace(" µM", "uM").replace(" ", "_")
        return plain.replace("day_", "day")

    def design(self) -> MovieDesign:
        """Vehicle and then the compounds, a gap apart; the last is followed for as long."""
        timed = [replace(one, start_s=VEHICLE_S + GAP_S * number) for number, one in enumerate(self.added, start=1)]
        frames = round((timed[-1].start_s + GAP_S) / INTERVAL_S)
        vehicle = Addition("vehicle", role="vehicle", concentration=0.0, start_s=VEHICLE_S)
        return replace(BASE, frames=frames, additions=(vehicle, *timed))


def dishes(rng: np.random.Generator) -> Iterator[Dish]:
    """All dishes: each day the doses of CM572, CB-64D, and CB-64D after CM572."""
    for day in DAYS:
        ec50, height = EC50 * 10 ** rng.normal(0, DAY_EC50_SD), np.exp(rng.normal(0, DAY_SD))
        doses = [Addition("CM572", concentration=dose, ec50=ec50, emax=EMAX) for dose in DOSES]
        after = (doses[0], replace(FULL, emax=LEFT * FULL.emax))
        added = {f"CM572 {1e6 * one.concentration:g} µM": (one,) for one in doses}
        for name, given in {**added, "CB-64D 20 µM": (FULL,), "CM572 then CB-64D": after}.items():
            here = height * np.exp(rng.normal(0, DISH_SD))
            yield Dish(name, day, ec50, tuple(replace(one, emax=one.emax * here) for one in given))


def rows_of(dish: Dish, truth: MovieTruth) -> Iterator[dict[str, object]]:
    """What is true of each addition to a dish but vehicle."""
    time = truth.time_s[:, 0]
    before = ""
    for added in truth.design.additions[1:]:
        rest = truth.calcium[:, (time >= added.start_s - BASELINE_S) & (time < added.start_s)].mean(axis=1)
        peak = truth.calcium[:, (time >= added.start_s) & (time < added.start_s + RESPONSE_S)].max(axis=1)
        yield {
            "file": f"{dish.stem}.ome.tif", "day": dish.day, "dish": dish.name, "compound": added.name,
            "concentration_M": f"{added.concentration:.6g}", "after": before, "cells": truth.cells,
            "responders": int(truth.responder.sum()), "mean_rise_M": f"{(peak - rest).mean():.6g}",
            "emax_M": f"{added.emax:.6g}", "day_ec50_M": f"{added.ec50:.6g}",
            "ec50_M": f"{EC50 if added.name == 'CM572' else FULL.ec50:.6g}", "simulated": "true",
        }  # fmt: skip
        before = f"{added.name} {1e6 * added.concentration:g} µM"


def main(folder: Path) -> None:
    """Write recordings, stimuli, and the truth beside them."""
    (folder / "recordings").mkdir()
    rows: list[dict[str, object]] = []
    for number, dish in enumerate(dishes(np.random.default_rng(SEED))):
        place = folder / "recordings" / dish.stem
        design = dish.design()
        truth = simulate_movie(f"{place}.ome.tif", design, seed=1000 * SEED + number)
        write_stimuli(f"{place}.csv", design)
        rows += rows_of(dish, truth)
    with open(folder / "recordings" / "truth.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
