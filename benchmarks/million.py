"""A million curves through `halfmax fit`: one process, two, and a Dask cluster of two workers.

    python benchmarks/million.py [--curves 20000] [--suffix .csv] [--folder DIR]

Simulated four-parameter curves (8 half-log doses × 3 wells, noise 5 %, EC50 anywhere within
the doses) are written once, as Parquet, in blocks.  Printed are wall time, curves a second,
the largest memory of all processes of a run together, and whether the outputs are the same
bytes.  Each process has one thread, so that two of them are compared with one, not with the
cores that a linear-algebra library would take.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import machine
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

DOSES_UM = np.repeat(10.0 ** np.arange(-2.0, 2.0, 0.5), 3)
NOISE = 5.0
SEED = 20261123
#: Curves written at a time; each block is a row group.
BLOCK = 10_000
#: Memory that all processes of a run may have together, bytes.
MEMORY_LIMIT = 2e9
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "BLIS")}


@dataclass(frozen=True)
class Run:
    """What one run took and made."""

    name: str
    seconds: float
    memory: float
    digest: str


def curves(first: int, count: int) -> pa.Table:
    """Rows of some curves; a block is the same whatever was written before it."""
    rng = np.random.default_rng([SEED, first])
    log_dose = np.log10(DOSES_UM)
    log_ec50 = rng.uniform(log_dose[0], log_dose[-1], (count, 1))
    slope = 10 ** rng.uniform(-0.2, 0.4, (count, 1))
    top, bottom = rng.normal(100, 3, (count, 1)), rng.uniform(0, 20, (count, 1))
    signal = bottom + (top - bottom) / (1 + 10 ** (slope * (log_dose - log_ec50)))
    signal += rng.normal(0, NOISE, signal.shape)
    names = pa.array([f"C{number:07d}" for number in range(first, first + count)])
    index = pa.array(np.repeat(np.arange(count, dtype=np.int32), DOSES_UM.size))
    columns = {
        "compound": pa.DictionaryArray.from_arrays(index, names).cast(pa.string()),
        "dose": np.tile(DOSES_UM, count),
        "signal": np.round(signal, 4).ravel(),
    }
    return pa.table(columns)


def write(file: Path, count: int) -> None:
    """All curves, a block in memory at a time."""
    with pq.ParquetWriter(file, curves(0, 1).schema) as writer:
        for first in range(0, count, BLOCK):
            writer.write_table(curves(first, min(BLOCK, count - first)))
            say(f"written: {min(first + BLOCK, count)} curves")
    say(f"{file}: {file.stat().st_size / 1e6:.0f} MB")


def say(text: str) -> None:
    """A line for the person who waits."""
    print(text, file=sys.stderr, flush=True)


def tree_memory(processes: list[psutil.Process]) -> float:
    """Resident memory of some processes and all that they started, bytes; shared pages count in each."""
    total, seen = 0.0, set()
    for parent in processes:
        try:
            family = [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        for one in family:
            if one.pid in seen:
                continue
            seen.add(one.pid)
            try:
                total += one.memory_info().rss
            except psutil.NoSuchProcess:
                continue
    return total


def run(name: str, file: Path, output: Path, options: list[str], others: list[psutil.Process]) -> Run:
    """One `halfmax fit`, watched; `others` are processes that work for it."""
    say(f"{name}: halfmax fit {' '.join(options)}")
    command = [
        sys.executable, "-m", "halfmax", "fit", str(file), "-x", "dose", "-y", "signal", "--by", "compound",
        "--unit", "µM", "-o", str(output), *options,
    ]  # fmt: skip
    begin, largest = time.perf_counter(), 0.0
    process = subprocess.Popen(command, env=os.environ | ONE_THREAD)
    watched = [psutil.Process(process.pid), *others]
    while process.poll() is None:
        largest = max(largest, tree_memory(watched))
        time.sleep(0.1)
    seconds = time.perf_counter() - begin
    if process.returncode != 0:
        raise SystemExit(f"{name}: halfmax fit ended with exit code {process.returncode}; its message stands above.")
    with open(output, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    output.unlink()
    return Run(name, seconds, largest, digest)


#: Dask's workers give every large temporary array back to the system at once, which costs half of their time.
ONE_HEAP = {"MALLOC_TRIM_THRESHOLD_": "268435456", "MALLOC_MMAP_THRESHOLD_": "268435456"}


@contextmanager
def cluster(folder: Path, workers: int = 2) -> Iterator[tuple[str, list[psutil.Process]]]:
    """Dask scheduler on this machine with workers of one thread each: its address and its processes."""
    note = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    own = {
        "cwd": folder,
        "env": os.environ | ONE_THREAD | ONE_HEAP,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }
    place = ["--scheduler-file", str(note), "--no-dashboard"]
    started = [subprocess.Popen([*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", *place], **own)]
    try:
        for _ in range(workers):
            started.append(subprocess.Popen([*dask, "worker", "--nthreads", "1", *place], **own))
        yield ready(note, workers), [psutil.Process(one.pid) for one in started]
    finally:
        for one in reversed(started):
            one.terminate()
        for one in started:
            one.wait(timeout=30)


def ready(note: Path, workers: int) -> str:
    """Address of the scheduler, once all its workers are there."""
    from distributed import Client

    for _ in range(600):
        if note.is_file() and note.stat().st_size:
            break
        time.sleep(0.1)
    else:
        raise SystemExit("the Dask scheduler did not start within a minute.")
    address = str(json.loads(note.read_text())["address"])
    with Client(address, timeout=30, set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=60)
    return address


def report(runs: list[Run], count: int) -> bool:
    """Print the table; whether the bytes are the same and the memory within its limit."""
    print(f"{count} curves of {DOSES_UM.size} wells")
    print(f"{'':<28}{'seconds':>9}{'curves/s':>10}{'ratio':>7}{'memory':>10}  sha256 of the output")
    for one in runs:
        print(
            f"{one.name:<28}{one.seconds:>9.1f}{count / one.seconds:>10.0f}{runs[0].seconds / one.seconds:>7.2f}"
            f"{one.memory / 1e6:>7.0f} MB  {one.digest[:16]}"
        )
    same, small = len({one.digest for one in runs}) == 1, max(one.memory for one in runs) < MEMORY_LIMIT
    print(machine.description())
    print(f"outputs byte-identical: {'yes' if same else 'NO'}; memory below 2 GB: {'yes' if small else 'NO'}")
    return same and small


def main() -> None:
    """Write the curves, make the three runs, print the table."""
    parser = argparse.ArgumentParser(description="A million curves: one process, two, and a Dask cluster.")
    parser.add_argument("--curves", type=int, default=1_000_000, help="how many curves")
    parser.add_argument("--suffix", choices=(".parquet", ".csv"), default=".parquet", help="kind of the output")
    parser.add_argument("--folder", type=Path, help="where the temporary files stand")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="halfmax-million-", dir=asked.folder) as name:
        folder = Path(name)
        file, output = folder / "curves.parquet", folder / f"fits{asked.suffix}"
        write(file, asked.curves)
        runs = [run("1 process", file, output, [], [])]
        runs.append(run("2 processes", file, output, ["--workers", "2"], []))
        with cluster(folder) as (address, processes):
            runs.append(run("Dask, 2 workers", file, output, ["--cluster", address], processes))
        if not report(runs, asked.curves):
            raise SystemExit(1)


if __name__ == "__main__":
    main()
