"""Many curves: the same numbers whatever runs them, in bounded memory, taken up where they stopped."""

import csv
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from halfmax.curves import hill
from halfmax.errors import FileError, FitError, HalfmaxError, RangeError, TableError
from halfmax.estimate import false_discovery, fit
from halfmax.estimate.many import FitOptions, fit_curves, fit_many
from halfmax.readers import long
from halfmax.readers.long import Columns, Curves, in_batches, read_curves, stream_curves
from halfmax.study import many
from halfmax.study.many import Work, expand, fit_tables, fit_to_file

COLUMNS = Columns("dose", "signal", ("plate", "compound"), "µM")
EVERYTHING = FitOptions(
    "hill5", 0.9, fixed={"asymmetry": 1.0}, bounds={"bottom": (0.0, 20.0)}, noise="power",
    also=("ec10", "ec50_absolute"), zero=0.0,
)  # fmt: skip


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


def test_a_pool_and_a_cluster_give_the_same_bytes_as_one_process(tmp_path, monkeypatch):
    """Whole processes: a real Dask scheduler with two workers."""
    from distributed import LocalCluster

    monkeypatch.setattr(many, "BATCH", 50)
    path = tmp_path / "long.csv"
    table(450, seed=2).to_csv(path, index=False)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        whose = {"one": {}, "two": {"workers": 2}, "cluster": {"cluster": cluster.scheduler_address}}
        for suffix in (".csv", ".parquet"):
            outputs = [tmp_path / f"{name}{suffix}" for name in whose]
            for output, options in zip(outputs, whose.values(), strict=True):
                fit_to_file(Work((path,), COLUMNS, **options), output, silent)
            assert len({output.read_bytes() for output in outputs}) == 1


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize(
    ("workers", "suffix", "options"),
    [(1, ".csv", FitOptions()), (2, ".parquet", FitOptions()), (2, ".csv", EVERYTHING)],
    ids=["csv", "parquet", "everything asked for"],
)
def test_an_interrupted_run_is_taken_up_where_it_stopped(long_csv, tmp_path, workers, suffix, options):
    whole, target = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    work = Work((long_csv,), COLUMNS, options, workers=workers)
    counts = fit_to_file(Work((long_csv,), COLUMNS, options), whole, silent)

    def stop(done):
        if done == 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_to_file(work, target, stop)
    assert not target.exists()
    seen = []
    assert fit_to_file(work, target, seen.append, resume=True) == counts
    assert seen == [16, 24, 30]
    assert target.read_bytes() == whole.read_bytes()


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize(
    "other",
    [
        FitOptions("hill3"), FitOptions(level=0.9), FitOptions(fixed={"bottom": 0.0}),
        FitOptions(bounds={"bottom": (0.0, 20.0)}), FitOptions(noise="proportional"), FitOptions(also=("ec10",)),
        FitOptions(zero=0.0),
    ],
)  # fmt: skip
def test_a_run_that_asked_for_something_else_is_not_taken_up(long_csv, tmp_path, other):
    def stop(done):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_to_file(Work((long_csv,), COLUMNS), tmp_path / "out.csv", stop)
    with pytest.raises(FileError, match="asked for something else"):
        fit_to_file(Work((long_csv,), COLUMNS, other), tmp_path / "out.csv", silent, resume=True)


def test_a_curve_whose_rows_do_not_stand_together_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(many, "LARGE", 0)
    path = tmp_path / "t.csv"
    pd.concat([table(2), table(1)]).to_csv(path, index=False)
    with pytest.raises(TableError, match=r"curve p0, c0 do not stand together\. Sort the table by plate, compound"):
        fit_tables(Work((path,), COLUMNS), silent)


