"""The study document: what it may say, and errors with the path inside it."""

import json

import jsonschema
import pytest

from halfmax.errors import FileError, StudyError
from halfmax.study import load, schema

GOOD = """
[study]
title = "A study"

[viability]
signal = 570

[[plate]]
file = "a.txt"
layout = "layout.toml"
time = "48 h"
experiment = 1
"""


def written(tmp_path, text):
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    return tmp_path


def test_a_good_document_is_read_with_its_defaults(tmp_path):
    document = load(written(tmp_path, GOOD))
    assert document.viability.signal == "570"
    assert document.viability.model == "hill4"
    assert document.plate[0].experiment == "1"
    assert document.study.level == 0.95
    assert document.study.simulated is False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("title", "titel"), r'study\.toml: unknown key "titel" in study\. Did you mean "title"'),
        (("[viability]", "[viabilty]"), r'unknown key "viabilty" in the document\. Did you mean "viability"'),
        (('layout = "layout.toml"\n', ""), r"study\.toml: plate\[1\]\.layout is missing"),
        (('time = "48 h"', 'time = "48"'), r'plate\[1\]\.time: time "48" has no unit'),
        (
            ('time = "48 h"', 'time = "48 h"\ncellline = "x"'),
            r'unknown key "cellline" in plate\[1\]\. Did you mean "cell_line"',
        ),
        (("signal = 570", 'model = "hill5"'), r"viability\.model: .*'hill4' or 'hill3', found 'hill5'"),
        (('title = "A study"', 'title = "A study"\nlevel = 1.5'), r"study\.level: .*less than 1, found 1\.5"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_path(tmp_path, change, message):
    with pytest.raises(StudyError, match=message):
        load(written(tmp_path, GOOD.replace(*change)))


def test_all_faults_are_told_at_once(tmp_path):
    text = GOOD.replace("title", "titel").replace('layout = "layout.toml"\n', "")
    with pytest.raises(StudyError, match=r"titel[\s\S]*plate\[1\]\.layout is missing"):
        load(written(tmp_path, text))


def test_an_exclusion_needs_wells_and_a_reason(tmp_path):
    text = GOOD + '[[exclude]]\nplate = "a"\nwells = ["C7"]\nreason = ""\n'
    with pytest.raises(StudyError, match=r"exclude\[1\]\.reason"):
        load(written(tmp_path, text))
    text = GOOD + '[[exclude]]\nplate = "a"\nwells = ["77"]\nreason = "blocked tip"\n'
    with pytest.raises(StudyError, match=r'exclude\[1\]\.wells: "77" is not a well'):
        load(written(tmp_path, text))


def test_no_study_and_broken_toml_are_named(tmp_path):
    with pytest.raises(FileError, match=r"there is no such study\. Write an empty one with: halfmax init"):
        load(tmp_path / "nowhere")
    with pytest.raises(FileError, match=r"study\.toml: not valid TOML: .*line 1"):
        load(written(tmp_path, "[study\n"))
    (tmp_path / "study.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match="cannot be read as UTF-8"):
        load(tmp_path)


def test_the_schema_accepts_the_example_and_refuses_an_unknown_key():
    import tomllib
    from importlib.resources import files

    text = files("halfmax").joinpath("examples/cm572/study.toml").read_text(encoding="utf-8")
    described = json.loads(json.dumps(schema()))
    document = tomllib.loads(text)
    jsonschema.validate(document, described)
    document["study"]["titel"] = "x"
    with pytest.raises(jsonschema.ValidationError, match="titel"):
        jsonschema.validate(document, described)
