"""Many curves: the same numbers whatever runs them, in bounded memory, taken up where they stopped."""

import csv
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from halfmax.curves import hill
from halfmax.errors import FileError, HalfmaxError, RangeError, TableError
from halfmax.readers.long import Columns
from halfmax.study import many
from halfmax.study.many import Work, expand, fit_tables, fit_to_file

COLUMNS = Columns("dose", "signal", ("plate", "compound"), "µM")


def table(curves, seed=1):
    """A long table of curves with a known truth."""
    rng = np.random.default_rng(seed)
    dose = np.repeat(np.geomspace(1e-2, 100, 8), 2)
    frames = []
    for number in range(curves):
        ec50 = 10 ** rng.uniform(-1, 1.5)
        signal = hill(dose, ec50=ec50, hill_slope=-1.2, top=100, bottom=5) + rng.normal(0, 4, dose.size)
        frames.append(pd.DataFrame({"plate": f"p{number // 10}", "compound": f"c{number}", "dose": dose,
                                    "signal": signal.round(6)}))  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def silent(_done):
    pass


@pytest.fixture
def small_batches(monkeypatch):
    """Batches of 8 curves, so that a small table makes several."""
    monkeypatch.setattr("halfmax.estimate.many.BATCH", 8)
    monkeypatch.setattr(many, "BATCH", 8)


@pytest.fixture(scope="module")
def long_csv(tmp_path_factory):
    path = tmp_path_factory.mktemp("many") / "long.csv"
    table(30).to_csv(path, index=False)
    return path


@pytest.mark.usefixtures("small_batches")
def test_csv_parquet_pieces_and_streaming_give_the_same_bytes(long_csv, tmp_path, monkeypatch):
    frame = pd.read_csv(long_csv)
    frame.to_parquet(tmp_path / "whole.parquet")
    for number, part in enumerate(np.array_split(np.arange(len(frame)), 3)):
        frame.iloc[part].to_csv(tmp_path / f"piece{number}.csv", index=False)
    inputs = {
        "csv": (long_csv,),
        "parquet": (tmp_path / "whole.parquet",),
        "pieces": expand([tmp_path / "piece*.csv"]),
    }
    outputs = []
    for large in (1 << 40, 0):
        monkeypatch.setattr(many, "LARGE", large)
        for name, files in inputs.items():
            target = tmp_path / f"{name}-{large}.csv"
            assert fit_to_file(Work(files, COLUMNS), target, silent) == (30, fit_count(target))
            outputs.append(target.read_bytes())
    assert len(set(outputs)) == 1
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def fit_count(path):
    """Curves of an output whose EC50 is not bounded on both sides."""
    with open(path, encoding="utf-8", newline="") as stream:
        return sum(row["ec50_operator"] != "=" for row in csv.DictReader(stream))


@pytest.mark.usefixtures("small_batches")
def test_the_truth_comes_back_in_order(long_csv, tmp_path):
    records = fit_tables(Work((long_csv,), COLUMNS), silent)
    assert [record["compound"] for record in records] == [f"c{number}" for number in range(30)]
    fit_to_file(Work((long_csv,), COLUMNS), tmp_path / "out.parquet", silent)
    back = pd.read_parquet(tmp_path / "out.parquet")
    assert back["ec50"].tolist() == pytest.approx([record["ec50"] for record in records], nan_ok=True)
    assert str(back["notes"].dtype) in ("object", "str", "string")
    assert set(back["ec50_unit"]) == {"M"}


def test_a_pool_and_a_cluster_give_the_same_bytes_as_one_process(tmp_path):
    """Whole processes: a real Dask scheduler with two workers."""
    from distributed import LocalCluster

    path = tmp_path / "long.csv"
    table(2200, seed=2).to_csv(path, index=False)
    outputs = [tmp_path / f"{name}.csv" for name in ("one", "two", "cluster")]
    fit_to_file(Work((path,), COLUMNS), outputs[0], silent)
    fit_to_file(Work((path,), COLUMNS, workers=2), outputs[1], silent)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        fit_to_file(Work((path,), COLUMNS, cluster=cluster.scheduler_address), outputs[2], silent)
    assert len({output.read_bytes() for output in outputs}) == 1


@pytest.mark.usefixtures("small_batches")
def test_an_interrupted_run_is_taken_up_where_it_stopped(long_csv, tmp_path):
    whole, target = tmp_path / "whole.csv", tmp_path / "out.csv"
    fit_to_file(Work((long_csv,), COLUMNS), whole, silent)

    def stop(done):
        if done == 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_to_file(Work((long_csv,), COLUMNS), target, stop)
    assert not target.exists()
    seen = []
    fit_to_file(Work((long_csv,), COLUMNS), target, seen.append, resume=True)
    assert seen == [16, 24, 30]
    assert target.read_bytes() == whole.read_bytes()


@pytest.mark.usefixtures("small_batches")
def test_a_run_that_asked_for_something_else_is_not_taken_up(long_csv, tmp_path):
    def stop(done):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_to_file(Work((long_csv,), COLUMNS), tmp_path / "out.csv", stop)
    with pytest.raises(FileError, match="asked for something else"):
        fit_to_file(Work((long_csv,), COLUMNS, level=0.9), tmp_path / "out.csv", silent, resume=True)


def test_a_curve_whose_rows_do_not_stand_together_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(many, "LARGE", 0)
    path = tmp_path / "t.csv"
    pd.concat([table(2), table(1)]).to_csv(path, index=False)
    with pytest.raises(TableError, match=r"curve p0, c0 do not stand together\. Sort the table by plate, compound"):
        fit_tables(Work((path,), COLUMNS), silent)


def test_what_cannot_be_is_refused(long_csv, tmp_path):
    with pytest.raises(FileError, match="no file matches"):
        expand([tmp_path / "*.csv"])
    with pytest.raises(FileError, match="there is no such file"):
        expand([tmp_path / "t.csv"])
    with pytest.raises(RangeError, match=r'go to "\.csv" or "\.parquet", not "\.txt"'):
        fit_to_file(Work((long_csv,), COLUMNS), tmp_path / "out.txt", silent)
    with pytest.raises(HalfmaxError, match="no Dask scheduler answers there"):
        fit_tables(Work((long_csv,), COLUMNS, cluster="tcp://127.0.0.1:1"), silent)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(FileError, match=r"bad\.parquet: not a Parquet file"):
        fit_tables(Work((tmp_path / "bad.parquet",), COLUMNS), silent)
    pd.DataFrame({"dose": [1.0]}).to_parquet(tmp_path / "less.parquet")
    with pytest.raises(FileError, match='there is no column "signal"'):
        fit_tables(Work((tmp_path / "less.parquet",), COLUMNS), silent)


def test_the_command_takes_several_files_and_workers(long_csv, tmp_path):
    target = tmp_path / "fits.csv"
    words = ["fit", str(long_csv.parent / "*.csv"), "-x", "dose", "-y", "signal", "--by", "plate,compound"]
    result = subprocess.run(
        [sys.executable, "-m", "halfmax", *words, "--workers", "2", "-o", str(target)],
        capture_output=True, text=True, check=True, encoding="utf-8",
    )  # fmt: skip
    assert "30 curves" in result.stderr
    result = subprocess.run(
        [sys.executable, "-m", "halfmax", *words, "--json"],
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    assert len(json.loads(result.stdout)) == 30
