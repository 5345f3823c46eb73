"""Ways to begin: the packaged example, an empty study, or one made from files that are there."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib import import_module
from importlib.resources import as_file, files
from pathlib import Path

from halfmax.errors import FileError
from halfmax.output import write_folder
from halfmax.readers.layout import toml_string

__all__ = ["EXAMPLE", "empty_study", "study_from_files", "write_example"]

#: Name of the packaged example study.
EXAMPLE = "cm572"
_KEPT_OUT = ("__pycache__", "__init__.py", "simulate.py", "recordings.py")

_STUDY = """\
# A halfmax study. Every key is described in the documentation; an unknown one is refused.
[study]
title = {title}
description = ""

[viability]
# signal = "570"          # channel of the signal, where the files hold several
# background = "660"      # channel to subtract
{plates}
# [[table]]                 # or a long table, one well a row (CSV or Parquet)
# file = "readings.csv"
# concentration_column = "dose"
# unit = "µM"
# signal_column = "signal"
# compound_column = "compound"

# [[binding]]               # radioligand binding: Ki, or Kd with analysis = "saturation"
# name = "sigma-2"
# counts = "counts.csv"
# layout = "tubes.csv"
# radioligand = "[3H]DTG"
# kd = "20 nM"

# [[selectivity]]           # Ki at another receptor over that at the one that is meant
# compound = "CM572"
# target = "sigma-2"
# other_ki = "> 10 µM"

# [[time_course]]           # binding in time: k_on, k_off and Kd of a radioligand
# name = "association"
# file = "association.csv"
# time_column = "min"
# concentration_column = "radioligand"
# unit = "nM"
# signal_column = "bound"

# [[inactivation]]          # a covalent ligand, read once after several pre-incubations: kinact and K_I
# name = "inactivation"
# file = "endpoint.csv"
# concentration_column = "inhibitor"
# unit = "µM"
# preincubation_column = "preincubation"
# incubation_column = "incubation"
# signal_column = "percent"
# substrate = "1 µM"
# km = "3 µM"
# kcat = 11
# enzyme = "0.2 nM"

# [[washout]]               # binding after a wash
# name = "wash-out"
# file = "washout.csv"
# arm_column = "arm"
# time_column = "hours"
# signal_column = "bound"

# [[function]]              # agonist curves beside an antagonist: pA2
# name = "antagonism"
# file = "function.csv"
# agonist_column = "agonist"
# antagonist_column = "antagonist"
# unit = "µM"
# signal_column = "signal"

# [[kinetic_plate]]         # calcium of a FLIPR or FlexStation: EC50, or IC50 with mode = "antagonist"
# name = "calcium"
# file = "plate.seq1"
# layout = "map.json"
# experiment = "day 1"
# reference = "ionomycin"

# [calcium]                 # how recordings are analysed; rmin and rmax of the dye give [Ca²⁺]
# baseline = "60 s"
# response = "60 s"
# kd = "224 nM"
# rmin = 0.333
# rmax = 8.0
# beta = 8.0

# [[movie]]                 # a recording of one dish; the experiment is the day
# file = "recordings/dish1.ome.tif"
# stimuli = "recordings/dish1.csv"
# dish = "dish 1"
# experiment = "day 1"

# [[exclude]]
# plate = "name of the plate"
# wells = ["C7"]
# reason = "pipetting error, noted on the day"

# [[compare]]
# compound = "compound"
# target = "line that should die"
# spared = "line that should live"
"""

_PLATE = """
[[plate]]
file = {file}
layout = {layout}
cell_line = "?"           # fill in
time = "48 h"             # fill in
experiment = {experiment}
"""

_LAYOUT = """\
# Plate map of {wells} wells; see the documentation for all that can be said.
# Fill in what stood where, then: halfmax run {folder}
[plate]
wells = {wells}

[expt]
compound = "?"            # fill in

# [col.'1']
# role = "vehicle"
# [col.'2']
# role = "sample"
# concentration = "100 µM"
# [row.H]
# role = "blank"
"""


def write_example(folder: Path) -> Path:
    """Write the example study (CM572: plates, and recordings simulated on the way) to a new folder, or nothing."""
    recordings = import_module(f"halfmax.examples.{EXAMPLE}.recordings")

    def fill(new: Path) -> None:
        with as_file(files("halfmax").joinpath("examples", EXAMPLE)) as source:
            shutil.copytree(source, new, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*_KEPT_OUT))
        recordings.main(new)

    return write_folder(folder, fill)


def empty_study(folder: Path) -> Path:
    """Write a study that waits for its plates."""

    def fill(new: Path) -> None:
        (new / "plates").mkdir()
        text = _STUDY.format(title=toml_string(folder.resolve().name), plates=_comment(_PLATE.format(
            file='"plates/export.txt"', layout='"layout.toml"', experiment='"1"')))  # fmt: skip
        (new / "study.toml").write_text(text, encoding="utf-8")
        (new / "layout.toml").write_text(_LAYOUT.format(wells=96, folder=folder.name), encoding="utf-8")

    return write_folder(folder, fill)


def study_from_files(folder: Path, exports: Sequence[Path]) -> Path:
    """Write a study whose plates are those found in `exports`; the layouts wait to be filled in.

    The files are read to find their plates and copied into ``plates/``; one that is
    no plate export is an error, and nothing is written.
    """
    from halfmax.readers import read

    if not exports:
        raise FileError("no file was given. Name the exports of the plate reader.")
    found = [(path, read(path)) for path in exports]
    names = [path.name for path, _ in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FileError(f"two files are called {twice[0]}: rename one, so that the study can hold both.")

    def fill(new: Path) -> None:
        from halfmax.wells import plate_shape

        (new / "plates").mkdir()
        entries, sizes = [], set()
        for number, (path, table) in enumerate(found, start=1):
            shutil.copyfile(path, new / "plates" / path.name)
            rows, columns = plate_shape(table.frame["well"])
            sizes.add(rows * columns)
            entries.append(_PLATE.format(file=toml_string(f"plates/{path.name}"),
                                         layout=toml_string(f"layout_{rows * columns}.toml"),
                                         experiment=toml_string(str(number))))  # fmt: skip
        text = _STUDY.format(title=toml_string(folder.resolve().name), plates="".join(entries))
        (new / "study.toml").write_text(text, encoding="utf-8")
        for size in sorted(sizes):
            content = _LAYOUT.format(wells=size, folder=folder.name)
            (new / f"layout_{size}.toml").write_text(content, encoding="utf-8")

    return write_folder(folder, fill)


def _comment(text: str) -> str:
    return "\n".join(f"# {line}" if line else line for line in text.splitlines()) + "\n"
