"""The folder of a plan and its protocol sheet: whole or not at all, safe to open, complete."""

from __future__ import annotations

import csv
import math
import re
import tomllib
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from halfmax.errors import FileError
from halfmax.plan import Plan, ViabilityOptions, plan_viability, protocol_html, study_toml
from halfmax.plan.picture import dose_colour, plate_svg
from halfmax.readers.layout import Layout, read_layout
from halfmax.study.document import load
from halfmax.study.road import analyse
from halfmax.units import duration
from halfmax.wells import row_column, row_label


def made(**changes: object) -> Plan:
    return plan_viability(**{"cell_lines": ["MCF-7", "PANC-1"], "compound": "CM572", "experiments": 1, **changes})


# ── Folder ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_plan_becomes_one_folder(tmp_path):
    folder = made(times="48 h").write(tmp_path / "plan")
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "dilution.csv",
        "layout_MCF-7_48h_1.toml",
        "layout_PANC-1_48h_1.toml",
        "plates/README.txt",
        "protocol.html",
        "study.toml",
        "worklist_echo.csv",
        "worklist_echo_source.csv",
        "worklist_manual.csv",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["plan"]


def test_the_study_names_the_layouts_beside_it(tmp_path):
    folder = made().write(tmp_path / "plan")
    study = tomllib.loads((folder / "study.toml").read_text(encoding="utf-8"))
    assert len(study["plate"]) == 6
    for plate in study["plate"]:
        layout = read_layout(folder / plate["layout"])
        assert set(layout.frame["cell_line"]) == {plate["cell_line"]}
        assert set(layout.frame["experiment"]) == {plate["experiment"]}
        assert plate["file"].startswith("plates/")


def test_any_name_survives_the_study_document():
    line = 'K"562 \\ µ\x7f'
    (plate,) = tomllib.loads(study_toml(made(cell_lines=line, times="24 h")))["plate"]
    assert plate["cell_line"] == line


def test_an_empty_folder_is_taken_and_a_full_one_refused(tmp_path):
    target = tmp_path / "plan"
    target.mkdir()
    made().write(target)
    with pytest.raises(FileError, match=r"plan: is there already and not empty\. .* choose another place"):
        made().write(target)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(FileError, match="is there already and not empty"):
        made().write(tmp_path / "file")


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(FileError, match=r"plan: cannot be written \(No space left on device\)"):
        made().write(tmp_path / "plan")
    assert list(tmp_path.iterdir()) == []


def test_the_same_plan_gives_the_same_bytes(tmp_path):
    one, two = (made(options=ViabilityOptions(randomise=True)).write(tmp_path / name) for name in ("a", "b"))
    for path in sorted(path for path in one.rglob("*") if path.is_file()):
        assert path.read_bytes() == (two / path.relative_to(one)).read_bytes()


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
def test_a_name_that_looks_like_a_formula_is_text(tmp_path, sign):
    folder = made(compound=f"{sign}cmd|' /C calc'!A0", times="24 h").write(tmp_path / "plan")
    for name in ("worklist_echo.csv", "worklist_manual.csv", "dilution.csv", "worklist_echo_source.csv"):
        with open(folder / name, encoding="utf-8-sig", newline="") as stream:
            for row in csv.reader(stream):
                for cell in row:
                    assert not re.match(r"[=+@]|-[^0-9.]", cell), cell


def test_numbers_below_zero_stay_numbers(tmp_path):
    folder = made(times="24 h").write(tmp_path / "plan")
    written = pd.read_csv(folder / "worklist_echo.csv")
    assert written["Error (%)"].dtype == float
    assert written["Error (%)"].min() < 0


# ── From the plan to the answer ─────────────────────────────────────────────────────────────────────


def test_the_study_is_a_study_document(tmp_path):
    plan = made(cell_lines='K"562 \\ µ', times=["24 h", "7.123456789 h"])
    document = load(plan.write(tmp_path / "plan"))
    assert (document.study.title, document.viability.signal, document.viability.background) == (
        plan.title,
        "570",
        "660",
    )
    assert [(entry.cell_line, duration(entry.time), entry.experiment) for entry in document.plate] == [
        (plate.cell_line, plate.time_s, plate.experiment) for plate in plan.plates
    ]


