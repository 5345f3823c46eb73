"""Kinetic plates: FLIPR and FlexStation exports, and the maps that go with them."""

import json

import numpy as np
import pytest

from halfmax.errors import FileError, RangeError, StudyError
from halfmax.readers import read
from halfmax.readers.layout import read_layout
from halfmax.study import run
from halfmax.wells import well_names

TIMES = [0.0, 1.0, 2.0, 2.7, 3.7]


def seq1(path, *, wells=None, times=TIMES, change=None, plate="default96", end="\t\n"):
    """A FLIPR export of made-up counts; `change` edits its lines."""
    settings = ["File = C:\\made up.fmd", f"Read Plate name = {plate}", "Read Plate Barcode = <no barcode expected>",
                "Read Mode 1 Excitation Wavelength = 470_495", "Read Mode 1 Emission Wavelength = 515_575"]  # fmt: skip
    wells = well_names((8, 12)) if wells is None else wells
    cells = [["Well", *(f"{time:.2f}" for time in times)]]
    cells += [[well, *(f"{300 + place + read:.2f}" for read in range(len(times)))] for place, well in enumerate(wells)]
    settings += [""] * (len(cells) - len(settings))
    lines = ["\t".join([said, "", "", "", *line]) for said, line in zip(settings, cells, strict=False)]
    lines = lines if change is None else change(lines)
    path.write_bytes((end.join(lines) + end).encode())
    return path


def flex(path, *, reads=4, declared=4, encoding="utf-16", change=None):
    """A FLEX export in time format of A1 to A3 at 340 and 380 nm, made up."""
    wells = ["A1", "A2", "A3"]
    head = ["Plate:", "Plate1", "1.3", "TimeFormat", "Flex", "Fluorescence", "TRUE", "Raw", "FALSE", str(declared),
            "20", "5", "", "", "", "2", "510 510 ", "1", "3", "96", "340 380 ", "Automatic", "495 495 ", "", "", "6",
            "Medium", "", "", "1", "1", "TimeTags"]  # fmt: skip
    title = ["", "Temperature(°C)", *(text for well in wells for text in (f"{well}T", well)), ""]
    lines = ["##BLOCKS= 1", "\t".join(head), "\t".join(title)]
    for channel in range(2):
        for read_number in range(reads):
            pairs = [(f"{5 * read_number + 0.3 * k + channel:.2f}", f"{300 + 10 * channel + k + read_number}")
                     for k in range(3)]  # fmt: skip
            lines.append("\t".join(["", "23.0", *(text for pair in pairs for text in pair), ""]))
        lines.append("")
    lines += ["~End", ""]
    lines = lines if change is None else change(lines)
    path.write_text("\r\n".join(lines), encoding=encoding)
    return path


def test_flipr_export_is_known_by_its_content(tmp_path):
    table = read(seq1(tmp_path / "anything.txt"))
    assert table.sources[0].reader == "flipr"
    assert len(table) == 96 * 5
    assert table.plates == ["anything"]
    assert table.channels == ["470-495/515-575"]
    assert table.where(well="A2").frame["signal"].tolist() == [301, 302, 303, 304, 305]
    assert table.where(well="A2").frame["time_s"].tolist() == TIMES


def test_flipr_words_are_missing_with_a_flag(tmp_path):
    def change(lines):
        return [line.replace("300.00\t301.00", "Saturated\t???") if "\tA1\t" in line else line for line in lines]

    frame = read(seq1(tmp_path / "p.seq1", change=change)).where(well="A1").frame
    assert frame["flag"].tolist() == ["saturated", "error", "", "", ""]
    assert frame["signal"].isna().tolist() == [True, True, False, False, False]


def without_last(lines):
    return lines[:-3]


def short_line(lines):
    return [line.rsplit("\t", 2)[0] if "\tC7\t" in line else line for line in lines]


def clock_back(lines):
    return [lines[0].replace("2.70", "1.50"), *lines[1:]]


def twice(lines):
    return [line.replace("\tB2\t", "\tB1\t") for line in lines]


@pytest.mark.parametrize(
    ("change", "plate", "message"),
    [
        (without_last, "default96", r"a plate of 96 wells .* found 93, the first missing is H10.*cut off"),
        (without_last, "none", r"found 93, the first missing is H10"),
        (short_line, "default96", r"line \d+, well C7: 5 reads have a time, but the line holds 3"),
        (clock_back, "default96", r"must ascend from 0 s, found 2 s and then 1.5 s \(reads 3 and 4\)"),
        (twice, "default96", r"well B1 stands on 2 lines"),
        (None, "default384", r"a plate of 384 wells .* found 96, the first missing is A13"),
    ],
)
def test_flipr_files_that_contradict_themselves_are_refused(tmp_path, change, plate, message):
    with pytest.raises(FileError, match=message):
        read(seq1(tmp_path / "p.seq1", change=change, plate=plate))


