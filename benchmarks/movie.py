"""A recording of calcium end to end: halfmax beside a plain scikit-image and bioio script, in one run.

    python benchmarks/movie.py [--rounds 5] [--plain-frames 60] [--folder DIR]

The recording is that of `MovieDesign`: simulated Fura-2, 600 frames × 2 channels × 512 × 512 pixels of 16 bits, 200
cells, drift, unequal bleaching.  Masks and stimuli are given.  Its file is warm: it has just been written.

halfmax runs as the command (`halfmax movie … --json`, whose own `seconds` count), and again in a process that has run
it before.  The plain script (`movie_plain.py`) does the same steps in an environment of its own, `.venv-bench/bioio`;
its imports are not timed.  Memory is the peak of the process less that of a bare interpreter.  Then comes the growth
with frames and cells.  Never two at once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import machine
import numpy as np
import tifffile
from numpy.typing import NDArray

from halfmax.virtual import Addition, MovieDesign, MovieTruth, simulate_movie, write_stimuli

Array = NDArray[np.float64]
HERE = Path(__file__).resolve().parent
PYTHON = "Scripts/python.exe" if os.name == "nt" else "bin/python"
PEER = HERE.parent / ".venv-bench" / "bioio" / PYTHON
DESIGN = MovieDesign()
#: Frames and cells of the growth; cells small enough that 800 have room.
FRAMES, CELLS, SMALL = (150, 300, 600, 1200), (50, 200, 800), 5.0
#: Calcium is compared with the truth in these frames.
SHOWN = {"baseline": slice(5, 55), "after 1100 s": slice(550, 600)}
#: Analyses the recording once to warm up, then again and again: seconds of each, and calcium, M, to a file.
AGAIN = """
import json, sys, time
import numpy as np
from pathlib import Path
from halfmax.study.analyses.movies import record
from halfmax.study.document import calcium_of
from halfmax.study.entries import MovieEntry
file, masks, stimuli, settings, traces, rounds = sys.argv[1:]
entry = MovieEntry.model_validate({"file": file, "masks": masks, "stimuli": stimuli})
seconds = []
for _ in range(int(rounds) + 1):
    begin = time.perf_counter()
    dish = record(entry, calcium_of(Path(settings)), Path()).dish
    seconds.append(time.perf_counter() - begin)