UGLY = {
    "clear": ([1, 1, 3, 3, 10, 10, 30, 30], [99, 101, 80, 78, 22, 20, 5, 4]),
    "open above": ([1, 1, 3, 3, 10, 10, 30, 30], [100, 101, 99, 98, 95, 94, 80, 82]),
    "flat": ([1, 1, 3, 3, 10, 10, 30, 30], [100, 90, 97, 103, 95, 104, 101, 96]),
    "all equal": ([1, 3, 10, 30, 100], [7, 7, 7, 7, 7]),
    "vehicle, missing wells": ([0, 0, 0, 1, 3, 3, 10, 30, 100], [99, None, 102, 95, 70, None, 33, 8, 6]),
    "one dose": ([10, 10, 10], [3, 4, 5]),
    "too few wells": ([0, 1, 3, 10], [100, 80, 40, 10]),
    "nothing measured": ([1, 3, 10, 30, 100], [None] * 5),
    "misses the means": (
        np.repeat([1, 3, 10, 30, 100], 3),
        [99, 100, 101, 60, 61, 59, 90, 91, 89, 20, 21, 22, 5, 6, 4],
    ),
    "steep": ([1, 1, 3, 3, 10, 10, 30, 30], [100, 101, 99, 100, 1, 0, 0.5, -0.5]),
    "rising": ([0.1, 1, 3, 10, 30, 100], [1, 9, 26, 52, 74, 93]),
    "huge": ([1, 3, 10, 30, 100], [1e200, 9e199, 5e199, 1e199, 1e198]),
    "outside the doses": ([100, 100, 300, 300, 1000, 1000], [52, 48, 31, 29, 10, 11]),
}


def ugly_table():
    parts = [pd.DataFrame({"curve": name, "dose": np.array(dose, dtype=float), "signal": np.array(signal, dtype=float)})
             for name, (dose, signal) in UGLY.items()]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def ugly_curves(tmp_path):
    path = tmp_path / "ugly.parquet"
    ugly_table().to_parquet(path)
    return lambda unit=None: read_curves((path,), Columns("dose", "signal", ("curve",), unit))


def assert_same_records(curves, model="hill4", **options):
    """Records of curves that are held as arrays, after a comparison with those of `fit_many`."""
    expected = [record for batch in fit_many(curves, model, **options) for record in batch]
    found = fit_curves(curves, FitOptions(model, **options)).rows()
    assert [list(record) for record in found] == [list(record) for record in expected]
    assert found == expected
    assert {type(value) for record in found for value in record.values()} <= {float, int, str, type(None)}
    return found


@pytest.mark.parametrize("unit", ["µM", None])
@pytest.mark.parametrize("model", ["hill4", "hill3", "association", "two_sites", "flat"])
def test_records_of_arrays_are_those_of_responses(ugly_curves, unit, model):
    assert_same_records(ugly_curves(unit), model)


@pytest.mark.parametrize(
    "options",
    [
        {"fixed": {"bottom": 0.0}},
        {"fixed": {"hill_slope": -1.5}, "bounds": {"top": (90.0, 110.0)}},
        {"bounds": {"ec50": (2.0, 20.0), "bottom": (0.0, 10.0)}},
        {"noise": "proportional"},
        {"noise": 0.5, "also": ("ec90", "mean_response")},
        {"also": ("ec10",), "direction": "falling"},
    ],
)
def test_whatever_is_asked_the_records_of_arrays_are_those_of_responses(ugly_curves, options):
    records = {record["curve"]: record for record in assert_same_records(ugly_curves(), **options)}
    also = options.pop("also", ())
    alone = fit(ugly_curves().response(0), **options).record()
    assert {name: records["clear"][name] for name in alone} == alone
    assert all(records["clear"][f"{name}_operator"] == "=" for name in also)


def test_a_search_that_did_not_settle_is_said_of_arrays_as_of_responses(tmp_path):
    """Signals symmetric about the middle dose, a slope that is held: the sum of squares is all but flat there."""
    dose = np.repeat(np.geomspace(10, 100, 4), 4)
    halting = pd.DataFrame({"curve": "halting", "dose": dose, "signal": np.repeat([0.0, 1, 1, 2], 4)})
    pd.concat([ugly_table(), halting]).to_parquet(tmp_path / "t.parquet")
    curves = read_curves((tmp_path / "t.parquet",), Columns("dose", "signal", ("curve",)))
    record = assert_same_records(curves, fixed={"hill_slope": -2.0})[-1]
    assert (record["curve"], record["ec50_operator"], record["notes"]) == ("halting", "=", "")
    assert record["status"].startswith("not converged")