def export(layout: Layout, ec50: float, rng: np.random.Generator) -> str:
    """What a reader would write of a plate: drawn grids at 570 and 660 nm, log-logistic of slope 1.5, noise 2 %."""
    shown = {"570": np.full(layout.shape, 0.08), "660": np.full(layout.shape, 0.04)}
    for well in layout.frame.to_dict("records"):
        alive = {"vehicle": 1.0, "untreated": 1.0, "kill": 0.0}.get(well["role"], math.nan)
        if well["role"] == "sample":
            alive = 1 / (1 + (well["concentration_M"] / ec50) ** 1.5)
        if not math.isnan(alive):
            shown["570"][row_column(well["well"])] += alive + 0.02 * rng.standard_normal()
    lines = []
    for wavelength, grid in shown.items():
        lines += [wavelength, ",".join(["", *(str(column + 1) for column in range(layout.shape[1]))])]
        for row, values in enumerate(grid + 0.002 * rng.standard_normal(layout.shape)):
            lines.append(",".join([row_label(row), *(f"{value:.4f}" for value in values)]))
        lines.append("")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "options", [ViabilityOptions(), ViabilityOptions(wells=384, randomise=True)], ids=["96", "384"]
)
def test_a_plan_its_exports_and_the_analysis_find_the_truth(tmp_path, options):
    """Three experiments that differ by an SD of 0.05 decades around 5 and 20 µM, known to the simulation only."""
    truth = {"MCF-7": 5e-6, "PANC-1": 20e-6}
    plan, rng = made(times="48 h", experiments=3, options=options), np.random.default_rng(572)
    folder = plan.write(tmp_path / "plan")
    for entry, plate in zip(load(folder).plate, plan.plates, strict=True):
        ec50 = truth[plate.cell_line] * 10 ** rng.normal(0, 0.05)
        (folder / entry.file).write_text(export(plate.layout, ec50, rng), encoding="utf-8")
    report = analyse(load(folder), folder)
    assert {curve.cell_line: len(curve.fits) for curve in report.curves} == {"MCF-7": 3, "PANC-1": 3}
    for curve in report.curves:
        found = curve.combined["ec50"]
        assert found.operator == "="
        assert found.low < truth[curve.cell_line] < found.high
        assert found.high / found.low < 3
    assert all(plate.quality.verdict == "good" for plate in report.plates)


# ── Protocol sheet ──────────────────────────────────────────────────────────────────────────────────


class Balance(HTMLParser):
    """Counts tags, so that an element left open is noticed."""

    void = frozenset({"meta", "input", "rect", "circle", "path", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    "plan",
    [made(), made(options=ViabilityOptions(wells=384, randomise=True, solubiliser="SDS/HCl", kill=0))],
    ids=["96", "384"],
)
def test_the_sheet_is_whole_html_with_six_steps_and_a_plate(plan):
    page, reader = protocol_html(plan), Balance()
    reader.feed(page)
    assert reader.open == []
    assert page.count('class="step"') == 6
    assert page.count('class="plate"') == (6 if plan.options.randomise else 1)


def test_the_sheet_needs_no_network_and_runs_no_script():
    page = protocol_html(made())
    assert not re.search(r"<(script|link|iframe|img)\b|\bhref=|\bsrc=|url\(.?https?:|@import", page)


def test_names_cannot_break_the_sheet():
    page = protocol_html(made(compound='<script>alert(1)</script> & "x"', cell_lines="<b>K562</b>"))
    assert "<script>" not in page
    assert "<b>K562" not in page
    assert "&lt;script&gt;" in page


def test_the_sheet_says_what_the_protocol_asks_for():
    page = protocol_html(made()).replace("\u00a0", " ").replace("\u2060", "")
    for words in (
        "8,000 cells in 100 µL",
        "80,000 cells/mL",
        "overnight, 37 °C",
        "0.5 mg/mL, 3–4 h at 37 °C",
        "22 µL of MTT (5 mg/mL)",
        "570 nm, reference 660 nm",
        "100 µL DMSO",
        "Days 2, 3 and 4",
        "2 µL of 10 % Triton X-100",
        "0.5 % in every well but U",
        "Numbers are µM",
        "Initials",
        "hazardous liquid waste",
        "Research use only",
    ):
        assert words in page, words


def test_the_amounts_follow_from_the_plan():
    """34 wells with cells × 3 plates × 1.15 × 8,000 = 938,400; 41 + 4 used wells × 6 × 1.15 × 22 µL = 6.8 mL."""
    page = protocol_html(made())
    assert "940,000" in page
    assert "6.9 mL" in page


def test_the_sheet_warns_of_designs_that_will_not_answer():
    options = ViabilityOptions(edges="used", kill=0, compound_blank=0)
    page = protocol_html(made(options=options, experiments=2))
    for words in ("Fewer than three independent experiments", "Edge wells are used", "No kill control", "stays unseen"):
        assert words in page
    assert 'class="note"' not in protocol_html(made(experiments=3))


def test_text_on_a_dose_can_be_read():
    def light(colour: str) -> float:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    doses = [10 ** (-7 + k / 16) for k in range(49)]
    shown = [dose_colour(dose, doses) for dose in doses]
    for fill, ink in shown:
        bright, dark = sorted((light(fill), light(ink)), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, (fill, ink)
    assert all(light(low[0]) < light(high[0]) for low, high in pairwise(shown))


def test_a_picture_shows_every_well():
    plan = made()
    picture = plate_svg(plan.plates[0].layout, plan.doses, "map")
    assert picture.count("<circle") == 96


def test_no_volume_on_the_sheet_is_too_small_for_a_hand():
    page = protocol_html(made(options=ViabilityOptions(wells=384))).replace("\u00a0", " ").replace("set to 0.1 µL", "")
    assert "5.5 µL of 1 % Triton X-100" in page
    assert min(float(volume) for volume in re.findall(r"([\d.]+) µL", page)) >= 2