np.save(traces, dish.calibration.concentration(dish.signal))
print(json.dumps(seconds[1:]))
"""
SETTINGS = """[calcium]
rmin = 0.333
rmax = 8.0
beta = 8.0
"""


@dataclass(frozen=True)
class Files:
    """A recording and what belongs to it."""

    folder: Path
    truth: MovieTruth

    @property
    def recording(self) -> Path:
        """The recording itself."""
        return self.folder / "dish.ome.tif"

    @property
    def megabytes(self) -> float:
        """Size of its pages."""
        frames, channels = self.truth.time_s.shape
        return frames * channels * 2 * self.truth.labels.size / 1e6

    def options(self) -> list[str]:
        """Words for `halfmax movie`."""
        names = ("masks", "stimuli", "settings")
        return [word for name in names for word in (f"--{name}", str(next(self.folder.glob(f"{name}.*"))))]


@dataclass(frozen=True)
class Row:
    """What one way of doing it took: all times, s, and peak memory above the interpreter, MB."""

    name: str
    seconds: list[float]
    memory: float
    calcium: Array | None = None


def say(text: str) -> None:
    """A line for the person who waits."""
    print(text, file=sys.stderr, flush=True)


def simulated(folder: Path, design: MovieDesign) -> Files:
    """A recording with its masks, stimuli and settings; the file is warm, for it was just written."""
    folder.mkdir()
    truth = simulate_movie(folder / "dish.ome.tif", design, seed=1)
    tifffile.imwrite(folder / "masks.tif", truth.labels.astype(np.uint16))
    write_stimuli(folder / "stimuli.csv", design)
    (folder / "settings.toml").write_text(SETTINGS, encoding="utf-8")
    return Files(folder, truth)


def interpreter_mb() -> float:
    """Memory of an interpreter that does nothing."""
    code = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    # A process inherits the peak of the one that started it, so a small one starts it.
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"
    return int(_output([sys.executable, "-c", start])) * 1024 / 1e6


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command[:4])} … ended with exit code {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def command(files: Files, rounds: int, bare: float) -> Row:
    """`halfmax movie … --json`, a process each time; what it says that it took."""
    words = [sys.executable, "-m", "halfmax", "movie", str(files.recording), *files.options(), "--json"]
    said = [json.loads(_output(words)) for _ in range(rounds)]
    return Row("halfmax movie", [one["seconds"] for one in said], max(one["peak_memory_mb"] for one in said) - bare)


def again(files: Files, rounds: int) -> Row:
    """The same in a process that has run it before."""
    traces = files.folder / "halfmax.npy"
    given = [str(next(files.folder.glob(f"{name}.*"))) for name in ("masks", "stimuli", "settings")]
    said = _output([sys.executable, "-c", AGAIN, str(files.recording), *given, str(traces), str(rounds)])
    return Row("halfmax, in a process that runs", json.loads(said), float("nan"), np.load(traces))


def plain(files: Files, reader: str, frames: int | None, bare: float) -> Row:
    """The plain script; with fewer frames, its time for them is scaled to all."""
    traces = files.folder / f"{reader}.npy"
    words = [str(PEER), str(HERE / "movie_plain.py"), str(files.recording), str(next(files.folder.glob("masks.*")))]
    words += ["--reader", reader, "--traces", str(traces), *(["--frames", str(frames)] if frames else [])]
    said = json.loads(_output(words))
    seconds = said["open"] + said["frames"] * len(files.truth.time_s) / said["count"]
    return Row(f"scikit-image and {reader}", [seconds], said["peak_memory_mb"] - bare, np.load(traces))


def error(calcium: Array | None, truth: MovieTruth, frames: slice) -> str:
    """Median error over cells of the mean calcium of some frames, %."""
    if calcium is None or calcium.shape[1] < frames.stop:
        return "–"
    found, true = np.nanmean(calcium[:, frames], axis=1), truth.calcium[:, frames].mean(axis=1)
    return f"{100 * np.nanmedian(np.abs(found / true - 1)):.2f} %"


def race(files: Files, rounds: int, plain_frames: int | None) -> None:
    """The table of halfmax and the plain script."""
    bare = interpreter_mb()
    rows = []
    for name, run in (
        ("halfmax movie", lambda: command(files, rounds, bare)),
        ("halfmax again", lambda: again(files, rounds)),
        ("tifffile", lambda: plain(files, "tifffile", plain_frames, bare)),
        ("bioio", lambda: plain(files, "bioio", plain_frames, bare)),
    ):
        say(f"{name} …")
        rows.append(run())
    slowest = min(rows[-1].seconds)
    print(f"{files.megabytes:.0f} MB, {len(files.truth.labels)} × {files.truth.labels.shape[1]} pixels, "
          f"{files.truth.cells} cells; the best of {rounds} rounds; a bare interpreter has {bare:.0f} MB")  # fmt: skip
    if plain_frames:
        print(f"The plain scripts ran on {plain_frames} frames; their time is scaled to all.")
    print("| | seconds | slowest round | MB/s | ratio to bioio | peak memory above the interpreter, MB | "
          "error of calcium at baseline | after 1100 s |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        best = min(row.seconds)
        errors = " | ".join(error(row.calcium, files.truth, frames) for frames in SHOWN.values())
        memory = "–" if np.isnan(row.memory) else f"{row.memory:.0f}"
        print(f"| {row.name} | {best:.2f} | {max(row.seconds):.2f} | {files.megabytes / best:.0f} | "
              f"{slowest / best:.1f} | {memory} | {errors} |")  # fmt: skip


def growth(folder: Path, rounds: int) -> None:
    """How the command's time and memory grow with frames and with cells."""
    bare = interpreter_mb()
    small = replace(DESIGN.cells, radius=SMALL, radius_sd=0.5)
    designs = [replace(DESIGN, frames=frames, additions=_within(frames)) for frames in FRAMES]
    designs += [replace(DESIGN, cells=replace(small, number=number)) for number in CELLS]
    print("\n| frames | cells | seconds | MB/s | ms a frame | peak memory above the interpreter, MB |")
    print("|---|---|---|---|---|---|")
    for number, design in enumerate(designs):
        say(f"{design.frames} frames, {design.cells.number} cells …")
        files = simulated(folder / f"growth_{number}", design)
        row = command(files, rounds, bare)
        best = min(row.seconds)
        print(f"| {design.frames} | {design.cells.number}{' small' if design.cells.radius == SMALL else ''} | "
              f"{best:.2f} | {files.megabytes / best:.0f} | {1e3 * best / design.frames:.2f} | {row.memory:.0f} |",
              flush=True)  # fmt: skip
        files.recording.unlink()


def _within(frames: int) -> tuple[Addition, ...]:
    """Additions at the same share of a recording of another length."""
    share = frames / DESIGN.frames
    return tuple(replace(one, start_s=one.start_s * share) for one in DESIGN.additions)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="A recording of calcium end to end, beside a plain script.")
    parser.add_argument("--rounds", type=int, default=5, help="runs of halfmax; the best counts")
    parser.add_argument("--plain-frames", type=int, help="frames for the plain scripts; scaled to all")
    parser.add_argument("--folder", help="where the recordings are written and deleted again; some 2 GB")
    asked = parser.parse_args()
    if not PEER.exists():
        raise SystemExit(f"{PEER} is missing. `make bench` makes the environments of the peers.")
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        files = simulated(Path(folder) / "dish", DESIGN)
        race(files, asked.rounds, asked.plain_frames)
        files.recording.unlink()
        growth(Path(folder), min(asked.rounds, 3))
    loads = ", ".join(f"{one:.1f}" for one in os.getloadavg()) if hasattr(os, "getloadavg") else "–"
    print(f"\n{machine.description()}; {time.strftime('%Y-%m-%d')}; load {loads}; {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
