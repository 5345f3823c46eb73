"""`halfmax movie`, as a person meets it: one recording in, a folder or nothing out. All recordings are simulated."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile

from halfmax.cli import main
from halfmax.errors import FileError
from halfmax.study import run_movie
from halfmax.virtual import Addition, Cells, Fluo, simulate_movie, small_design, write_stimuli

COMMAND = [sys.executable, "-m", "halfmax"]
#: The command as a terminal starts it: where tests run in the background, their children inherit an ignored Ctrl-C.
INTERRUPTIBLE = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from halfmax.cli import main; main()",
]
DESIGN = small_design(
    shape=(80, 80), frames=80, cells=Cells(number=11, radius=5.0, radius_sd=0.3, margin=4.0),
    additions=(Addition("CM572", concentration=1e-5, start_s=110.0),),
)  # fmt: skip
SETTINGS = """
[calcium]
baseline = "16 s"
response = "14 s"
rmin = 0.333
rmax = 8.0
beta = 8.0
gain = 0.146
read_noise = 2.39
offset = 100
"""


@pytest.fixture(scope="module")
def dish(tmp_path_factory):
    """A recording of 80 frames and 11 cells, its stimuli, its true masks, and settings."""
    folder = tmp_path_factory.mktemp("dish")
    truth = simulate_movie(folder / "dish.ome.tif", DESIGN, seed=5)
    write_stimuli(folder / "dish.csv", DESIGN)
    tifffile.imwrite(folder / "masks.tif", np.where(truth.labels <= 4, truth.labels, 0).astype(np.uint16))
    (folder / "settings.toml").write_text(SETTINGS, encoding="utf-8")
    return folder, truth


@pytest.fixture
def movie(monkeypatch, capsys, dish):
    """The command in this process on that recording: exit code, stdout and stderr."""

    def run(*options, file="dish.ome.tif", settings=True):
        folder, _ = dish
        words = [folder / file, *(["--settings", folder / "settings.toml"] if settings else []), *options]
        monkeypatch.setattr(sys, "argv", ["halfmax", "movie", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def written(dish, tmp_path_factory):
    """The recording with its stimuli, analysed by another process into a folder with NWB, as JSON."""
    folder, _ = dish
    target = tmp_path_factory.mktemp("out") / "dish1"
    words = [folder / "dish.ome.tif", "--stimuli", folder / "dish.csv", "--settings", folder / "settings.toml",
             "-o", target, "--nwb", "--json"]  # fmt: skip
    done = subprocess.run(
        [*COMMAND, "movie", *map(str, words)], capture_output=True, text=True, encoding="utf-8", check=False
    )
    return target, done


def test_json_says_what_was_found_and_what_it_took(written, dish):
    target, done = written
    _, truth = dish
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    wanted = {"frames", "channels", "cells", "responders", "seconds", "peak_memory_mb", "simulated", "folder"}
    assert set(found) == wanted
    assert (found["frames"], found["channels"], found["cells"]) == (80, ["340", "380"], 11)
    assert abs(found["responders"]["CM572"] - int(truth.responder.sum())) <= 1
    assert found["simulated"] is True
    assert found["folder"] == str(target)
    assert found["seconds"] > 0
    assert 20 < found["peak_memory_mb"] < 4000


def test_progress_goes_to_stderr_in_quarters(written):
    _, done = written
    lines = [line for line in done.stderr.splitlines() if "reading frames" in line]
    assert 2 <= len(lines) <= 6


def test_the_folder_is_whole(written):
    target, _ = written
    names = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert {"report.html", "report.pdf", "estimates.csv", "estimates.json", "estimates.xlsx", "provenance.json",
            "traces.nwb", "tables/1_dish_traces.csv", "tables/1_dish_cells.csv"} <= names  # fmt: skip
    figures = list(target.glob("figures/*.svg"))
    assert len(figures) >= 6
    assert all("simulated" in path.read_text(encoding="utf-8").casefold() for path in figures)
    assert len(pd.read_csv(target / "tables" / "1_dish_cells.csv")) == 11
    assert json.loads((target / "provenance.json").read_text(encoding="utf-8"))["simulated"]
    assert [path.name for path in target.parent.iterdir()] == ["dish1"]


def test_the_first_frames_only_and_parquet(dish, tmp_path):
    pytest.importorskip("pyarrow")
    made = run_movie(dish[0] / "dish.ome.tif", tmp_path / "few", frames=30, also=["parquet"], pdf=False)
    assert made.frames == 30
    (traces,) = (tmp_path / "few" / "tables").glob("*_traces.parquet")
    table = pd.read_parquet(traces)
    assert len(table) == 30
    pd.testing.assert_frame_equal(table, pd.read_csv(traces.with_suffix(".csv")), rtol=1e-12)


def test_nwb_is_read_again_with_both_lights_and_the_ratio(written):
    pynwb = pytest.importorskip("pynwb")
    target, _ = written
    with pynwb.NWBHDF5IO(str(target / "traces.nwb"), "r") as stream:
        file = stream.read()
        assert file.session_description.startswith("SIMULATED by halfmax")
        module = file.processing["ophys"]
        lights = module["Fluorescence"].roi_response_series
        ratio = module["Derived"]["ratio"]
        assert set(lights) == {"F340", "F380"}
        assert lights["F340"].data.shape == ratio.data.shape == (80, 11)
        assert len(module["ImageSegmentation"]["Cells"]) == 11
        traces = pd.read_csv(target / "tables" / "1_dish_traces.csv")
        np.testing.assert_allclose(ratio.data[:, 0], traces["cell_1_ratio"], rtol=1e-6)
        np.testing.assert_allclose(ratio.timestamps[:], traces["time_s"])


def test_the_answer_is_words_and_without_a_folder_nothing_is_written(movie, dish, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = movie("--stimuli", dish[0] / "dish.csv")
    assert code == 0
    assert out.startswith("Simulated data: no instrument measured this.\n")
    assert re.search(r"\d+ of 11 cells respond to 10 µM CM572", out)
    assert re.search(r"80 frames, 11 cells, \d+\.\d s \(\d+ pages/s\)", out)
    assert "Report:" not in out
    assert not list(tmp_path.iterdir())


def test_without_stimuli_there_are_traces_and_no_responders(movie, tmp_path):
    code, out, _ = movie("-o", tmp_path / "plain", "--no-pdf")
    assert code == 0
    assert "No stimulus is known." in out
    assert f"Report: {(tmp_path / 'plain' / 'report.html').resolve()}" in out
    assert not (tmp_path / "plain" / "report.pdf").exists()
    code, out, _ = movie("--json")
    assert json.loads(out)["responders"] == {}


def test_masks_are_taken_instead_of_a_search(movie, dish):
    code, out, _ = movie("--json", "--masks", dish[0] / "masks.tif")
    assert (code, json.loads(out)["cells"]) == (0, 4)


def test_settings_change_windows_and_calibration(movie, dish, tmp_path):
    stimuli = ("--stimuli", dish[0] / "dish.csv", "--no-pdf")
    movie(*stimuli, "-o", tmp_path / "with")
    movie(*stimuli, "-o", tmp_path / "without", settings=False)
    columns = [set(pd.read_csv(tmp_path / name / "tables" / "1_dish_traces.csv").columns)
               for name in ("with", "without")]  # fmt: skip
    assert "cell_1_nM" in columns[0]
    assert "cell_1_nM" not in columns[1]
    (tmp_path / "bad.toml").write_text("[calcium]\nbasline = '9 s'\n", encoding="utf-8")
    code, _, err = movie("--settings", tmp_path / "bad.toml", settings=False)
    assert code == 3
    assert 'bad.toml: unknown key "basline" in calcium. Did you mean "baseline"?' in err


def test_a_plain_stack_needs_its_channels_and_its_interval(movie, dish, tmp_path):
    pages = tifffile.imread(dish[0] / "dish.ome.tif")
    for channel, name in enumerate(("340", "380")):
        tifffile.imwrite(tmp_path / f"{name}.tif", pages[:, channel])
    code, _, err = movie(tmp_path / "380.tif", "--channels", "340,380", file=tmp_path / "340.tif")
    assert code == 3
    assert 'interval = "2 s"' in err
    code, out, _ = movie(
        tmp_path / "380.tif", "--channels", "340,380", "--interval", "2 s", "--diameter", "10", "--json",
        file=tmp_path / "340.tif",
    )  # fmt: skip
    found = json.loads(out)
    assert code == 0
    assert (found["frames"], found["channels"], found["cells"]) == (80, ["340", "380"], 11)
    assert found["simulated"] is False


def test_a_dye_of_one_channel_gives_a_relative_change(tmp_path):
    design = replace(DESIGN, dye=Fluo())
    simulate_movie(tmp_path / "fluo.ome.tif", design, seed=6)
    write_stimuli(tmp_path / "fluo.csv", design)
    made = run_movie(
        tmp_path / "fluo.ome.tif", tmp_path / "out", stimuli=tmp_path / "fluo.csv", also=["nwb"], pdf=False
    )
    assert made.channels == ("Fluo-8",)
    assert "cell_1_ΔF/F0" in pd.read_csv(tmp_path / "out" / "tables" / "1_fluo_traces.csv").columns
    assert (tmp_path / "out" / "traces.nwb").is_file()


def test_a_folder_that_is_there_is_refused_and_not_touched(movie, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine", encoding="utf-8")
    code, out, err = movie("-o", tmp_path / "mine")
    assert (code, out) == (3, "")
    assert "mine: is there already. Nothing is overwritten; choose another folder." in err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("options", [["--masks", "none.tif"], ["--stimuli", "none.csv"], ["--settings", "none.toml"]])
def test_a_file_that_is_not_there_is_named(movie, tmp_path, options):
    code, _, err = movie(options[0], tmp_path / options[1], "-o", tmp_path / "out", settings=options[0] != "--settings")
    assert code == 3
    assert options[1] in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [["--interval", "2 parsec"], ["--interval", "soon"], ["--diameter", "-3"]])
def test_an_option_that_cannot_be_is_refused_by_name(movie, options):
    code, _, err = movie(*options)
    assert code == 3
    assert f"error: {options[0].removeprefix('--')}: " in err
    assert options[1] in err


@pytest.mark.parametrize("step", ["reading frames", "drawing and writing"])
def test_an_interruption_leaves_nothing(dish, tmp_path, step):
    def interrupt(what, done, of):
        if what == step and done >= of // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_movie(dish[0] / "dish.ome.tif", tmp_path / "out", progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_an_error_while_writing_leaves_nothing(dish, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(FileError, match="file"):
        run_movie(dish[0] / "dish.ome.tif", tmp_path / "file" / "out", pdf=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.fixture(scope="module")
def long_movie(tmp_path_factory):
    """A recording of 2400 pages, long enough to be interrupted."""
    path = tmp_path_factory.mktemp("long") / "long.ome.tif"
    simulate_movie(path, replace(DESIGN, shape=(128, 128), frames=1200), seed=7)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT to another process")
@pytest.mark.parametrize("step", ["reading frames", "drawing and writing"])
def test_ctrl_c_exits_with_130_and_leaves_no_partial_results(long_movie, tmp_path, step):
    words = [*INTERRUPTIBLE, "movie", str(long_movie), "-o", str(tmp_path / "out")]
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        for line in run.stderr:
            if step in line:
                break
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())