def test_records_of_many_arrays_are_those_of_responses(long_csv):
    curves = read_curves((long_csv,), COLUMNS)
    assert fit_curves(curves).rows() == next(fit_many(curves))


@pytest.mark.usefixtures("small_batches")
def test_a_table_in_any_order_gives_the_same_curves(tmp_path):
    frame = ugly_table()
    order = np.random.default_rng(3).permutation(len(frame))
    first = frame.iloc[order].drop_duplicates("curve")["curve"]
    frame.to_csv(tmp_path / "sorted.csv", index=False)
    frame.iloc[order].to_csv(tmp_path / "mixed.csv", index=False)
    columns = Columns("dose", "signal", ("curve",), "µM")
    straight, mixed = (read_curves((tmp_path / f"{name}.csv",), columns) for name in ("sorted", "mixed"))
    assert straight.labels[0].tolist() == list(UGLY)
    assert mixed.labels[0].tolist() == first.tolist()
    wells = {key: sorted(zip(r.concentration, r.signal.astype(str), strict=True))
             for (key,), (_, r) in zip(straight.keys(), straight, strict=True)}  # fmt: skip
    for (key,), (_, response) in zip(mixed.keys(), mixed, strict=True):
        assert sorted(zip(response.concentration, response.signal.astype(str), strict=True)) == wells[key]


@pytest.mark.parametrize("block", [1, 7, 16, 1000])
def test_blocks_of_a_file_cut_no_curve(long_csv, monkeypatch, block):
    monkeypatch.setattr(long, "_BLOCK", block)
    whole = read_curves((long_csv,), COLUMNS)
    streamed = Curves.joined(list(stream_curves((long_csv,), COLUMNS)))
    assert streamed.keys() == whole.keys()
    assert np.array_equal(streamed.starts, whole.starts)
    assert np.array_equal(streamed.signal, whole.signal)
    for curves, rows, sizes in ((8, 10**6, [8, 8, 8, 6]), (8, 50, [3] * 10), (8, 1, [1] * 30), (10, 160, [10] * 3)):
        batches = in_batches(stream_curves((long_csv,), COLUMNS), curves=curves, rows=rows)
        assert [len(batch) for batch in batches] == sizes
        assert [len(batch) for batch in in_batches([whole], curves=curves, rows=rows)] == sizes


def test_labels_are_the_same_text_from_any_file(tmp_path, monkeypatch):
    monkeypatch.setattr(long, "_BLOCK", 5)
    frame = ugly_table().head(16)
    frame["batch"] = pd.array([7] * 8 + [None] * 8, dtype="Int64")
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    columns = Columns("dose", "signal", ("batch", "curve"))
    for name in ("t.csv", "t.parquet"):
        for curves in (read_curves((tmp_path / name,), columns), *stream_curves((tmp_path / name,), columns)):
            assert set(curves.keys()) <= {("7", "clear"), ("", "open above")}
        assert len(Curves.joined(list(stream_curves((tmp_path / name,), columns)))) == 2


def test_curves_with_the_same_mark_are_told_apart(long_csv, tmp_path, monkeypatch):
    monkeypatch.setattr(long, "_BLOCK", 64)
    monkeypatch.setattr(long, "_mark", lambda key: len(key))
    assert sum(map(len, stream_curves((long_csv,), COLUMNS))) == 30
    frame = pd.read_csv(long_csv)
    pd.concat([frame, frame.tail(20).head(3)]).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(TableError, match="curve p2, c28 do not stand together"):
        list(stream_curves((tmp_path / "t.csv",), COLUMNS))