def test_flipr_file_cut_within_its_last_number_is_refused(tmp_path):
    path = seq1(tmp_path / "p.seq1")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(FileError, match=r"well H12: .*cut off"):
        read(path)


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252", "utf-8"])
def test_flex_export_keeps_the_time_of_each_well(tmp_path, encoding):
    table = read(flex(tmp_path / "p.txt", encoding=encoding))
    assert table.channels == ["340/510", "380/510"]
    part = table.where(well="A3", channel="380/510").frame
    np.testing.assert_allclose(part["time_s"], [1.6, 6.6, 11.6, 16.6])
    assert part["signal"].tolist() == [312, 313, 314, 315]


def lose_read(lines):
    return [*lines[:4], *lines[5:]]


def cut_line(lines):
    return [*lines[:5], "\t".join(lines[5].split("\t")[:5]), *lines[6:]]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"declared": 61}, r"plate Plate1 declares 61 reads, found 4 of 340/510.*cut off"),
        ({"change": lose_read}, r"declares 4 reads, found 3 of 340/510"),
        ({"change": cut_line}, r"line 6: the line ends before well A2"),
        ({"change": lambda lines: lines[:7] + lines[-2:]}, r"declares 2 wavelengths, found readings of 1"),
        ({"change": lambda lines: lines[:9]}, r"must be closed by ~End.*cut off"),
    ],
)
def test_flex_files_that_contradict_themselves_are_refused(tmp_path, asked, message):
    with pytest.raises(FileError, match=message):
        read(flex(tmp_path / "p.txt", **asked))


ROWS = """Experiment Title:,,made up,,,,,,
Row,Start,End,Type,Contents,Compound,Protein,Concentration,Concentration Units
A,1,3,Control,DMSO,,TRPC5,0,nM
B,1,3,Control2,EA,EA,TRPC5,10,nM
 F,2,3,Compound,drug,drug,TRPC5,300,nM
G,1,1,Blank,,,,,
H,1,1,Plate control,DMSO only,none,,none,
"""


def rows(tmp_path, old="", new=""):
    path = tmp_path / "map.csv"
    path.write_text(ROWS.replace(old, new), encoding="utf-8")
    return path


def test_row_map_gives_each_stretch_its_role(tmp_path):
    frame = read_layout(rows(tmp_path)).frame.set_index("well")
    assert frame["role"].to_dict() == {
        **dict.fromkeys(["A1", "A2", "A3"], "vehicle"),
        **dict.fromkeys(["B1", "B2", "B3", "F2", "F3"], "sample"),
        "G1": "blank",
        "H1": "untreated",
    }
    assert frame.loc["F3", ["compound", "concentration_M", "cell_line"]].tolist() == ["drug", 3e-7, "TRPC5"]
    assert frame.loc["B1", "compound"] == "EA"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (" F,2,3", "FF,2,3", r"map.csv, line 5: .*FF2.*Correct the row or well"),
        (" F,2,3", "F,3,2", r'line 5, row F: Start and End .* found "3" and "2"'),
        (" F,2,3", "B,2,3", r"line 5: well B2 has compound .*line 4 says"),
        ("Compound,drug", "Compund,drug", r'line 5: unknown Type "Compund"'),
        ("300,nM", "300,", r"line 5: .*no unit"),
        ("300,nM", "many,nM", r"line 5: .*must be a number"),
        (",Contents,", ",Colour,", r'line 2: unknown column "Colour"'),
    ],
)
def test_row_map_errors_name_the_line(tmp_path, old, new, message):
    with pytest.raises((StudyError, RangeError), match=message):
        read_layout(rows(tmp_path, old, new))


def test_row_that_the_plate_has_not_is_named(tmp_path):
    layout = read_layout(rows(tmp_path, " F,2,3", "Q,2,3"))
    with pytest.raises(StudyError, match=r"map.csv is drawn for 1536 wells.*Well Q2 of the layout lies outside"):
        layout.apply(read(seq1(tmp_path / "p.seq1")))
    with pytest.raises(StudyError, match=r"line 5: well Q2 lies outside a plate of 8 × 12"):
        read_layout(rows(tmp_path, " F,2,3", "Q,2,3"), wells=96)


def records(tmp_path, **change):
    entries = [
        {"well_id": "A1", "label": "ATP", "concentration": "100 µM", "sample_id": "4026", "color": "#1f77b4"},
        {"well_id": "A2", "label": "Buffer", "concentration": "", "sample_id": "2912"},
        {"well_id": "A3", "label": ""},
    ]
    entries[1].update(change)
    path = tmp_path / "layout.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


def test_json_map_gives_compound_dose_and_line(tmp_path):
    frame = read_layout(records(tmp_path)).frame
    assert frame["role"].tolist() == ["sample", "vehicle", "unused"]
    assert frame["concentration_M"].tolist()[:2] == [1e-4, 0.0]
    assert frame["cell_line"].tolist() == ["4026", "2912", ""]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"well_id": "ZZ2"}, r"layout.json, entry 2: .*ZZ2.*Correct its well_id"),
        ({"well_id": "A1"}, r"entry 2: well A1 is described twice"),
        ({"label": "Ionomycin"}, r'entry 2, well A2: "Ionomycin" has no concentration'),
        ({"concentration": "5", "label": "x"}, r"entry 2, well A2: .*no unit"),
        ({"dose": 1}, r'entry 2: unknown key "dose"'),
    ],
)
def test_json_map_errors_name_the_entry(tmp_path, change, message):
    with pytest.raises((StudyError, RangeError), match=message):
        read_layout(records(tmp_path, **change))


