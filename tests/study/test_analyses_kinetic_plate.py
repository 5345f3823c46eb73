"""Kinetic plates of a study: real plates of a FlexStation and a FLIPR, simulated ones, and what is refused."""

import json
import shutil

import numpy as np
import pytest

from halfmax.errors import StudyError
from halfmax.study import run

HEAD = '[study]\ntitle = "Kinetic plates"\n'
INHIBITION = """
[[kinetic_plate]]
name = "inhibition"
file = "data_3nM_to_3uM.txt"
layout = "map_3nM_to_3uM.csv"
mode = "antagonist"
agonist = "activator"
"""
ACTIVATION = """
[[kinetic_plate]]
name = "activation"
file = "activator_example_data.txt"
layout = "activator_example_map.csv"
reference = "EA"
"""
SCREEN = """
[[kinetic_plate]]
name = "screen"
file = "ATP_data.seq1"
layout = "ATP_layout.json"
quantity = "plateau"
quiet = "vehicle"
window_start = "4 s"
window_end = "60 s"
"""
TIME = np.arange(0.0, 121.0, 2.0)
DOSES = np.geomspace(1e-9, 1e-5, 9)
ROWS = "ABCDEFGH"


def analyses(folder, *entries, **how):
    (folder / "study.toml").write_text(HEAD + "".join(entries), encoding="utf-8")
    return run(folder, write=False, **how).report.analyses


@pytest.fixture
def real(data, tmp_path):
    for name in (*INHIBITION.split('"'), *ACTIVATION.split('"'), *SCREEN.split('"')):
        for place in ("flexstation_fura2", "flipr_seq1"):
            if "." in name and (data / "calcium" / place / name).is_file():
                shutil.copyfile(data / "calcium" / place / name, tmp_path / name)
    return tmp_path


def transient(height):
    """Simulated: a rise at 20 s with a decay, of a peak near `height`."""
    since = np.maximum(TIME - 20.0, 0.0)
    return 1.25 * height * (1 - np.exp(-since / 4)) * np.exp(-since / 60)


def write_plate(folder, name, ec50=1e-7, *, seed=1, mode="agonist", noise=0.004):
    """A simulated plate, .seq1 and map: nine doses down its columns, then vehicle, ionomycin, and without agonist."""
    rng = np.random.default_rng(seed)
    lines, wells = {}, []
    for row in ROWS:
        for column in range(1, 13):
            dose = DOSES[column - 1] if column < 10 else 0.0
            share = dose / (dose + ec50)
            height = {10: float(mode == "antagonist"), 11: 1.2, 12: 0.0}.get(
                column, share if mode == "agonist" else 1 - share
            )
            trace = 300 * (1 + transient(height * rng.normal(1, 0.05)) + rng.normal(0, noise, TIME.size))
            lines[f"{row}{column}"] = trace
            if column < 12:
                label = "CM572" if column < 10 else "buffer" if column == 10 else "ionomycin"
                amount = f"{dose * 1e9:.6g} nM" if column < 10 else "" if column == 10 else "1 µM"
                wells.append({"well_id": f"{row}{column}", "label": label, "concentration": amount,
                              "sample_id": "MCF-7"})  # fmt: skip
    settings = ["File = SIMULATED by halfmax", "Read Plate name = default96"] + [""] * 95
    head = "\t".join([settings[0], "", "", "", "Well", *(f"{time:.2f}" for time in TIME)])
    body = ["\t".join([said, "", "", "", well, *(f"{value:.2f}" for value in trace)])
            for said, (well, trace) in zip(settings[1:], lines.items(), strict=True)]  # fmt: skip
    (folder / f"{name}.seq1").write_text("\r\n".join([head, *body]) + "\r\n", encoding="utf-8")
    (folder / f"{name}.json").write_text(json.dumps(wells), encoding="utf-8")
    return name


def entry(name, *keys, title="calcium", experiment="1"):
    said = [f'name = "{title}"', f'file = "{name}.seq1"', f'layout = "{name}.json"', f'experiment = "{experiment}"']
    return "\n[[kinetic_plate]]\n" + "\n".join([*said, *keys]) + "\n"


