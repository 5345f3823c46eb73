"""The road from files to results, on the example study and on real plates."""

import csv
import json
import math
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from halfmax.errors import FileError, HalfmaxError, StudyError
from halfmax.study import analyse, load, records, run, write_example

HERE = Path(__file__).parent
SOURCE = Path(str(files("halfmax"))) / "examples" / "cm572"


@pytest.fixture(scope="session")
def example(tmp_path_factory):
    """The example study, written as a user gets it."""
    return write_example(tmp_path_factory.mktemp("example") / "cm572")


@pytest.fixture(scope="session")
def outcome(example):
    return run(example, name="first")


def spoiled(example, tmp_path, change=None, *, file="study.toml"):
    """A copy of the example's plates, without its recordings, with one file changed."""
    folder = tmp_path / "study"
    shutil.copytree(example, folder, ignore=shutil.ignore_patterns("results", "recordings"))
    text = (folder / "study.toml").read_text(encoding="utf-8")
    (folder / "study.toml").write_text(text[: text.index("# Calcium:")], encoding="utf-8")
    if change is not None:
        path = folder / file
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    return folder


def curve_of(report, line):
    return next(curve for curve in report.curves if curve.cell_line == line)


def test_the_example_returns_the_truth_within_its_intervals(outcome):
    """Line by line the combined interval, experiment by experiment no further off than three standard errors."""
    with open(SOURCE / "truth.csv", encoding="utf-8", newline="") as stream:
        truth = list(csv.DictReader(stream))
    for line in ("MCF-7", "HMEC", "SK-N-SH", "PANC-1"):
        rows = [row for row in truth if row["cell_line"] == line]
        curve = curve_of(outcome.report, line)
        ec50 = curve.combined["ec50"]
        assert ec50.low < float(rows[0]["line_ec50_M"]) < ec50.high
        assert curve.combined.n == 3
        for row, fit in zip(rows, curve.fits, strict=True):
            own = fit["ec50"]
            assert abs(math.log(own.value / float(row["ec50_M"]))) < 3 * own.se


def test_the_selectivity_index_holds_the_truth_and_stands_beside_the_published_one(outcome):
    (comparison,) = outcome.report.comparisons
    ratio = comparison.estimate["ratio"]
    assert ratio.operator == "="
    assert ratio.low < 32.3 / 4.9 < ratio.high
    assert comparison.published_ratio == pytest.approx(6.59, abs=0.005)
    assert comparison.published_error == pytest.approx(1.6, abs=0.05)
    assert "6.4" in comparison.published_note
    page = (outcome.folder / "report.html").read_text(encoding="utf-8")
    assert "6.59" in page
    assert "6.4-fold" in page


def test_the_confounding_of_line_and_time_is_said(outcome):
    page = (outcome.folder / "report.html").read_text(encoding="utf-8")
    assert "line and time are confounded" in page
    assert any("24 h" in d.statement for d in outcome.report.discrepancies)


def test_everything_says_simulated(outcome, example):
    assert outcome.report.simulated
    for name in ("report.html", "estimates.csv", "estimates.json", "provenance.json"):
        assert "simulated" in (outcome.folder / name).read_text(encoding="utf-8").lower()
    for plate in (example / "plates").iterdir():
        content = plate.read_bytes()
        text = content.decode("utf-16" if content[:2] == b"\xff\xfe" else "ascii")
        assert "SIMULATED" in text
    for recording in (example / "recordings").glob("day*"):
        assert b"SIMULATED by halfmax" in recording.read_bytes()[: 1 << 16]
    with open(example / "recordings" / "truth.csv", encoding="utf-8", newline="") as stream:
        assert {row["simulated"] for row in csv.DictReader(stream)} == {"true"}


def test_the_calcium_of_the_example_returns_its_truth(outcome):
    found = {one.title: one for one in outcome.report.analyses}
    ec50 = found["CM572: calcium against concentration"].estimate["ec50"]
    assert ec50.low < 5.7e-6 < ec50.high
    ratio = found["CB-64D after 1 µM CM572 against CB-64D"].estimate["ratio"]
    assert ratio.low < 0.3 < ratio.high < 1
    assert ratio.value < 0.5
    assert found["Cells, dishes and days"].answer == "3 days, 21 dishes, 336 cells"


def test_every_dish_of_the_example_has_the_height_that_was_simulated(example, outcome):
    """Mean rise of all cells of a dish, measured against simulated."""
    with open(example / "recordings" / "truth.csv", encoding="utf-8", newline="") as stream:
        truth = {(row["day"], row["dish"], row["compound"]): 1e9 * float(row["mean_rise_M"])
                 for row in csv.DictReader(stream)}  # fmt: skip
    with open(outcome.folder / "tables" / "dishes.csv", encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["group"]]
    assert len(rows) == len(truth) == 24
    for row in rows:
        expected = truth[row["day"], row["dish"], row["group"].partition(" after ")[0]]
        assert float(row["mean"]) == pytest.approx(expected, rel=0.08)


