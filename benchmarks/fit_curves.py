"""Many four-parameter curves on one thread: halfmax beside its peers, in one run.

    python benchmarks/fit_curves.py [--rounds 5]

1000 simulated curves × 30 wells (`dose_response/bench4pl.npz`), whose truth is known.
Each fitter is a process of its own, warmed up, that waits for its turn: in every round
each has one, one after the other, never two at once.  The fastest fit of all turns
counts.  Residual sums of squares are computed here, from the estimates, alike for all.
`make bench` makes the environments of the peers (in `.venv-bench`) and runs this.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import machine
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
#: What is timed, in this order: its title, and the folder of `.venv-bench` that it runs in, if not in this environment.
ROWS = {
    "scipy": ("scipy curve_fit", ""),
    "halfmax": ("halfmax, point fits", ""),
    "halfmax-intervals": ("halfmax, with 4 profile intervals", ""),
    "thunor": ("thunor fit_drc", "thunor"),
    "curve-curator-fast": ("CurveCurator OLS, fast", "curve-curator"),
    "curve-curator": ("CurveCurator OLS, standard", "curve-curator"),
}
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "BLIS")}
#: Relative difference from which on two residual sums of squares are not the same.
TOLERANCE = 1e-6
HEAD = """\
                                            ratio  slowest      median  RSS larger, smaller
                                   fits/s  to scipy  turn  |Δlog10 EC50|     than scipy's    failed"""


@dataclass
class Contestant:
    """A fitter in its process, its times, and what it found."""

    process: subprocess.Popen[str]
    versions: dict[str, str]
    walls: list[float] = field(default_factory=list)
    estimates: Array = field(default_factory=lambda: np.empty((0, 4)))

    @classmethod
    def started(cls, name: str, python: Path, data: Path) -> Contestant:
        """Process that has imported everything and is warm."""
        process = subprocess.Popen(
            [python, HERE / "contestant.py", name, data], env=os.environ | ONE_THREAD, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        return cls(process, answer(process, name))

    def turn(self, name: str) -> None:
        """Let it fit all curves; the others wait."""
        assert self.process.stdin is not None
        print("fit", file=self.process.stdin, flush=True)
        found = answer(self.process, name)
        if found["cpu"] > 1.2 * found["wall"]:
            raise SystemExit(f"{name} used more than one thread: that would be no fair comparison.")
        self.walls.append(found["wall"])
        self.estimates = np.array(found["estimates"], dtype=float)


def answer(process: subprocess.Popen[str], name: str) -> dict[str, Any]:
    """Next line of a contestant."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{name} stopped with exit code {process.wait()}; its message stands above.")
    return dict(json.loads(line))


def data_file() -> Path:
    """The data set, or a message that says where it is looked for."""
    folder = Path(os.environ.get("HALFMAX_DATA", ROOT.parent / "shared" / "data"))
    file = folder / "dose_response" / "bench4pl.npz"
    if not file.is_file():
        raise SystemExit(f"{file}: there is no such file. Set HALFMAX_DATA to the folder that holds dose_response/.")
    return file


def python_of(environment: str) -> Path:
    """Interpreter of one of the benchmark's environments."""
    if not environment:
        return Path(sys.executable)
    return ROOT / ".venv-bench" / environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def start(data: Path) -> dict[str, Contestant]:
    """All contestants whose environment is there; the others are named."""
    contestants = {}
    for name, (title, environment) in ROWS.items():
        python = python_of(environment)
        if python.is_file():
            contestants[name] = Contestant.started(name, python, data)
        else:
            print(f"{title}: left out. There is no {python}; make bench makes it.", file=sys.stderr)
    return contestants


def residuals(x: Array, signals: Array, estimates: Array) -> Array:
    """Residual sum of squares of each curve, NaN where its fit failed."""
    log_ec50, slope, first, last = (column[:, None] for column in estimates.T)
    with np.errstate(over="ignore"):
        curve = last + (first - last) / (1 + 10 ** (slope * (x - log_ec50)))
    return np.asarray(((curve - signals) ** 2).sum(axis=1))


def report(contestants: dict[str, Contestant], data: Path, rounds: int) -> None:
    """Print the table and with what it was made."""
    table = np.load(data)
    rss = {name: residuals(table["logx"], table["y"], one.estimates) for name, one in contestants.items()}
    theirs, reference = rss["scipy"], min(contestants["scipy"].walls)
    print(f"{theirs.size} curves of {table['logx'].size} wells; one thread; the best of {rounds} turns\n{HEAD}")
    for name, one in contestants.items():
        best, ours = min(one.walls), rss[name]
        larger, smaller = (ours > theirs * (1 + TOLERANCE)).sum(), (theirs > ours * (1 + TOLERANCE)).sum()
        error = np.nanmedian(np.abs(one.estimates[:, 0] - table["logec50"]))
        print(
            f"{ROWS[name][0]:<33}{theirs.size / best:>8.0f}{reference / best:>10.2f}{max(one.walls) / best:>6.2f}"
            f"{error:>15.5f}{larger:>10d},{smaller:>6d}{np.isnan(ours).sum():>10d}"
        )
    print(machine.description())
    for one in {tuple(one.versions.items()): one for one in contestants.values()}.values():
        print(", ".join(f"{package} {number}" for package, number in one.versions.items()))


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description="Fits of many curves: halfmax beside its peers.")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each; the best counts")
    rounds, data = parser.parse_args().rounds, data_file()
    contestants = start(data)
    for number in range(1, rounds + 1):
        for name, one in contestants.items():
            print(f"round {number} of {rounds}: {ROWS[name][0]}", file=sys.stderr)
            one.turn(name)
    report(contestants, data, rounds)
    for one in contestants.values():
        one.process.communicate()


if __name__ == "__main__":
    main()