class TestRealPlates:
    def test_inhibitor_of_a_raw_fura_plate(self, real):
        (found,) = analyses(real, INHIBITION)
        assert found.section == "calcium"
        assert found.title == "inhibition: Inhibitor in TRPC5"
        assert found.answer == "IC50 157 nM (94–389)"
        assert "37 of 42 wells lie below the vehicle wells; 1 of 6 vehicle wells (17 %) would" in found.sentence
        assert "no wells without agonist" in " ".join(found.estimate.notes)
        assert "nowhere do 340 and 380 nm step the same way" in " ".join(found.notes)
        dose, traces = found.plots
        (wells,) = dose.series
        assert (wells.x.size, np.unique(wells.x).size) == (48, 8)
        assert ((wells.low < wells.line) & (wells.line < wells.high)).all()
        assert traces.bars[0].label == "activator"
        assert 60 < traces.bars[0].start < 63
        assert [one.label for one in traces.series][::6] == ["vehicle", "3 µM"]
        assert len(traces.series) == 7
        assert all((one.low <= one.line).all() and (one.line <= one.high).all() for one in traces.series)

    def test_light_of_the_compound_is_named(self, real):
        """Both channels of H1 are raised by half from the addition on: altered by this test."""
        path = real / "data_3nM_to_3uM.txt"
        lines = path.read_text(encoding="utf-16").splitlines()
        place = lines[2].split("\t").index("H1")
        for row in range(3, len(lines)):
            cells = lines[row].split("\t")
            if len(cells) > place and cells[place] and float(cells[place - 1]) > 61:
                cells[place] = f"{1.5 * float(cells[place]):.4f}"
            lines[row] = "\t".join(cells)
        path.write_text("\r\n".join(lines) + "\r\n", encoding="utf-16")
        (found,) = analyses(real, INHIBITION)
        assert "Light of the compound itself, since both channels step the same way at the addition: H1 (+" in (
            found.sentence
        )

    def test_background_may_be_told(self, real):
        (found,) = analyses(real, INHIBITION, 'background = ["340 = 5", "380 = 5"]\n')
        assert "Background taken off: 340/510 5, 380/510 5." in found.estimate.notes
        assert found.estimate["ic50"].low < 157e-9 < found.estimate["ic50"].high

    def test_activator_of_a_reduced_plate(self, real):
        (found,) = analyses(real, ACTIVATION)
        assert found.answer == "EC50 9.6 nM (6.7–13.7)"
        assert "31 of 36 wells respond; 1 of 6 vehicle wells (17 %) would" in found.sentence
        assert any(note.startswith("48 of 2928 reads have no number (error)") for note in found.notes)
        (wells,) = found.plots[0].series
        assert found.plots[0].y_title == "peak of ratio (% of EA)"
        assert abs(wells.y[wells.x == 0].mean()) < 1e-9
        assert 85 < wells.line[-1] < 105
        assert abs(wells.line[-1] - wells.y[wells.x == 3e-7].mean()) < 10

    def test_flipr_screen_has_responders_and_no_ec50(self, real):
        (found,) = analyses(real, SCREEN)
        wanted = "35 of 36 wells respond to Ionomycin 1 µM, 30 of 36 to ATP 100 µM; one concentration: no EC50"
        assert found.answer == wanted
        assert "65 of 72 wells respond; 0 of 24 vehicle wells (0 %) would" in found.sentence
        assert "their means have n = 4" in found.sentence
        assert found.estimate["2: ATP 100 µM, 2912"].text() == "56% (21–86)"
        mean = found.estimate["plateau, Ionomycin 1 µM"]
        assert (mean.method, round(mean.value, 2)) == ("t, 4 lines", 2.44)
        assert "ec50" not in found.estimate
        assert {one.label: one.x.size for one in found.plots[0].series} == {
            "responds": 65, "does not respond": 7, "vehicle": 24
        }  # fmt: skip
        assert found.plots[1].bars[0].start == pytest.approx(23.72)

    def test_wells_left_out_take_no_part_and_are_drawn(self, real):
        (found,) = analyses(real, SCREEN, 'exclude = ["D6", "E6", "F6"]\nreason = "ionomycin did not arrive"\n')
        assert found.answer.startswith("33 of 33 wells respond to Ionomycin 1 µM, 30 of 36 to ATP")
        assert "Left out: D6, E6, F6 (ionomycin did not arrive)." in found.notes
        assert {one.label: one.x.size for one in found.plots[0].series}["left out"] == 3

    def test_documents_are_written(self, real):
        (real / "study.toml").write_text(HEAD + INHIBITION + SCREEN, encoding="utf-8")
        folder = run(real, name="one").folder
        page = (folder / "report.html").read_text(encoding="utf-8")
        assert "IC50 157 nM (94–389)" in page
        assert "30 of 36 to ATP 100 µM; one concentration: no EC50" in page
        assert "10.1016/S0021-9258(19)83641-4" in page
        assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
        files = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["inputs"]
        assert {"data_3nM_to_3uM.txt", "map_3nM_to_3uM.csv", "ATP_layout.json"} <= {one["file"] for one in files}