def test_a_file_that_says_it_is_simulated_is_never_reported_as_measured(example, tmp_path):
    folder = spoiled(example, tmp_path, lambda text: text.replace("simulated = true", "simulated = false"))
    report = analyse(load(folder), folder)
    assert report.simulated
    assert all(fit.response.simulated for curve in report.curves for fit in curve.fits)


def test_the_results_are_complete_and_machine_readable(outcome):
    names = {path.name for path in outcome.folder.iterdir()}
    assert names == {
        "estimates.csv",
        "estimates.json",
        "estimates.xlsx",
        "provenance.json",
        "report.html",
        "report.pdf",
        "tables",
    }
    content = json.loads((outcome.folder / "estimates.json").read_text(encoding="utf-8"))
    kinds = [row["kind"] for row in content["estimates"]]
    assert kinds.count("experiment") == 12
    assert kinds.count("ratio") == 1
    provenance = json.loads((outcome.folder / "provenance.json").read_text(encoding="utf-8"))
    assert len([source for source in provenance["inputs"] if len(source["sha256"]) == 64]) == 14 + 2 * 21
    assert provenance["exclusions"][0]["reason"].startswith("tip blocked")
    assert provenance["seed"] == 572


def test_the_same_inputs_give_the_same_bytes(example, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    one, other = (run(example, name=name).folder for name in ("one", "other"))
    for path in filter(Path.is_file, one.rglob("*")):
        assert path.read_bytes() == (other / path.relative_to(one)).read_bytes(), path.name


@pytest.mark.usefixtures("outcome")
def test_the_raw_files_are_as_they_were_written(example):
    for path in (SOURCE / "plates").iterdir():
        assert (example / "plates" / path.name).read_bytes() == path.read_bytes()


def test_the_committed_script_writes_the_committed_plates(tmp_path):
    shutil.copy(SOURCE / "simulate.py", tmp_path)
    subprocess.run([sys.executable, str(tmp_path / "simulate.py")], check=True)
    assert (tmp_path / "truth.csv").read_bytes() == (SOURCE / "truth.csv").read_bytes()
    for path in (SOURCE / "plates").iterdir():
        assert (tmp_path / "plates" / path.name).read_bytes() == path.read_bytes(), path.name


def test_an_exclusion_moves_the_fit_and_is_listed(example, tmp_path, outcome):
    folder = spoiled(
        example, tmp_path, lambda text: text[: text.index("[[exclude]]")] + text[text.index("[[plate]]") :]
    )
    with_it = analyse(load(folder), folder)
    fitted = curve_of(with_it, "MCF-7").fits[1]
    assert fitted.n == curve_of(outcome.report, "MCF-7").fits[1].n + 1
    assert with_it.exclusions == ()
    suggested = [s.well for plate in with_it.plates for s in plate.quality.suggestions if plate.name == "MCF-7_48h_2"]
    assert "C7" in suggested


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('file = "plates/MCF-7_48h_1.txt"', 'file = "plates/MCF-7_48h_9.txt"'),
         r'plates/MCF-7_48h_9\.txt: there is no such file .*Did you mean "plates/MCF-7_48h_'),
        (('file = "plates/MCF-7_48h_1.txt"', 'file = "../truth.csv"'), r"lies outside the study's folder"),
        (('cell_line = "MCF-7"', 'cell_line = "?"'), r'plate\[1\]\.cell_line: "\?" waits to be filled in'),
        (('background = "660"', 'background = "650"'), r'no reading has the channel "650"\. Did you mean "660"'),
        (('wells = ["C7"]', 'wells = ["P24"]'), r"exclude\[1\]: plate MCF-7_48h_2 has no well P24"),
        (('plate = "MCF-7_48h_2"', 'plate = "MCF7_48h_2"'),
         r'exclude\[1\]: no plate "MCF7_48h_2"\. Did you mean "MCF-7_48h_2"'),
        (('spared = "HMEC"', 'spared = "HMECs"'),
         r'compare\[1\]: the study has no curve of CM572 in HMECs\. Did you mean "HMEC"'),
        (('file = "plates/MCF-7_48h_2.txt"', 'file = "plates/MCF-7_48h_1.txt"\nplate = "x"'), r'holds no plate "x"'),
    ],
)  # fmt: skip
def test_a_study_that_contradicts_its_files_is_refused_and_nothing_is_written(example, tmp_path, change, message):
    folder = spoiled(example, tmp_path, lambda text: text.replace(*change, 1))
    with pytest.raises(HalfmaxError, match=message):
        run(folder)
    assert not (folder / "results").exists()


