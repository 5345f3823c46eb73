"""Cells found on simulated recordings: halfmax beside scikit-image's plain watershed.

    python benchmarks/segment.py [--seeds 5] [--frames 20]

Fura-2 recordings of 512 × 512 pixels with 200 cells without drift (the mean of a registered one), the two
channels made one picture by `anatomy`.  Their cells are thicker in the middle, which is kind; the last rows are
flat ellipses painted here, half of them overlapping another one a little, of more varied size and shape, in haze,
without and with texture and dark nuclei.  A cell is found if intersection over union with a true one is above
1/2.  The plain watershed is the recipe of scikit-image's gallery: Otsu, distance transform, `peak_local_max`,
once as it stands there and once told the true radius as `min_distance`.  halfmax is told nothing.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import machine
import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

from halfmax.assays.calcium.segment import anatomy, segment
from halfmax.virtual import Background, Cells, Drift, MovieDesign, simulate_movie

Array = NDArray[np.float64]
Labels = NDArray[np.int32]
RADIUS = 9.0
#: What is changed of the ordinary recording: share of touching cells, spread of brightness, unevenness.
SCENES = {
    "apart": (Cells(radius=RADIUS), 0.25),
    "30 % touching": (Cells(radius=RADIUS, touching=0.3), 0.25),
    "60 % touching": (Cells(radius=RADIUS, touching=0.6), 0.25),
    "30 % touching, brightness SD 0.5": (Cells(radius=RADIUS, touching=0.3, brightness_sd=0.5), 0.5),
    "30 % touching, dim": (Cells(radius=RADIUS, touching=0.3, brightness_sd=0.5, brightness=100), 0.5),
    "30 % touching, long (aspect to 2)": (Cells(radius=RADIUS, radius_sd=1.5, touching=0.3, aspect=2.0), 0.25),
}


class Match(NamedTuple):
    """How well found cells agree with true ones."""

    precision: float
    recall: float
    f1: float


def overlap(labels: Labels, truth: Labels) -> Array:
    """Intersection over union, shape (found, true)."""
    found, true = int(labels.max()), int(truth.max())
    both = np.bincount((labels.astype(np.int64) * (true + 1) + truth).ravel(), minlength=(found + 1) * (true + 1))
    both = both.reshape(found + 1, true + 1)
    shared = both[1:, 1:]
    return np.asarray(shared / (both[1:].sum(axis=1)[:, None] + both[:, 1:].sum(axis=0) - shared))


def match(labels: Labels, truth: Labels, *, iou: float = 0.5) -> Match:
    """Precision, recall and F1; above an IoU of 1/2 a cell has one partner at most."""
    found, true = int(labels.max()), int(truth.max())
    hits = int((overlap(labels, truth) > iou).sum())
    return Match(hits / max(found, 1), hits / max(true, 1), 2 * hits / max(found + true, 1))


def plain(picture: Array, *, min_distance: int | None) -> Labels:
    """The gallery's recipe; without a distance its 3 × 3 footprint."""
    bright = picture > threshold_otsu(picture)
    distance = ndimage.distance_transform_edt(bright)
    options = {"footprint": np.ones((3, 3))} if min_distance is None else {"min_distance": min_distance}
    peaks = peak_local_max(distance, labels=bright.astype(np.int32), **options)
    markers = np.zeros(picture.shape, dtype=np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return np.asarray(watershed(-distance, markers, mask=bright), dtype=np.int32)


METHODS: dict[str, Callable[[Array], Labels]] = {
    "halfmax": lambda picture: segment(picture).labels,
    "plain": lambda picture: plain(picture, min_distance=None),
    "plain, told the radius": lambda picture: plain(picture, min_distance=round(RADIUS)),
}


def scene(name: str, seed: int, frames: int) -> tuple[Array, Labels]:
    """Picture of a simulated recording, and its true cells."""
    cells, unevenness = SCENES[name]
    background = Background(unevenness=unevenness)
    design = MovieDesign(frames=frames, cells=cells, drift=Drift(rms=0.0), additions=(), background=background)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "dish.ome.tif"
        truth = simulate_movie(file, design, seed=seed)
        pages = tifffile.imread(file).reshape(frames, 2, *design.shape)
    return anatomy(pages.mean(axis=0)), truth.labels


#: Painted: relative SD of the light within a cell, and how much light its nucleus lacks.
PAINTED = {"flat": (0.0, 0.0), "flat, textured": (0.25, 0.0), "flat, dark nuclei": (0.0, 0.5)}


def painted(name: str, seed: int, number: int = 150) -> tuple[Array, Labels]:
    """Flat ellipses, blurred, on uneven background with haze and noise."""
    texture, nucleus = PAINTED[name]
    rng = np.random.default_rng(seed)
    shape = (512, 512)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    light, truth = np.zeros(shape), np.zeros(shape, dtype=np.int32)
    while truth.max() < number:
        radius, stretch = max(RADIUS / 2, rng.normal(RADIUS, 0.2 * RADIUS)), np.sqrt(rng.uniform(1, 1.8))
        turn, dy, dx = rng.uniform(0, np.pi), y - rng.uniform(0, shape[0]), x - rng.uniform(0, shape[1])
        along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
        distance = np.hypot(along / (radius * stretch), across * stretch / radius)
        cell, near = distance < 1, (distance < 1.4) & (truth > 0)
        joins = rng.random() < 0.5 and bool(truth.any())
        if near.any() != joins or (near & cell).sum() > 0.08 * cell.sum():
            continue
        mine = cell & (truth == 0)
        light[mine] = 100 * np.exp(rng.normal(0, 0.5)) * (1 - nucleus * (distance[mine] < 0.45))
        truth[mine] = truth.max() + 1
    grain = ndimage.gaussian_filter(rng.standard_normal(shape), 1.2)
    light = ndimage.gaussian_filter(light * (1 + texture * grain / grain.std()), 1.2)
    haze = ndimage.gaussian_filter((rng.random(shape) < 1e-4).astype(float), 2.5 * RADIUS)
    light += 30 * haze / haze.max() + 30 + 7 * x / shape[1] - 10 * y / shape[0]
    return light + rng.standard_normal(shape) * np.sqrt(0.1 + light / 400), truth


def print_scores(seeds: int) -> None:
    """Print how often cells of a score are right, over all painted pictures."""
    scores, best = [], []
    for name in PAINTED:
        for seed in range(1, seeds + 1):
            picture, truth = painted(name, seed)
            cells = segment(picture)
            scores.append(cells.score)
            best.append(overlap(cells.labels, truth).max(axis=1))
    score, iou = np.concatenate(scores), np.concatenate(best)
    print("| score (painted pictures) | cells | right | median IoU |")
    print("|---|---|---|---|")
    for low, high in itertools.pairwise((0.0, 0.2, 0.4, 0.6, 0.8, 1.0)):
        here = (score > low) & (score <= high)
        print(f"| {low:g}–{high:g} | {here.sum()} | {np.mean(iou[here] > 0.5):.2f} | {np.median(iou[here]):.2f} |")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Cells found: halfmax beside scikit-image's plain watershed.")
    parser.add_argument("--seeds", type=int, default=5, help="recordings a row")
    parser.add_argument("--frames", type=int, default=20, help="frames of each")
    asked = parser.parse_args()
    print(
        f"{asked.seeds} simulated recordings a row, 200 cells each, mean of {asked.frames} frames; painted: 150 cells."
    )
    print("| cells | method | precision | recall | F1 | seconds |")
    print("|---|---|---|---|---|---|")
    for name in (*SCENES, *PAINTED):
        print(f"{name} …", file=sys.stderr, flush=True)
        seeds = range(1, asked.seeds + 1)
        scenes = [painted(name, seed) if name in PAINTED else scene(name, seed, asked.frames) for seed in seeds]
        for method, find in METHODS.items():
            begin = time.perf_counter()
            found = [find(picture) for picture, _ in scenes]
            seconds = (time.perf_counter() - begin) / len(scenes)
            scores = [match(labels, truth) for labels, (_, truth) in zip(found, scenes, strict=True)]
            numbers = " | ".join(f"{value:.3f}" for value in np.mean(scores, axis=0))
            print(f"| {name} | {method} | {numbers} | {seconds:.2f} |", flush=True)
    print()
    print_scores(asked.seeds)
    print(machine.description())


if __name__ == "__main__":
    main()