class TestSimulatedPlates:
    @pytest.mark.parametrize("quantity", ["peak", "area", "plateau"])
    def test_potency_is_recovered(self, tmp_path, quantity):
        (found,) = analyses(
            tmp_path, entry(write_plate(tmp_path, "a"), f'quantity = "{quantity}"', 'reference = "ionomycin"')
        )
        ec50 = found.estimate["ec50"]
        assert ec50.low < 1e-7 < ec50.high
        assert ec50.value == pytest.approx(1e-7, rel=0.15)
        assert 75 < found.plots[0].series[0].line[-1] < 90

    def test_antagonist_has_an_ic50_and_its_wells_without_agonist(self, tmp_path):
        name = write_plate(tmp_path, "a", mode="antagonist")
        path = tmp_path / "a.csv"
        lines = ["well,role,compound,concentration_nM"]
        for row in ROWS:
            lines += [f"{row}{k},sample,CM572,{dose * 1e9:.6g}" for k, dose in enumerate(DOSES, start=1)]
            lines += [f"{row}10,vehicle,,", f"{row}12,untreated,,"]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        said = entry(name, 'mode = "antagonist"').replace("a.json", "a.csv")
        (found,) = analyses(tmp_path, said)
        assert found.answer.startswith("IC50 ")
        assert found.estimate["ic50"].low < 1e-7 < found.estimate["ic50"].high
        assert found.title == "calcium: CM572"
        assert [one.label for one in found.plots[0].series] == ["CM572", "without agonist"]
        assert [one.label for one in found.plots[1].series][:2] == ["without agonist", "vehicle"]
        assert "8 wells were read that a.csv does not cover, and take no part: A11, B11" in " ".join(found.notes)

    def test_experiments_are_combined_in_two_stages(self, tmp_path):
        truth = (7e-8, 1e-7, 1.5e-7)
        names = [write_plate(tmp_path, f"day{k}", value, seed=k) for k, value in enumerate(truth)]
        keys = ('reference = "ionomycin"',)
        (found,) = analyses(tmp_path, *(entry(name, *keys, experiment=name) for name in names))
        ec50 = found.estimate["ec50"]
        assert (found.estimate.model, found.estimate.n) == ("two-stage t", 3)
        assert ec50.value == pytest.approx(np.exp(np.log(truth).mean()), rel=0.1)
        logs = [np.log(part["ec50"].value) for part in found.estimate.parts]
        assert np.log(ec50.high / ec50.value) == pytest.approx(4.3027 * np.std(logs, ddof=1) / np.sqrt(3), rel=1e-3)
        assert [one.label for one in found.plots[0].series] == [f"experiment {name}" for name in names]
        assert len(found.plots) == 4
        assert any(note.startswith("Experiment day1: EC50 ") for note in found.notes)
        assert any("The experiment is the sample" in said for said in found.methods)

    def test_plates_of_one_experiment_are_no_experiments(self, tmp_path):
        names = [write_plate(tmp_path, f"p{k}", seed=k) for k in range(2)]
        (found,) = analyses(tmp_path, *(entry(name, 'reference = "ionomycin"') for name in names))
        assert found.estimate.model == "mean of plates"
        assert found.plots[0].series[1].label == "plate p1"

    def test_the_name_makes_the_analysis(self, tmp_path):
        names = [write_plate(tmp_path, f"p{k}", seed=k) for k in range(2)]
        found = analyses(tmp_path, *(entry(one, 'reference = "ionomycin"', title=one) for one in names))
        assert [one.title for one in found] == ["p0: CM572 in MCF-7", "p1: CM572 in MCF-7"]

    def test_a_reference_without_that_key_is_a_compound_at_one_dose(self, tmp_path):
        curve, screen = analyses(tmp_path, entry(write_plate(tmp_path, "a")))
        assert curve.answer.startswith("EC50")
        assert screen.answer == "8 of 8 wells respond to ionomycin 1 µM; one concentration: no EC50"

    def test_a_compound_without_effect_has_no_curve(self, tmp_path):
        name = write_plate(tmp_path, "a", ec50=1.0)
        (found,) = analyses(tmp_path, entry(name, 'addition = "20 s"', 'reference = "ionomycin"'))
        assert found.answer == "EC50 not identified"
        assert "No curve: no dependence on the concentration" in found.sentence
        assert "kill" not in found.sentence
        assert "leaves" not in found.sentence
        assert found.plots[0].series[0].line.size == 0

    def test_an_open_end_is_said(self, tmp_path):
        name = write_plate(tmp_path, "a", ec50=1e-4)
        with pytest.raises(StudyError, match=r'a\.seq1\): plate a: no addition stands .*\(addition = "20 s"\)'):
            analyses(tmp_path, entry(name, 'reference = "ionomycin"'))
        (found,) = analyses(tmp_path, entry(name, 'reference = "ionomycin"', 'addition = "20 s"'))
        assert found.answer.startswith("EC50 > ")
        assert "Open: the data do not bound EC50 from above. Reported as EC50 >" in found.sentence

    def test_baseline_and_window_may_be_told(self, tmp_path):
        name = write_plate(tmp_path, "a")
        keys = ('reference = "ionomycin"', 'addition = "20 s"')
        (whole,) = analyses(tmp_path, entry(name, *keys))
        (short,) = analyses(tmp_path, entry(name, *keys, 'baseline = "8 s"', 'window_end = "30 s"'))
        assert short.plots[1].series[0].at.min() == 12.0
        assert whole.plots[1].series[0].at.min() == 0.0
        assert short.estimate["ec50"].value == pytest.approx(whole.estimate["ec50"].value, rel=0.1)

    def test_simulated_files_say_so(self, tmp_path):
        (tmp_path / "study.toml").write_text(HEAD + entry(write_plate(tmp_path, "a")), encoding="utf-8")
        assert run(tmp_path, write=False).report.simulated


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            (['mode = "inverse"'], r"kinetic_plate\[1\]\.mode: .*'agonist' or 'antagonist', found 'inverse'"),
            (['quantity = "height"'], r"kinetic_plate\[1\]\.quantity: .*found 'height'"),
            (['colour = "red"'], r'unknown key "colour" in kinetic_plate\[1\]'),
            (['exclude = ["A1"]'], r'left out with a reason\. Write exclude = \["D6"\] and reason'),
            (['agonist = "ATP"'], r'names what an antagonist works against\. Remove it, or set mode = "antagonist"'),
            (['window_start = "30 s"', 'window_end = "10 s"'], r"must end after it starts, found 30 s to 10 s"),
            (
                ['addition = "500 s"'],
                r"kinetic_plate calcium \(a\.seq1\): the addition at 500 s must lie within the recording, which runs "
                r"from 0 to 120 s",
            ),
            (['reference = "ionomycn"'], r'a\.seq1\): no well holds the reference "ionomycn"\. Did you mean "ionomyc'),
            (['background = ["340: 20"]'], r'expected a channel and its light, found "340: 20"\. Write "340 = 20"'),
            (['background = ["340 = 20"]'], r'the background of channel "" is not given'),
            (['plate = "b"'], r'the file holds no plate "b"'),
            (['cell_line = "HMEC"'], r"says cell line MCF-7, but the data or the study say HMEC"),
            (['exclude = ["A13"]', 'reason = "a bubble"'], r"A13"),
            (['baseline = "1 s"'], r"no read lies in the 1 s before the addition\. Choose a longer baseline"),
        ],
    )
    def test_entries(self, tmp_path, keys, message):
        with pytest.raises(StudyError, match=message):
            analyses(tmp_path, entry(write_plate(tmp_path, "a"), *keys))

    def test_a_layout_of_wells_that_were_not_read(self, real):
        path = real / "activator_example_map.csv"
        path.write_text(path.read_text(encoding="utf-8").replace("H,1,6", "H,1,8"), encoding="utf-8")
        with pytest.raises(StudyError, match=r"map\.csv says what stood in H7, H8, but the file has no reads of them"):
            analyses(real, ACTIVATION)

    def test_no_vehicle(self, tmp_path):
        name = write_plate(tmp_path, "a")
        wells = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
        kept = [one for one in wells if one["label"] != "buffer"]
        (tmp_path / "a.json").write_text(json.dumps(kept), encoding="utf-8")
        with pytest.raises(StudyError, match=r"no vehicle wells to normalise to\. Name them in the layout"):
            analyses(tmp_path, entry(name, 'reference = "ionomycin"'))
        with pytest.raises(
            StudyError, match=r"no vehicle wells to judge its plate and line by\. Without a dose series"
        ):
            analyses(tmp_path, entry(name))
        kept = [one for one in kept if one["label"] == "CM572"]
        (tmp_path / "a.json").write_text(json.dumps(kept), encoding="utf-8")
        (found,) = analyses(tmp_path, entry(name))
        assert found.estimate["ec50"].low < 1e-7 < found.estimate["ec50"].high
        assert "There are no vehicle wells" in " ".join(found.estimate.notes)
        assert any(note.startswith("Responders were not called: ") for note in found.notes)

    def test_the_same_plate_twice(self, tmp_path):
        name = write_plate(tmp_path, "a")
        with pytest.raises(
            StudyError, match=r"an earlier entry holds plate a of this file, too\. Its wells would count"
        ):
            analyses(tmp_path, entry(name), entry(name, experiment="2"))

    def test_experiments_analysed_differently(self, tmp_path):
        names = [write_plate(tmp_path, f"p{k}") for k in range(2)]
        with pytest.raises(StudyError, match=r'quantity is "area", but an earlier entry of the same name says "peak"'):
            analyses(tmp_path, entry(names[0]), entry(names[1], 'quantity = "area"', experiment="2"))
