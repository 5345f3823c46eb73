"""Ways to begin."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from halfmax.errors import FileError, HalfmaxError
from halfmax.study import empty_study, load, run, study_from_files, write_example
from halfmax.study.document import StudyDocument


def test_the_example_is_written_without_its_truth_being_changed_and_only_once(tmp_path):
    folder = write_example(tmp_path / "demo")
    names = {path.name for path in folder.iterdir()}
    assert {"study.toml", "layout.toml", "plates", "truth.csv", "recordings"} <= names
    assert not names & {"simulate.py", "recordings.py", "__pycache__", "__init__.py"}
    with pytest.raises(FileError, match="not empty"):
        write_example(folder)


def test_the_recordings_of_the_example_are_those_that_its_study_names_and_small(tmp_path):
    folder = write_example(tmp_path / "demo")
    named = {file for entry in load(folder).movie for file in entry.files}
    there = {path.relative_to(folder).as_posix() for path in (folder / "recordings").iterdir()}
    assert there == named | {"recordings/truth.csv"}
    assert len(named) == 2 * 21
    assert sum(path.stat().st_size for path in folder.rglob("*")) < 70e6
    assert "SIMULATED" in (folder / "recordings" / "day1_CM572_1uM.csv").read_text(encoding="utf-8")


def test_the_example_is_written_with_the_same_bytes_again(tmp_path):
    one, other = (write_example(tmp_path / name) for name in ("one", "other"))
    for path in filter(Path.is_file, one.rglob("*")):
        assert path.read_bytes() == (other / path.relative_to(one)).read_bytes(), path.name


def test_an_empty_study_is_a_valid_document_that_waits_for_plates(tmp_path):
    folder = empty_study(tmp_path / "new study")
    assert load(folder).study.title == "new study"
    with pytest.raises(HalfmaxError, match="names nothing to analyse"):
        run(folder)


def test_what_an_empty_study_comments_out_is_valid_too(tmp_path):
    text = (empty_study(tmp_path / "mine") / "study.toml").read_text(encoding="utf-8")
    said = re.sub(r"^# (?=[a-z_]+ = |\[)", "", text, flags=re.MULTILINE)
    document = StudyDocument.model_validate(tomllib.loads(said.replace('"?"', '"MCF-7"')))
    assert set(StudyDocument.model_fields) == document.model_fields_set
    assert document.table[0].unit == "µM"


def test_a_study_from_files_finds_their_plates_and_its_layout_waits_to_be_filled_in(tmp_path):
    example = write_example(tmp_path / "demo")
    exports = sorted((example / "plates").glob("MCF-7*"))
    folder = study_from_files(tmp_path / "mine", exports)
    document = tomllib.loads((folder / "study.toml").read_text(encoding="utf-8"))
    assert [entry["file"] for entry in document["plate"]] == [f"plates/{path.name}" for path in exports]
    assert (folder / "layout_96.toml").is_file()
    with pytest.raises(HalfmaxError, match=r'plate\[1\]\.cell_line: "\?" waits to be filled in'):
        run(folder)
    text = (folder / "study.toml").read_text(encoding="utf-8").replace('cell_line = "?"', 'cell_line = "MCF-7"')
    (folder / "study.toml").write_text(text, encoding="utf-8")
    with pytest.raises(HalfmaxError, match=r"layout_96\.toml"):
        run(folder)
    shutil.copy(example / "layout.toml", folder / "layout_96.toml")
    text = (folder / "study.toml").read_text(encoding="utf-8")
    text = text.replace('# signal = "570"', 'signal = "570"').replace('# background = "660"', 'background = "660"')
    (folder / "study.toml").write_text(text, encoding="utf-8")
    assert run(folder, pdf=False).report.curves[0].combined["ec50"].operator == "="


def test_what_is_no_plate_makes_no_study(tmp_path):
    (tmp_path / "notes.txt").write_text("hello there\n", encoding="utf-8")
    with pytest.raises(FileError, match=r"notes\.txt"):
        study_from_files(tmp_path / "mine", [tmp_path / "notes.txt"])
    assert not (tmp_path / "mine").exists()
    with pytest.raises(FileError, match="no file was given"):
        study_from_files(tmp_path / "mine", [])