@pytest.mark.parametrize("options", [FitOptions(), FitOptions(also=("ec10",)), FitOptions(noise="power")])
@pytest.mark.parametrize("name", ["model", "ec50_unit", "p_flat", "q_flat"])
def test_a_label_may_not_have_the_name_of_a_result(tmp_path, name, options):
    ugly_table().rename(columns={"curve": name}).to_csv(tmp_path / "t.csv", index=False)
    target = tmp_path / "out.csv"
    with pytest.raises(RangeError, match=f'column "{name}": a result has the same name'):
        fit_to_file(Work((tmp_path / "t.csv",), Columns("dose", "signal", (name,)), options), target, silent)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_the_rates_are_those_of_the_whole_run_in_every_output(tmp_path, monkeypatch):
    """Labels with quotes and line breaks, and curves without a test, among them."""
    monkeypatch.setattr(many, "BATCH", 3)
    frame = ugly_table()
    frame["curve"] = frame["curve"].replace({"clear": 'of "two"\nlines, 3"', "flat": '"', "steep": "\n\r\n"})
    frame.to_parquet(tmp_path / "t.parquet")
    work = Work((tmp_path / "t.parquet",), Columns("dose", "signal", ("curve",)))
    records = fit_tables(work, silent)
    assert {tuple(record)[-2:] for record in records} == {("p_flat", "q_flat")}
    p = np.array([record["p_flat"] for record in records], dtype=float)
    assert 0 < np.isnan(p).sum() < p.size
    assert [record["q_flat"] for record in records] == [None if q != q else q for q in false_discovery(p).tolist()]
    fit_to_file(work, tmp_path / "out.csv", silent)
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows == [{k: "" if v is None else str(v) for k, v in record.items()} for record in records]
    fit_to_file(work, tmp_path / "out.parquet", silent)
    back = pd.read_parquet(tmp_path / "out.parquet")
    assert back["curve"].tolist() == [record["curve"] for record in records]
    assert np.array_equal(back["q_flat"], false_discovery(p), equal_nan=True)


def test_a_table_says_what_its_numbers_are_in(ugly_curves, tmp_path):
    ugly_curves()
    frames = {}
    for model, also in (("hill4", ("ec10",)), ("association", ()), ("bell", ())):
        work = Work((tmp_path / "ugly.parquet",), Columns("dose", "signal", ("curve",)), FitOptions(model, also=also))
        frames[model] = pd.DataFrame(fit_tables(work, silent))
    units = {name: set(column) for frame in frames.values() for name, column in frame.items() if name.endswith("_unit")}
    assert units == {
        "ec50_unit": {"unit of dose"}, "ec10_unit": {"unit of dose"}, "ec50_first_unit": {"unit of dose"},
        "kobs_unit": {"1 / unit of dose"},
    }  # fmt: skip
    names = list(frames["hill4"])
    assert names.index("ec50_unit") == names.index("ec50_delta_high") + 1


def test_what_does_not_go_together_is_refused_before_anything_is_read(tmp_path):
    nowhere = (tmp_path / "t.csv",)
    with pytest.raises(RangeError, match=r'curve in time, .* "µM", does not apply\. Leave the unit out'):
        Work(nowhere, COLUMNS, FitOptions("association"))
    with pytest.raises(RangeError, match=r"ec50_absolute needs the signal of wells without cells.*--zero 0"):
        Work(nowhere, COLUMNS, FitOptions(also=("ec50_absolute",)))
    with pytest.raises(RangeError, match=r'unknown quantity "ec11"\. Known are ec10'):
        FitOptions(also=("ec11",))
    with pytest.raises(FitError, match=r"bottom is held and has limits\. Leave one of the two out"):
        FitOptions(fixed={"bottom": 0.0}, bounds={"bottom": (0.0, 1.0)})
    with pytest.raises(RangeError, match="zero, the signal of no cells, must be a finite number, found nan"):
        FitOptions(zero=float("nan"))


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