def test_the_same_plate_twice_is_refused(example, tmp_path):
    def twice(text):
        return text.replace('file = "plates/MCF-7_48h_2.txt"', 'file = "plates/MCF-7_48h_1.txt"').replace(
            'experiment = "2"', 'experiment = "1"', 1
        )

    folder = spoiled(example, tmp_path, twice)
    with pytest.raises(StudyError, match=r'plate\[1\] and plate\[2\] both give plate "MCF-7_48h_1" of experiment "1"'):
        run(folder)


def test_a_layout_for_another_plate_names_both(example, tmp_path):
    folder = spoiled(example, tmp_path, lambda text: text.replace("wells = 96", "wells = 384"), file="layout.toml")
    with pytest.raises(StudyError, match=r"layout\.toml is drawn for 384 wells .*MCF-7_48h_1\.txt.*96"):
        run(folder)


def test_a_study_without_plates_says_what_to_add(tmp_path):
    (tmp_path / "study.toml").write_text('[study]\ntitle = "x"\n', encoding="utf-8")
    with pytest.raises(StudyError, match=r"names nothing to analyse\. Add a \[\[plate\]\]"):
        run(tmp_path)


@pytest.mark.usefixtures("outcome")
def test_results_are_never_overwritten_and_bad_names_refused(example):
    with pytest.raises(FileError, match="Nothing is overwritten"):
        run(example, name="first")
    with pytest.raises(FileError, match="cannot name a run"):
        run(example, name="../elsewhere")


def test_results_that_cannot_be_written_leave_nothing(example, tmp_path):
    folder = spoiled(example, tmp_path)
    (folder / "results").write_text("a file stands where the folder should be")
    with pytest.raises(FileError, match=r"results.*cannot be written.*Nothing was written"):
        run(folder)


def test_an_interruption_while_writing_leaves_nothing(example, tmp_path, monkeypatch):
    from halfmax.study import results

    folder = spoiled(example, tmp_path)

    def interrupt(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(results, "write_pdf", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(folder, name="broken")
    assert list((folder / "results").iterdir()) == []


def study_of(name, data, tmp_path, *exports):
    """A study of tests/studies with the real files it needs."""
    folder = tmp_path / name
    shutil.copytree(HERE.parent / "studies" / name, folder)
    for export in exports:
        shutil.copy(data / "viability" / export, folder)
    return folder


def test_a_real_mtt_plate_whose_fall_has_no_dose_on_it_gives_bounds_and_reasons(data, tmp_path):
    outcome = run(study_of("ezmtt", data, tmp_path, "ezmtt/mtt.txt"), name="r")
    for curve in outcome.report.curves:
        assert curve.combined["ec50"].operator in (">", "?")
    first = curve_of(outcome.report, "quadrant 1")
    assert first.combined["ec50"].operator == ">"
    assert "whole fall lies between 1 µM" in first.combined.status
    means = {}
    for dose in (0.0, *first.fits[0].response.doses()):
        response = first.fits[0].response
        keep = response.role == ("vehicle" if dose == 0 else "sample")
        if dose:
            keep &= response.concentration == dose
        means[dose] = response.signal[keep].mean()
    assert list(means.values()) == pytest.approx([0.4244, 0.4087, 0.4161, 0.3550, 0.4417, 0.0050], abs=5e-5)
    assert "&gt; 1.1 µM" in (outcome.folder / "report.html").read_text(encoding="utf-8")


def test_real_counts_give_the_known_ec50s_and_invent_none(data, tmp_path):
    """17-AAG near 0.0766 µM and VX680 near 15.0 µM, SE of ln EC50 0.105 each in an earlier fit."""
    folder = study_of("ic50_nsclc", data, tmp_path, "ic50_nsclc/A549_1.txt", "ic50_nsclc/A549_2.txt")
    report = run(folder, name="r").report
    found = {curve.compound: curve.combined for curve in report.curves}
    for compound, known in (("17AAG", 0.0766e-6), ("VX680", 15.0e-6)):
        ec50 = found[compound]["ec50"]
        assert ec50.operator == "="
        assert abs(math.log(ec50.value / known)) < 2 * 0.105
    for compound in ("Gefitinib", "Rapamycin", "SU11274"):
        assert found[compound]["ec50"].operator != "="
        assert found[compound].status.startswith(("open", "no curve"))
    rows = {row["compound"]: row for row in records(report) if row["kind"] == "combined"}
    assert rows["Gefitinib"]["ec50"] is None
