"""The reference answers that a user can compute: they agree, they can fail, and what is missing is said."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from halfmax.cli import app
from halfmax.errors import FileError
from halfmax.verify import Check, closed, digits, nist, published, verify, worst

RUNNER = CliRunner(env={"HALFMAX_DATA": "", "COLUMNS": "120"})


@pytest.fixture(scope="module")
def without_data():
    return verify()


def test_everything_that_is_shipped_agrees(without_data):
    short = [check for check in without_data if not check.passed]
    assert short == []
    assert {f"NIST {name}" for name in nist.SHIPPED} <= {check.subject for check in without_data}
    assert len(without_data) > 200


def test_what_needs_data_is_listed_and_not_run(without_data):
    missing = [check for check in without_data if check.missing]
    assert [check.verdict for check in missing] == ["not run"] * 5
    assert {check.missing for check in missing} >= {published.RYEGRASS, published.TOY}
    assert all(check.passed for check in missing)


def test_everything_agrees_where_the_data_are(data):
    checks = verify(data)
    assert [check for check in checks if not check.passed or check.missing] == []


def test_every_set_is_fitted_from_both_starts_in_both_ways(without_data):
    runs = {check.run for check in without_data if check.subject == "NIST Rat43"}
    assert len(runs) == 4
    assert all("start 1" in run or "start 2" in run for run in runs)


def test_the_shipped_sets_are_those_of_nist(data):
    for one in nist.shipped():
        other = nist.read_dat(data / "dose_response/nist" / f"{one.name}.dat")
        np.testing.assert_array_equal(one.x, other.x)
        np.testing.assert_array_equal(one.y, other.y)
        assert one.parameters == other.parameters
        assert one.squares == other.squares


def test_a_tampered_answer_falls_short(monkeypatch):
    rat = next(one for one in nist.shipped() if one.name == "Rat43")
    value, deviation, starts = rat.parameters["b1"]
    wrong = replace(rat, parameters=rat.parameters | {"b1": (value * (1 + 1e-5), deviation, starts)})
    monkeypatch.setattr(nist, "shipped", lambda: [wrong])
    short = [check for check in nist.checks() if not check.passed]
    assert {(check.quantity, check.verdict) for check in short} == {("b1", "fewer than 6 digits")}
    assert short[0].digits == pytest.approx(5.0, abs=0.01)


def test_the_command_fails_where_an_answer_falls_short(monkeypatch):
    wrong = Check("Made up", "number", "pi", 3.1416, 3.14159265, 8.0, run="one run")
    monkeypatch.setattr("halfmax.verify._all", lambda _data: iter([wrong]))
    done = RUNNER.invoke(app, ["verify"])
    assert done.exit_code == 1
    assert "fewer than 8 digits" in done.stdout
    assert "1 fall short" in done.stdout
    assert "Made up, pi: 5.6 digits, 8 required. one run" in done.stderr


def test_the_command_prints_the_worst_of_each_kind(monkeypatch, without_data):
    monkeypatch.setattr("halfmax.verify._all", lambda _data: iter(without_data))
    done = RUNNER.invoke(app, ["verify"])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert sum(line.startswith("NIST Rat43") for line in lines) == 3
    assert f"not run: Ryegrass, needs {published.RYEGRASS} in the folder of --data" in lines
    assert lines[-1] == (f"{len(without_data) - 5} numbers compared, the worst of each kind shown: none fall short.")


def test_the_command_prints_json_of_all(monkeypatch, without_data):
    monkeypatch.setattr("halfmax.verify._all", lambda _data: iter(without_data))
    done = RUNNER.invoke(app, ["verify", "--json"])
    rows = json.loads(done.stdout)
    assert len(rows) == len(without_data)
    assert rows[0]["set"] == "NIST Misra1a"
    assert rows[0]["passed"] is True
    assert rows[0]["source"].startswith("NIST")
    gone = next(row for row in rows if row["verdict"] == "not run")
    assert (gone["found"], gone["digits"]) == (None, None)
    assert gone["needs"].endswith(".dat")


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(
        FileError, match=r"nowhere: there is no such folder\. Give the folder that holds dose_response/"
    ):
        verify(tmp_path / "nowhere")
    assert RUNNER.invoke(app, ["verify", "--data", str(tmp_path / "nowhere")]).exit_code != 0


def test_an_empty_folder_is_no_trouble(tmp_path, monkeypatch):
    monkeypatch.setattr(nist, "shipped", list)
    monkeypatch.setattr(closed, "checks", lambda: iter(()))
    assert all(check.missing for check in verify(tmp_path))


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "Hahn1.dat"
    path.write_text("a table\n" * 70, encoding="ascii")
    with pytest.raises(FileError, match=r"Hahn1\.dat: cannot be read as a set of NIST's"):
        nist.read_dat(path)
    place = tmp_path / published.RYEGRASS
    place.parent.mkdir(parents=True)
    place.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(FileError, match=r"ryegrass\.csv: expected the columns conc, rootl, found another table"):
        list(published.checks(tmp_path))


def test_an_unknown_set_is_refused(data, tmp_path):
    text = (data / "dose_response/nist/Rat43.dat").read_text(encoding="ascii")
    (tmp_path / "Rat44.dat").write_text(text, encoding="ascii")
    with pytest.raises(FileError, match=r"Rat44\.dat: its curve is not known here\. Known: Misra1a"):
        nist.read_dat(tmp_path / "Rat44.dat")


@pytest.mark.parametrize(
    ("found", "expected", "agree"),
    [
        (1.0, 1.0, 15.0),
        (1.001, 1.0, 3.0),
        (-1.0, 1.0, 0.0),
        (1e-7, 0.0, 7.0),
        (float("inf"), 1.0, 0.0),
        (5e3, 1.0, 0.0),
    ],
)
def test_digits_of_agreement(found, expected, agree):
    assert digits(found, expected) == pytest.approx(agree, abs=1e-3)


def test_the_worst_is_the_one_with_the_least_to_spare():
    close = Check("set", "part", "close", 1.0, 1.0001, 3.0)
    far = Check("set", "part", "far", 1.0, 1.0 + 1e-9, 9.5)
    assert worst([close, far, Check("set", "other", "x", 1.0, 1.0)])[0] is far
    assert len(worst([close, far, Check("set", "other", "x", 1.0, 1.0)])) == 2
