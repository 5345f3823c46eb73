"""The adapter to allotropy: documents to tables, and messages where allotropy is missing or fails."""

from __future__ import annotations

import importlib.util
import math
import sys
import types

import pytest

from halfmax.errors import FileError
from halfmax.readers.vendor import read_vendor, readings_of_document


def measurement(well, *, plate="Plate 1", wavelength=450.0, excitation=None, errors=(), **quantities):
    """Measurement document of the ASM plate-reader schema, as far as the adapter looks at it."""
    control = {"device type": "plate reader", "detector wavelength setting": {"value": wavelength, "unit": "nm"}}
    if excitation:
        control["excitation wavelength setting"] = {"value": excitation, "unit": "nm"}
    document = {
        "measurement identifier": "made for a test",
        "device control aggregate document": {"device control document": [control]},
        "sample document": {"location identifier": well, "well plate identifier": plate},
        **quantities,
    }
    if errors:
        found = [{"error": text, "error feature": feature} for text, feature in errors]
        document["error aggregate document"] = {"error document": found}
    return document


def document(*groups):
    readers = [{"measurement aggregate document": {"measurement document": list(group)}} for group in groups]
    return {"$asm.manifest": "made for a test", "plate reader aggregate document": {"plate reader document": readers}}


def absorbance(value):
    return {"absorbance": {"value": value, "unit": "mAU"}}


def cube(times, values, quantity="fluorescence"):
    return {
        "emission profile data cube": {
            "cube-structure": {"dimensions": [{"concept": "elapsed time"}], "measures": [{"concept": quantity}]},
            "data": {"dimensions": [times], "measures": [values]},
        }
    }


def test_a_saturated_well_is_known_by_its_error_not_by_its_value():
    broken = measurement("a08", errors=[("OVRFLW", "absorbance")], **absorbance(-0.0))
    [reading] = readings_of_document(document([broken]), "p")
    assert (reading.well, reading.flag) == ("A8", "saturated")
    assert math.isnan(reading.signal)


def test_an_unknown_error_is_an_error_and_one_of_another_quantity_is_none():
    readings = readings_of_document(
        document(
            [measurement("A1", errors=[("lamp exploded", "absorbance")], **absorbance(-0.0))],
            [measurement("A2", errors=[("OVRFLW", "fluorescence")], **absorbance(0.5))],
            [measurement("A3", **absorbance(None))],
        ),
        "p",
    )
    assert [reading.flag for reading in readings] == ["error", "", "empty"]


def test_repeated_wavelengths_are_numbered_and_nameless_plates_are_named():
    group = [measurement("A1", plate=None, **absorbance(value)) for value in (0.1, 0.2)]
    readings = readings_of_document(document(group), "file")
    assert [(reading.plate, reading.channel) for reading in readings] == [("file", "450"), ("file", "450 #2")]


def test_a_course_keeps_its_times_and_flags_what_its_error_stands_for():
    group = [measurement("B2", wavelength=525.0, excitation=485, **cube([0, 90], [3.5, 4.5]))]
    broken = [
        measurement(
            "B3", wavelength=525.0, excitation=485, errors=[("OVRFLW", "fluorescence")], **cube([0, 90], [3.5, -0.0])
        )
    ]
    readings = readings_of_document(document(group, broken), "p")
    assert [(r.channel, r.time_s, r.flag) for r in readings] == [
        ("485/525", 0.0, ""),
        ("485/525", 90.0, ""),
        ("485/525", 0.0, ""),
        ("485/525", 90.0, "saturated"),
    ]


def test_spectra_are_no_plate_readings():
    spectrum = cube([400, 401], [0.1, 0.2], "absorbance")
    spectrum["emission profile data cube"]["cube-structure"]["dimensions"] = [{"concept": "wavelength"}]
    assert readings_of_document(document([measurement("A1", **spectrum)]), "p") == []


def test_a_well_that_is_none_is_refused():
    with pytest.raises(FileError, match='the document names a well that is none: "Z99"'):
        readings_of_document(document([measurement("Z99", **absorbance(1.0))]), "p")


@pytest.fixture
def allotropy(monkeypatch):
    """A stand-in for allotropy whose answer the test sets."""
    import enum

    vendor = enum.Enum("Vendor", {"AGILENT_GEN5": "AGILENT_GEN5", "BMG_MARS": "BMG_MARS"})
    answer = {}

    def allotrope_from_file(path, chosen):
        answer["asked"] = (path, chosen)
        if "error" in answer:
            raise answer["error"]
        return answer["document"]

    package = types.ModuleType("allotropy")
    factory = types.ModuleType("allotropy.parser_factory")
    factory.Vendor = vendor
    convert = types.ModuleType("allotropy.to_allotrope")
    convert.allotrope_from_file = allotrope_from_file
    for module in (package, factory, convert):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True if name == "allotropy" else find(name))
    return answer


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "export.txt"
    path.write_text("an instrument that only allotropy knows\n")
    return path


def test_a_vendor_file_becomes_a_table(allotropy, path):
    allotropy["document"] = document([measurement("A1", **absorbance(0.5))])
    table = read_vendor(path, "BMG_MARS")
    assert table.frame["signal"].tolist() == [0.5]
    assert table.sources[0].reader == "allotropy BMG_MARS"
    assert allotropy["asked"][1].name == "BMG_MARS"


@pytest.mark.usefixtures("allotropy")
def test_a_misspelt_vendor_is_answered_with_the_nearest(path):
    with pytest.raises(FileError, match=r'allotropy has no vendor "BMG-MARS"\. Did you mean "BMG_MARS"\?'):
        read_vendor(path, "BMG-MARS")


def test_what_allotropy_raises_is_told(allotropy, path):
    allotropy["error"] = KeyError("no such line")
    with pytest.raises(FileError, match=r"allotropy could not read it \(KeyError: 'no such line'\)"):
        read_vendor(path)


def test_a_document_without_a_plate_is_refused(allotropy, path):
    allotropy["document"] = {"liquid handler aggregate document": {}}
    with pytest.raises(FileError, match="expected the readings of a plate, found liquid handler aggregate document"):
        read_vendor(path)


def test_read_asks_allotropy_last(allotropy, path):
    from halfmax.readers import read

    allotropy["document"] = document([measurement("A1", **absorbance(0.5))])
    assert read(path).sources[0].reader == "allotropy"
    allotropy["error"] = ValueError("unknown")
    with pytest.raises(FileError, match=r"no plate in a form that halfmax knows.* allotropy was asked, too: "):
        read(path)


def test_without_allotropy_the_extra_is_named(path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(FileError, match=r'Run `pip install "halfmax\[vendor\]"`'):
        read_vendor(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FileError, match="there is no such file"):
        read_vendor(tmp_path / "nothing.txt")


@pytest.mark.filterwarnings("default")
@pytest.mark.vendor
@pytest.mark.skipif(importlib.util.find_spec("allotropy") is None, reason="allotropy is not installed")
@pytest.mark.parametrize("name", ["gen5_abs450_96well_OVRFLW.txt", "softmax_fl_kinetic_plates.txt"])
def test_allotropy_and_our_reader_agree(data, name):
    from halfmax.readers import read

    columns = ["plate", "well", "channel", "time_s", "signal", "flag"]
    keys = columns[:4]
    theirs = read_vendor(data / "plates" / name).frame[columns].sort_values(keys, ignore_index=True)
    ours = read(data / "plates" / name).frame[columns].sort_values(keys, ignore_index=True)
    assert theirs.equals(ours)