def test_json_that_is_cut_off_or_no_map_is_refused(tmp_path):
    path = records(tmp_path)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(FileError, match=r"layout.json, line 1: begins like JSON but breaks off"):
        read_layout(path)
    path.write_text('{"controls": {}}')
    with pytest.raises(FileError, match="found other JSON"):
        read_layout(path)


def test_real_raw_plate_and_its_map(data):
    folder = data / "calcium" / "flexstation_fura2"
    table = read(folder / "data_3nM_to_3uM.txt")
    assert (len(table), table.channels) == (2 * 61 * 48, ["340/510", "380/510"])
    frame = read_layout(folder / "map_3nM_to_3uM.csv").apply(table).frame
    wells = frame.drop_duplicates("well")
    assert wells.groupby("concentration_M").size().to_dict() == dict.fromkeys(
        [0.0, 3e-9, 1e-8, 3e-8, 1e-7, 3e-7, 1e-6, 3e-6], 6
    )
    assert set(wells["cell_line"]) == {"TRPC5"}
    assert wells[wells["well"].str.startswith("F")]["concentration_M"].unique().tolist() == [3e-7]
    assert frame[(frame["well"] == "A1") & (frame["channel"] == "340/510")]["time_s"].iloc[0] == 0.7508


def test_real_reduced_plate_flags_limits(data):
    folder = data / "calcium" / "flexstation_fura2"
    table = read(folder / "activator_example_data.txt")
    flagged = table.frame[table.frame["flag"] != ""]
    assert (len(table), table.channels) == (61 * 48, ["reduced"])
    assert len(flagged) == 48
    assert set(flagged["flag"]) == {"error"}
    assert flagged["time_s"].min() > 300
    roles = read_layout(folder / "activator_example_map.csv").apply(table).frame.drop_duplicates("well")
    assert roles.groupby("compound").size().to_dict() == {"": 6, "EA": 6, "activator": 36}


def test_real_map_with_a_well_a_line(data):
    frame = read_layout(data / "calcium" / "flexstation_fura2" / "long_map_example.csv").frame
    assert frame["role"].value_counts().to_dict() == {"unused": 48, "sample": 36, "untreated": 6, "vehicle": 6}


def test_real_flipr_plate_and_its_map(data):
    folder = data / "calcium" / "flipr_seq1"
    table = read(folder / "ATP_data.seq1")
    assert len(table) == 96 * 220
    assert table.frame["time_s"].max() == 218.72
    wells = read_layout(folder / "ATP_layout.json").apply(table).frame.drop_duplicates("well")
    assert wells.groupby(["role", "compound"]).size().to_dict() == {
        ("sample", "ATP"): 36, ("sample", "Ionomycin"): 36, ("vehicle", ""): 24
    }  # fmt: skip
    assert wells.groupby("cell_line").size().to_dict() == {"2912": 24, "4026": 24, "498": 24, "9497": 24}
    with pytest.raises(FileError, match="found other JSON"):
        read_layout(folder / "diagnosis_options.json")


def test_real_files_cut_off_anywhere_are_never_silently_short(data, tmp_path):
    flipr = (data / "calcium" / "flipr_seq1" / "ATP_data.seq1").read_bytes()
    reduced = (data / "calcium" / "flexstation_fura2" / "activator_example_data.txt").read_bytes()
    raw = (data / "calcium" / "flexstation_fura2" / "data_3nM_to_3uM.txt").read_bytes()
    rng = np.random.default_rng(5)
    for content, name in ((flipr, "p.seq1"), (reduced, "r.txt"), (raw, "w.txt")):
        last = content.rindex("~End".encode("utf-16-le" if name == "w.txt" else "ascii")) if name != "p.seq1" else (
            len(content) - 2
        )  # fmt: skip
        for place in rng.integers(400, last, 25):
            path = tmp_path / name
            path.write_bytes(content[: int(place)])
            with pytest.raises(FileError):
                read(path)


def test_viability_refuses_a_kinetic_reading(tmp_path):
    flex(tmp_path / "p.txt")
    (tmp_path / "map.csv").write_text("well,role\nA1,DMSO\n", encoding="utf-8")
    (tmp_path / "study.toml").write_text(
        '[study]\ntitle = "x"\n[[plate]]\nfile = "p.txt"\nlayout = "map.csv"\ncell_line = "a"\nexperiment = "1"\n',
        encoding="utf-8",
    )
    with pytest.raises(StudyError, match=r"p\.txt is a kinetic reading; viability needs one reading a well"):
        run(tmp_path / "study.toml")
