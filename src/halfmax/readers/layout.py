"""Plate maps as scientists draw them: wellmap-style TOML, a grid a layer, or one well a row.

The data go through three forms.  A *saying* is one value that one section, cell
or row of the file gives to one well, with the place where it stands, so that
two sayings can contradict each other and the message can name both.  A *map* is
what remains for each well of each plate after precedence.  A `Layout` is that
map as a table, and guarantees: known roles, wells inside the plate, every well
of a plate once, concentrations in M and times in s to 15 significant digits,
a compound and a dose > 0 for every sample, and no dose for any control without
compound.

The TOML follows the public wellmap format [1]_: ``[expt]``, ``[plate.NAME]``,
``[well.A1]``, ``[block.WxH.A1]``, ``[row.A]``, ``[col.1]``, ``[irow.A]``,
``[icol.1]``, and the patterns ``A1,B2``, ``A-D`` and ``A1,A3,...,A11``.  A
smaller group of wells wins over a larger: well, block (the smaller area first),
row, column, interleaved row, interleaved column, plate, experiment; the same
section inside ``[plate.NAME]`` wins over the one outside.  The drawn grids
follow plater [2]_.

References
----------
.. [1] Kundert (2021), BMC Res Notes 14:164, doi:10.1186/s13104-021-05573-0.
.. [2] Hughes (2016), J Open Source Softw 1(7):106, doi:10.21105/joss.00106.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import os
import re
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halfmax import units
from halfmax.errors import FileError, HalfmaxError, RangeError, StudyError, nearest
from halfmax.table import ROLES, AssayTable
from halfmax.wells import PLATE_SHAPES, parse_well, plate_shape, row_column, row_label, well_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "ROLE_SYNONYMS", "Layout", "read_layout", "write_layout"]

#: Columns of a layout's table, in order.
COLUMNS = ("plate", "well", "role", "compound", "concentration_M", "cell_line", "time_s", "experiment", "replicate")

#: Other words for the roles, as plate maps use them (any case; spaces, hyphens and underscores are the same).
ROLE_SYNONYMS: dict[str, str] = {
    "compound": "sample",
    "treated": "sample",
    "treatment": "sample",
    "test": "sample",
    "unknown": "sample",
    "dmso": "vehicle",
    "solvent": "vehicle",
    "vehicle control": "vehicle",
    "solvent control": "vehicle",
    "negative": "vehicle",
    "negative control": "vehicle",
    "background": "blank",
    "medium": "blank",
    "media": "blank",
    "medium only": "blank",
    "media only": "blank",
    "no cells": "blank",
    "max kill": "kill",
    "lysis": "kill",
    "lysed": "kill",
    "positive": "kill",
    "positive control": "kill",
    "dead": "kill",
    "no treatment": "untreated",
    "cells only": "untreated",
    "nontreated": "untreated",
    "cpd only": "compound_blank",
    "compound only": "compound_blank",
    "drug only": "compound_blank",
    "compound without cells": "compound_blank",
    "compound no cells": "compound_blank",
    "t0": "time_zero",
    "day 0": "time_zero",
    "empty": "unused",
    "none": "unused",
    "skip": "unused",
}

#: Other words for the columns, layers and keys.
_FIELD_SYNONYMS = {
    "plate": ("plate", "plate_name", "plate_id"),
    "well": ("well", "wells", "well_id", "position"),
    "role": ("role", "type", "content", "well_type", "sample_type"),
    "compound": ("compound", "cpd", "drug", "substance", "ligand"),
    "concentration": ("concentration", "conc", "dose"),
    "cell_line": ("cell_line", "cells", "cell", "line"),
    "time": ("time", "duration", "exposure"),
    "experiment": ("experiment", "exp"),
    "replicate": ("replicate", "rep"),
    "note": ("note", "notes", "comment", "comments"),
}
_FIELD_OF = {synonym: field for field, synonyms in _FIELD_SYNONYMS.items() for synonym in synonyms}
_COLUMN_OF = {"concentration": "concentration_M", "time": "time_s"}
_KEYS = ("role", "compound", "concentration", "cell_line", "time", "experiment", "replicate", "note")
_HEADER = re.compile(
    r"^\s*([A-Za-z][A-Za-z _-]*?)\s*(?:[(\[]\s*([^)\]]+?)\s*[)\]]|[_ /]\s*([a-zµμ]?M|[a-zµμ]?mol/[lL]|s|min|h|d))?\s*$"
)
#: Cells of a table or grid that say nothing.
_EMPTY_CELLS = frozenset({"", "na", "n/a", "nan", "-", "–", "—"})
_ZERO_DOSE = ("vehicle", "blank", "untreated", "time_zero")
_DOSED = ("sample", "compound_blank")
_SECTIONS = ("well", "block", "row", "col", "irow", "icol")
_LARGEST = (32, 48)


# ── The layout ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class Layout:
    """What stands in each well of one plate, or of several named ones.

    Parameters
    ----------
    frame : pandas.DataFrame
        The columns `COLUMNS`, one well a row; ``plate`` is empty where the map
        holds for every plate.  Concentrations in M, times in s, NaN where unknown.
    shape : (int, int)
        Rows and columns of the plate it was drawn for.
    file : str
        Name of the file it came from, for messages.

    Raises
    ------
    StudyError, RangeError
        If a promise of this module's first paragraph is broken.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"well": ["B2", "A1"], "role": ["sample", "vehicle"],
    ...                       "compound": ["CM572", ""], "concentration_M": [1e-5, None]})
    >>> Layout(frame, (8, 12), "map.csv").frame[["well", "role", "concentration_M"]].values.tolist()
    [['A1', 'vehicle', 0.0], ['B2', 'sample', 1e-05]]
    """

    frame: pd.DataFrame
    shape: tuple[int, int]
    file: str = "layout"

    def __post_init__(self) -> None:
        if tuple(self.shape) not in PLATE_SHAPES.values():
            raise StudyError(f"{self.file}: no plate has {self.shape[0]} rows and {self.shape[1]} columns.")
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "frame", _checked(self.frame, self.shape, self.file))

    @property
    def plates(self) -> list[str]:
        """Names of the plates, in order; empty where the map holds for every plate."""
        return [name for name in dict.fromkeys(self.frame["plate"]) if name]

    def apply(self, table: AssayTable) -> AssayTable:
        """The same measurements, told what stood in their wells.

        A layout that names plates is joined by plate and well, another by well.
        Where the layout says nothing the table keeps what it knows.  Where both
        speak, the layout is right about role, compound, concentration and
        replicate (an instrument's template is often wrong), but a cell line,
        time or experiment that differs is an error: somebody has mixed up two
        plates.  Wells that the layout does not mention become ``unused``.

        Raises
        ------
        StudyError
            If the layout is drawn for another plate, names a plate that the
            table has not, misses one that it has, or contradicts the table.

        Examples
        --------
        >>> table = AssayTable.of({"well": ["A1", "A2"], "signal": [1.0, 0.9]})
        >>> import pandas as pd
        >>> layout = Layout(pd.DataFrame({"well": ["A1"], "role": ["vehicle"]}), (8, 12))
        >>> list(layout.apply(table).frame["role"])
        ['vehicle', 'unused']
        """
        _check_plates(self, table)
        _check_shape(self, table)
        on = ["plate", "well"] if self.plates else ["well"]
        said = self.frame[[*on, *(name for name in COLUMNS if name not in ("plate", "well"))]]
        joined = table.frame[["plate", "well"]].merge(said, on=on, how="left", validate="many_to_one")
        _check_agreement(self, table, joined)
        columns: dict[str, pd.Series] = {"role": joined["role"].fillna("unused")}
        for name in ("compound", "concentration_M", "cell_line", "time_s", "experiment", "replicate"):
            known = joined[name].notna() & (joined[name] != "")
            columns[name] = joined[name].where(known, table.frame[name])
        return table.with_columns(**columns)


def _checked(frame: pd.DataFrame, shape: tuple[int, int], file: str) -> pd.DataFrame:
    """The frame with all columns, typed, sorted by plate and well, its promises kept."""
    import pandas as pd

    unknown = [str(name) for name in frame.columns if name not in COLUMNS]
    if unknown:
        raise StudyError(f'{file}: a layout has no column "{unknown[0]}". {nearest(unknown[0], COLUMNS)}')
    rows = []
    for row in frame.to_dict("records"):
        clean = {name: _clean(name, row.get(name), file) for name in COLUMNS}
        try:
            clean["well"] = parse_well(clean["well"], shape)
        except RangeError as error:
            raise StudyError(f"{file}: {error}") from None
        _check_well(clean, f"{file}, {_place(clean['plate'], clean['well'])}")
        rows.append(clean)
    if not rows:
        raise StudyError(f"{file}: the layout describes no well.")
    order = {name: index for index, name in enumerate(dict.fromkeys(row["plate"] for row in rows))}
    if "" in order and len(order) > 1:
        raise StudyError(f"{file}: some wells name a plate and some do not. Name the plate of every well, or of none.")
    rows.sort(key=lambda row: (order[row["plate"]], row_column(row["well"])))
    for first, second in itertools.pairwise(rows):
        if (first["plate"], first["well"]) == (second["plate"], second["well"]):
            raise StudyError(f"{file}: {_place(first['plate'], first['well'])} is described twice. Keep one.")
    typed = pd.DataFrame(rows, columns=list(COLUMNS))
    return typed.astype({name: "float64" if name in ("concentration_M", "time_s") else str for name in COLUMNS})


def _clean(name: str, value: Any, file: str) -> Any:
    """One value of the frame: text stripped, numbers to 15 digits, missing as ``""`` or NaN."""
    import pandas as pd

    missing = bool(pd.isna(value))
    if name not in ("concentration_M", "time_s"):
        return "" if missing else str(value).strip()
    if missing:
        return math.nan
    number = float(str(value))
    if not (math.isfinite(number) and number >= 0):
        raise RangeError(f"{file}: {name} must be a finite number ≥ 0, found {number:g}.")
    return float(f"{number:.15g}")


def _check_well(row: dict[str, Any], where: str) -> None:
    """The role of one well against its compound and dose; fills in what follows from them."""
    compound, dose = row["compound"], row["concentration_M"]
    if not row["role"]:
        row["role"] = _implied_role(compound, dose)
    if row["role"] == "unassigned" or row["role"] not in ROLES:
        raise StudyError(f'{where}: unknown role "{row["role"]}". {nearest(row["role"], _role_names())}')
    role = row["role"]
    if role in _DOSED:
        if not compound:
            raise StudyError(f'{where}: a {role} needs a compound. Write compound = "CM572".')
        if math.isnan(dose):
            raise StudyError(f'{where}: a {role} needs a concentration. Write concentration = "10 µM".')
        if dose == 0:
            raise StudyError(
                f"{where}: a {role} needs a concentration > 0, found 0. A well with solvent only has the role vehicle."
            )
    elif role in _ZERO_DOSE:
        if dose > 0:
            shown = units.format_concentration(dose, digits=4)
            raise StudyError(
                f"{where}: a {role} has no dose, found {shown}. Make it a sample, or leave the concentration out."
            )
        row["concentration_M"] = 0.0


def _implied_role(compound: str, dose: float) -> str:
    """Role of a well that states none: a dose makes a sample, a dose of 0 a vehicle."""
    if dose == 0:
        return "vehicle"
    return "sample" if compound or dose > 0 else "unused"


def _role_names() -> list[str]:
    return [role for role in ROLES if role != "unassigned"]


def _place(plate: str, well: str) -> str:
    return f"plate {plate}, well {well}" if plate else f"well {well}"


def _files(table: AssayTable) -> str:
    return ", ".join(source.file for source in table.sources) or "the data"


def _check_plates(layout: Layout, table: AssayTable) -> None:
    """The named plates of the layout are the plates of the table."""
    named, measured = layout.plates, table.plates
    if not named:
        return
    absent = [name for name in named if name not in measured]
    if absent:
        has = ", ".join(name or "(unnamed)" for name in measured) or "no plate"
        raise StudyError(
            f'{layout.file} names plate "{absent[0]}", which {_files(table)} does not have (it has {has}). '
            f"{nearest(absent[0], measured)}"
        )
    silent = [name for name in measured if name not in named]
    if silent:
        raise StudyError(
            f'{layout.file} says nothing about plate "{silent[0]}" of {_files(table)} (it names {", ".join(named)}). '
            "Add the plate, or draw the layout without plate names so that it holds for all."
        )


def _check_shape(layout: Layout, table: AssayTable) -> None:
    """The layout is drawn for plates of the size that was measured."""
    used = layout.frame[layout.frame["role"] != "unused"]
    for plate in table.plates:
        wells = [well for well in table.frame["well"][table.frame["plate"] == plate].unique() if well]
        measured = plate_shape(wells)
        drawn = used[used["plate"].isin(["", plate])]["well"]
        too_large = any(not _inside(well, layout.shape) for well in wells)
        too_small = layout.shape > measured and any(not _inside(well, measured) for well in drawn)
        if too_large or too_small:
            name = f"plate {plate} of {_files(table)}" if plate else f"the plate of {_files(table)}"
            raise StudyError(
                f"{layout.file} is drawn for {_size(layout.shape)}, but {name} has {_size(measured)}. "
                "Use the layout of that plate, or state its size (wells = 384 under [plate])."
            )


def _inside(well: str, shape: tuple[int, int]) -> bool:
    row, column = row_column(well)
    return row < shape[0] and column < shape[1]


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[0] * shape[1]} wells ({shape[0]} × {shape[1]})"


def _check_agreement(layout: Layout, table: AssayTable, joined: pd.DataFrame) -> None:
    """Layout and table say the same about cell line, time and experiment where both speak."""
    for name, show in (("cell_line", str), ("experiment", str), ("time_s", units.format_duration)):
        said, known = joined[name], table.frame[name]
        if name == "time_s":
            differ = (said - known).abs() > 1e-9 * known.abs()
        else:
            differ = said.notna() & (said != "") & (known != "") & (said != known)
        if differ.any():
            row = int(differ.to_numpy().argmax())
            where = _place(table.frame["plate"].iloc[row], table.frame["well"].iloc[row])
            word = name.removesuffix("_s").replace("_", " ")
            raise StudyError(
                f"{where} of {_files(table)}: {layout.file} says {word} {show(said.iloc[row])}, "
                f"but the data or the study say {show(known.iloc[row])}. Check which layout belongs to this plate."
            )


# ── Reading ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Saying:
    """One value given to one well, and where it stands in the file."""

    value: str | float
    where: str


#: What has been said: plate and well, then column of the layout.
_Map = dict[tuple[str, str], dict[str, _Saying]]


def read_layout(path: str | Path, *, wells: int | None = None, concentration_unit: str | None = None) -> Layout:
    """Layout from a file, recognised by its content.

    Parameters
    ----------
    path : path
        A wellmap-style TOML, a CSV (comma, semicolon or tab) with one grid a
        layer or one well a row, or a workbook (XLSX) of either.
    wells : int, optional
        Size of the plate (6 to 1536) where the file does not state it; by
        default the smallest of 96, 384 and 1536 that holds all wells.
    concentration_unit : str, optional
        Unit of concentrations that the file writes without one.

    Raises
    ------
    FileError
        If the file cannot be read or is none of these.
    StudyError, RangeError
        If it contradicts itself; the message names the file, the section or
        line, and the key.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> text = "well,role,compound,concentration_uM\\nA1,DMSO,,\\nB2,sample,CM572,10\\n"
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "map.csv")
    ...     _ = path.write_text(text, encoding="utf-8")
    ...     layout = read_layout(path)
    >>> layout.shape, list(layout.frame["role"]), list(layout.frame["concentration_M"])
    ((8, 12), ['vehicle', 'sample'], [0.0, 1e-05])
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror}).") from error
    shape = _stated_shape(wells, path.name) if wells is not None else None
    if content.startswith(b"PK\x03\x04"):
        return _read_cells(_workbook_rows(path), path.name, shape, concentration_unit)
    text = _decoded(content, path.name)
    if not text.strip():
        raise FileError(f"{path.name}: the file is empty. Expected a plate layout (TOML or CSV).")
    if _looks_like_toml(text, path):
        return _read_toml(text, path.name, shape, concentration_unit)
    return _read_cells(_csv_rows(text, path.name), path.name, shape, concentration_unit)


def _decoded(content: bytes, file: str) -> str:
    """Text of a file as editors and spreadsheets save it."""
    encodings = ["utf-16"] if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text
    raise FileError(f"{file}: neither text nor a workbook. Expected a plate layout (TOML, CSV or XLSX).")


def _looks_like_toml(text: str, path: Path) -> bool:
    if path.suffix.lower() == ".toml":
        return True
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    return re.match(r"\s*\[\s*(meta|expt|plate|well|block|i?row|i?col)\b", first) is not None


def _stated_shape(wells: object, where: str) -> tuple[int, int]:
    if isinstance(wells, int) and not isinstance(wells, bool) and wells in PLATE_SHAPES:
        return PLATE_SHAPES[wells]
    sizes = ", ".join(map(str, PLATE_SHAPES))
    raise StudyError(f"{where}: wells must be the size of a plate ({sizes}), found {wells!r}.")


def _field(name: object, where: str, known: Sequence[str]) -> tuple[str, str | None]:
    """Field that a key, layer or column header names, and the unit written in it.

    Examples
    --------
    >>> _field("Concentration (µM)", "map.csv", _KEYS), _field("conc_nM", "map.csv", _KEYS)
    (('concentration', 'µM'), ('concentration', 'nM'))
    """
    text = str(name).strip()
    plain = _FIELD_OF.get(_folded(text, "_"), "")
    if plain in known:
        return plain, None
    match = _HEADER.match(text)
    field = _FIELD_OF.get(_folded(match.group(1), "_"), "") if match else ""
    if match and field in _COLUMN_OF and field in known:
        return field, match.group(2) or match.group(3)
    raise StudyError(f'{where}: unknown key "{text}". {nearest(text, list(known))}')


def _folded(text: str, space: str = " ") -> str:
    return re.sub(r"[\s_-]+", space, text.strip().casefold())


def _value(field: str, given: object, unit: str | None, where: str) -> str | float | None:
    """Value of a field in the layout's own form; None where the file says nothing."""
    if isinstance(given, bool) or not isinstance(given, (str, int, float)):
        raise StudyError(f"{where}: {field} must be text or a number, found {given!r}.")
    if isinstance(given, float) and given.is_integer() and field not in _COLUMN_OF:
        given = int(given)
    text = given.strip() if isinstance(given, str) else given
    if text == "":
        return None
    if field == "role":
        return _role(str(text), where)
    if field not in _COLUMN_OF:
        return str(text)
    convert = units.concentration if field == "concentration" else units.duration
    try:
        return convert(text, unit=unit)
    except RangeError as error:
        raise RangeError(f"{where}: {error}") from None


def _role(text: str, where: str) -> str:
    folded = _folded(text)
    known = {_folded(role): role for role in _role_names()} | ROLE_SYNONYMS
    if folded not in known:
        raise StudyError(f'{where}: unknown role "{text}". {nearest(folded.replace(" ", "_"), _role_names())}')
    return known[folded]


def _say(said: _Map, place: tuple[str, str], field: str, saying: _Saying) -> None:
    """Add one saying, or refuse it where the same well has been told something else."""
    column = _COLUMN_OF.get(field, field)
    before = said.setdefault(place, {}).setdefault(column, saying)
    if before.value != saying.value:
        raise StudyError(
            f"{saying.where}: {_place(*place)} has {field} {_shown(column, saying.value)}, "
            f"but {before.where} says {_shown(column, before.value)}. Keep one."
        )


def _shown(column: str, value: str | float) -> str:
    if column == "concentration_M":
        return units.format_concentration(float(value), digits=4)
    return units.format_duration(float(value)) if column == "time_s" else f'"{value}"'


def _layout(said: _Map, file: str, shape: tuple[int, int] | None) -> Layout:
    """Layout of a finished map."""
    import pandas as pd

    if not said:
        raise StudyError(f"{file}: the layout describes no well.")
    rows = [
        {"plate": plate, "well": well, **{column: saying.value for column, saying in fields.items()}}
        for (plate, well), fields in said.items()
    ]
    return Layout(pd.DataFrame(rows), shape or plate_shape(well for _, well in said), file)


# ── Reading TOML ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Group:
    """One section of the TOML: its kind, the wells, rows or columns it names, and what it says."""

    kind: str
    where: str
    wells: frozenset[tuple[int, int]] = frozenset()
    lines: tuple[int, ...] = ()
    area: int = 0
    own: bool = False
    values: tuple[tuple[str, str | float], ...] = ()

    @property
    def precedence(self) -> tuple[int, int, bool]:
        """Sort key: the first group that speaks about a well is right."""
        return (*_SECTIONS, "expt").index(self.kind), self.area, not self.own


@dataclass(frozen=True)
class _Toml:
    """What holds for a whole TOML file."""

    file: str
    shape: tuple[int, int] | None
    concentration_unit: str | None
    time_unit: str | None

    @property
    def limits(self) -> tuple[int, int]:
        return self.shape or _LARGEST


def _read_toml(text: str, file: str, shape: tuple[int, int] | None, unit: str | None) -> Layout:
    try:
        document = tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise FileError(f"{file}: not valid TOML: {error}.") from None
    known = ("meta", "expt", "plate", *_SECTIONS)
    for name, section in document.items():
        if name not in known:
            raise StudyError(f'{file}: unknown section "{name}". {nearest(name, known)}')
        if not isinstance(section, dict):
            raise StudyError(f"{file}: {name} must be a section, such as [{name}], found {section!r}.")
    _check_meta(document.get("meta", {}), file)
    expt, plates = dict(document.get("expt", {})), dict(document.get("plate", {}))
    whole = _whole(expt, plates, file, shape, unit)
    shared = [*_groups(document, whole, ""), _group("expt", expt, f"{file}, [expt]", whole)]
    said: _Map = {}
    if not plates:
        _resolve(shared, whole, "", said)
    for name, section in plates.items():
        if not isinstance(section, dict):
            raise StudyError(f'{file}, [plate]: unknown key "{name}". {nearest(name, ("wells",))}')
        own = {key: value for key, value in section.items() if key not in _SECTIONS}
        where = f"{file}, [plate.{_key(name)}]"
        groups = [*_groups(section, whole, f"plate.{_key(name)}."), _group("expt", own, where, whole, own=True)]
        _resolve([*groups, *shared], whole, name.strip(), said)
    return _layout(said, file, whole.shape)


def _check_meta(meta: Mapping[str, object], file: str) -> None:
    """``[meta]`` is wellmap's own; what would change the map is refused, the rest is no matter of the map."""
    for key in meta:
        if key not in ("path", "paths", "alert", "extras", "title"):
            raise StudyError(f"{file}, [meta]: {key} is not supported. Write the whole layout into this file.")


def _whole(
    expt: dict[str, Any], plates: dict[str, Any], file: str, shape: tuple[int, int] | None, unit: str | None
) -> _Toml:
    """Takes the plate's size and the units out of ``[expt]`` and ``[plate]``."""
    stated = {"the call": shape} if shape else {}
    for section, where in ((expt, "[expt]"), (plates, "[plate]")):
        if "wells" in section and not isinstance(section["wells"], dict):
            stated[where] = _stated_shape(section.pop("wells"), f"{file}, {where}")
    if len(set(stated.values())) > 1:
        said = " and ".join(f"{_size(value)} in {where}" for where, value in stated.items())
        raise StudyError(f"{file}: two sizes of the plate: {said}. Keep one.")
    found: dict[str, str | None] = {"concentration_unit": unit, "time_unit": None}
    for key, factor in (("concentration_unit", units.concentration), ("time_unit", units.duration)):
        if key in expt:
            found[key] = str(expt.pop(key))
            try:
                factor(1, unit=found[key])
            except RangeError as error:
                raise RangeError(f"{file}, [expt], {key}: {error}") from None
    return _Toml(file, next(iter(stated.values()), None), found["concentration_unit"], found["time_unit"])


def _key(name: str) -> str:
    """Name as a TOML key: bare where it may be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _groups(document: Mapping[str, Any], whole: _Toml, prefix: str) -> Iterator[_Group]:
    """The groups of wells of a document, or of one plate's part of it."""
    for kind in _SECTIONS:
        for pattern, section in document.get(kind, {}).items():
            where = f"{whole.file}, [{prefix}{kind}.{_key(pattern)}]"
            if not isinstance(section, dict):
                raise StudyError(
                    f"{whole.file}, [{prefix}{kind}]: {pattern} must name wells and hold keys, found {section!r}."
                )
            try:
                if kind == "block":
                    yield from _blocks(pattern, section, whole, prefix)
                elif kind == "well":
                    wells = frozenset(_wells_in(pattern, whole.limits))
                    yield _group(kind, section, where, whole, wells=wells, own=bool(prefix))
                else:
                    lines = tuple(_lines_in(pattern, kind, whole.limits))
                    yield _group(kind, section, where, whole, lines=lines, own=bool(prefix))
            except _PatternError as error:
                raise StudyError(f"{where}: {error}") from None


def _blocks(size: str, section: Mapping[str, Any], whole: _Toml, prefix: str) -> Iterator[_Group]:
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", size)
    if match is None:
        raise _PatternError(f'"{size}" is not the size of a block. Expected width x height, such as 3x8.')
    width, height = int(match.group(1)), int(match.group(2))
    for pattern, values in section.items():
        where = f"{whole.file}, [{prefix}block.{size}.{_key(pattern)}]"
        if not isinstance(values, dict):
            raise StudyError(f"{where}: expected [block.{size}.A1] with keys, found {values!r}.")
        try:
            wells = frozenset(
                _within((row + down, column + right), whole.limits)
                for row, column in _wells_in(pattern, whole.limits)
                for down in range(height)
                for right in range(width)
            )
        except _PatternError as error:
            raise StudyError(f"{where}: {error}") from None
        yield _group("block", values, where, whole, wells=wells, area=width * height, own=bool(prefix))


def _group(kind: str, section: Mapping[str, Any], where: str, whole: _Toml, **places: Any) -> _Group:
    """Group of wells with its values converted; each key is checked here, once."""
    values: dict[str, str | float] = {}
    for key, given in section.items():
        field, unit = _field(key, where, _KEYS)
        default = whole.concentration_unit if field == "concentration" else whole.time_unit
        value = _value(field, given, unit or default, f"{where}, {key}")
        if field == "note" or value is None:
            continue
        if field in values:
            raise StudyError(f"{where}: {field} is given twice (the second time as {key}). Keep one.")
        values[field] = value
    return _Group(kind, where, values=tuple(values.items()), **places)


def _resolve(groups: list[_Group], whole: _Toml, plate: str, said: _Map) -> None:
    """Adds the wells of one plate to the map, the groups in order of precedence."""
    places = _places(groups, whole)
    for well in itertools.chain.from_iterable(places.values()):
        said.setdefault((plate, well_name(*well)), {})
    levels: dict[tuple[int, int, bool], list[_Group]] = {}
    for group in sorted(groups, key=lambda group: group.precedence):
        levels.setdefault(group.precedence, []).append(group)
    for level in levels.values():
        here: _Map = {}
        for group in level:
            for well in places[group.where]:
                for field, value in group.values:
                    _say(here, (plate, well_name(*well)), field, _Saying(value, group.where))
        for place, fields in here.items():
            for column, saying in fields.items():
                said[place].setdefault(column, saying)


def _places(groups: list[_Group], whole: _Toml) -> dict[str, tuple[tuple[int, int], ...]]:
    """Wells of each group: rows and columns reach as far as the wells that anything else names."""
    fixed = [well for group in groups for well in group.wells]
    lines = {kind: [line for group in groups if group.kind == kind for line in group.lines] for kind in _SECTIONS}
    rows = _span([*(row for row, _ in fixed), *lines["row"]])
    columns = _span([*(column for _, column in fixed), *lines["col"]])
    if whole.shape and (lines["row"] or lines["irow"]):
        columns = columns or range(whole.shape[1])
    if whole.shape and (lines["col"] or lines["icol"]):
        rows = rows or range(whole.shape[0])
    all_rows = _span([*rows, *(_interleaved(line, column) for line in lines["irow"] for column in columns)])
    all_columns = _span([*columns, *(_interleaved(line, row) for line in lines["icol"] for row in rows)])
    everywhere = dict.fromkeys(fixed)
    for group in groups:
        wells = [well for line in group.lines for well in _line_wells(group.kind, line, all_rows, all_columns)]
        everywhere |= dict.fromkeys(wells)
        if group.lines and not wells:
            other = "columns" if group.kind in ("row", "irow") else "rows"
            raise StudyError(
                f"{group.where}: no {other} are named, so it holds no well. "
                f"Add them, or state the plate (wells = 96 under [plate])."
            )
    return {group.where: tuple(well for well in everywhere if _holds(group, well)) for group in groups}


def _holds(group: _Group, well: tuple[int, int]) -> bool:
    row, column = well
    if group.kind in ("row", "irow"):
        return (row if group.kind == "row" else _interleaved(row, column)) in group.lines
    if group.kind in ("col", "icol"):
        return (column if group.kind == "col" else _interleaved(column, row)) in group.lines
    return group.kind == "expt" or well in group.wells


def _line_wells(kind: str, line: int, rows: range, columns: range) -> list[tuple[int, int]]:
    if kind == "row":
        return [(line, column) for column in columns]
    if kind == "col":
        return [(row, line) for row in rows]
    if kind == "irow":
        return [(_interleaved(line, column), column) for column in columns]
    return [(row, _interleaved(line, row)) for row in rows]


def _span(indices: list[int]) -> range:
    return range(min(indices), max(indices) + 1) if indices else range(0)


def _interleaved(line: int, across: int) -> int:
    """Row (column) that an interleaved row (column) passes through at a column (row): it swaps with its pair."""
    return line ^ (across & 1)


# ── Patterns of wells ───────────────────────────────────────────────────────────────────────────────


class _PatternError(HalfmaxError):
    """A pattern that names no wells; always turned into a StudyError that says where."""


def _lines_in(pattern: str, kind: str, limits: tuple[int, int]) -> list[int]:
    """Rows or columns, counted from 0, that a pattern names.

    Examples
    --------
    >>> _lines_in("A,C,...,G", "row", (8, 12)), _lines_in("1-3,7", "col", (8, 12))
    ([0, 2, 4, 6], [0, 1, 2, 6])
    """
    is_row = kind in ("row", "irow")

    def index(token: str) -> tuple[int, int]:
        shape = r"[A-Za-z]{1,2}" if is_row else r"0*[1-9]\d?"
        if re.fullmatch(shape, token) is None:
            raise _PatternError(f'"{token}" is not a {"row (A, B, …)" if is_row else "column (1, 2, …)"}.')
        return _position(f"{token}1" if is_row else f"A{token}", limits)

    return [place[0 if is_row else 1] for place in _expanded(pattern, index)]


def _wells_in(pattern: str, limits: tuple[int, int]) -> list[tuple[int, int]]:
    """Rows and columns, counted from 0, of the wells that a pattern names.

    Examples
    --------
    >>> [well_name(*place) for place in _wells_in("A1,C3,...,C5", (8, 12))]
    ['A1', 'A3', 'A5', 'C1', 'C3', 'C5']
    """
    return _expanded(pattern, lambda token: _position(token, limits))


def _position(token: str, limits: tuple[int, int]) -> tuple[int, int]:
    try:
        return _within(row_column(token), limits)
    except RangeError as error:
        raise _PatternError(str(error)) from None


def _within(place: tuple[int, int], limits: tuple[int, int]) -> tuple[int, int]:
    if place[0] >= limits[0] or place[1] >= limits[1]:
        name = well_name(*place) if place[0] < 32 else f"in row {place[0] + 1}"
        raise _PatternError(f"well {name} lies outside a plate of {_size(limits)}.")
    return place


def _expanded(pattern: str, position: Any) -> list[tuple[int, int]]:
    """Positions of ``x,y``, ``x-z`` and ``x,y,...,z``; steps run along both axes."""
    tokens = [token.strip() for token in pattern.split(",")]
    if "..." in tokens:
        if len(tokens) != 4 or tokens[2] != "...":
            raise _PatternError(f'"{pattern}" is not a pattern. Expected first,second,...,last, such as A1,A3,...,A11.')
        first, second, last = (position(tokens[index]) for index in (0, 1, 3))
        axes = [_steps(*axis, pattern) for axis in zip(first, second, last, strict=True)]
        return [(row, column) for row in axes[0] for column in axes[1]]
    places: list[tuple[int, int]] = []
    for token in tokens:
        first, *rest = (position(end) for end in token.split("-"))
        if len(rest) > 1 or (rest and (rest[0][0] < first[0] or rest[0][1] < first[1])):
            raise _PatternError(f'"{token}" is not a range. Expected first-last, such as A1-C6.')
        last = rest[0] if rest else first
        places += [(row, column) for row in range(first[0], last[0] + 1) for column in range(first[1], last[1] + 1)]
    return list(dict.fromkeys(places))


def _steps(first: int, second: int, last: int, pattern: str) -> range:
    step = second - first
    if step == 0 and last == first:
        return range(first, first + 1)
    if step <= 0 or last < second or (last - first) % step:
        raise _PatternError(f'"{pattern}" does not reach its last element in steps from its first to its second.')
    return range(first, last + 1, step)


# ── Reading cells: drawn grids and tidy maps ────────────────────────────────────────────────────────

#: A line of the file counted from 1, and its cells without the empty ones at the end.
_Row = tuple[int, list[str]]


def _csv_rows(text: str, file: str) -> list[_Row]:
    """Cells of a CSV file; a semicolon or tab file may write decimal commas."""
    first = next(line for line in text.splitlines() if line.strip())
    delimiter = max(",;\t", key=first.count)
    rows = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    for cells in _csv_lines(reader, file):
        stripped = [re.sub(r"^'(?=[=+@-])", "", cell.strip()) for cell in cells]
        if delimiter != ",":
            stripped = [re.sub(r"^([-+]?\d+),(\d+)", r"\1.\2", cell) for cell in stripped]
        rows.append((reader.line_num, _trimmed(stripped)))
    return rows


def _csv_lines(reader: Iterator[list[str]], file: str) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise FileError(f"{file}: not a table of comma-separated cells ({error}).") from error


def _workbook_rows(path: Path) -> list[_Row]:
    """Cells of all sheets, one below the other; numbers written as short as they are."""
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        workbook = CalamineWorkbook.from_path(str(path))
        sheets = [workbook.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in workbook.sheet_names]
    except CalamineError as error:
        raise FileError(f"{path.name}: the workbook cannot be read ({error}).") from error
    rows: list[_Row] = []
    for sheet in sheets:
        for number, cells in enumerate(sheet, start=1):
            texts = [f"{cell:.15g}" if isinstance(cell, float) else str(cell).strip() for cell in cells]
            rows.append((number, _trimmed(texts)))
        rows.append((len(sheet) + 1, []))
    return rows


def _trimmed(cells: list[str]) -> list[str]:
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _read_cells(rows: list[_Row], file: str, shape: tuple[int, int] | None, unit: str | None) -> Layout:
    """Layout of a table of cells: drawn where the first row counts 1, 2, 3, tidy where it has a column of wells."""
    filled = [row for row in rows if row[1]]
    if not filled:
        raise FileError(f"{file}: the file is empty. Expected a plate layout (TOML, CSV or XLSX).")
    header = filled[0][1]
    if _counts_columns(header):
        return _read_drawn(rows, file, shape, unit)
    if any(_FIELD_OF.get(_folded(cell, "_")) == "well" for cell in header):
        return _read_tidy(filled, file, shape, unit)
    raise FileError(
        f"{file}: not a plate layout. Expected TOML, a grid (first row: the layer's name, 1, 2, 3 …; first column: "
        f'A, B, C …) or a table with a column "well"; found "{", ".join(header[:6])}".'
    )


def _counts_columns(cells: list[str]) -> bool:
    return len(cells) > 1 and [cell.lstrip("0") for cell in cells[1:]] == [str(n) for n in range(1, len(cells))]


def _read_drawn(rows: list[_Row], file: str, shape: tuple[int, int] | None, unit: str | None) -> Layout:
    """Grids drawn one below the other, each a layer."""
    said: _Map = {}
    layer: tuple[str, str | None, str] | None = None
    count, size = 0, [0, 0]
    for line, cells in rows:
        if not cells:
            layer = None
        elif _counts_columns(cells):
            where = f"{file}, line {line}"
            field, own = _field(cells[0], where, _KEYS)
            layer, count = (field, own or (unit if field == "concentration" else None), cells[0]), 0
            size[1] = max(size[1], len(cells) - 1)
            width = len(cells) - 1
        elif layer is None:
            raise StudyError(
                f'{file}, line {line}: expected the first row of a grid (its name, 1, 2, 3 …), found "{cells[0]}".'
            )
        else:
            _check_drawn_row(cells, count, width, f"{file}, line {line}")
            _say_drawn_row(cells, count, layer, f"{file}, line {line}", said)
            count += 1
            size[0] = max(size[0], count)
    drawn = (size[0], size[1])
    if shape is None:
        shape = drawn if drawn in PLATE_SHAPES.values() else plate_shape([well_name(max(size[0], 1) - 1, size[1] - 1)])
    outside = [well for _, well in said if not _inside(well, shape)]
    if outside:
        raise StudyError(f"{file}: well {outside[0]} lies outside a plate of {_size(shape)}.")
    return _layout(said, file, shape)


def _check_drawn_row(cells: list[str], count: int, width: int, where: str) -> None:
    if count >= 32:
        raise StudyError(f"{where}: a plate has at most 32 rows.")
    if cells[0].upper() != row_label(count):
        raise StudyError(f'{where}: expected row {row_label(count)} of the plate, found "{cells[0]}".')
    if len(cells) - 1 > width:
        raise StudyError(
            f"{where}: row {row_label(count)} has {len(cells) - 1} wells, but its grid has {width} columns."
        )


def _say_drawn_row(cells: list[str], row: int, layer: tuple[str, str | None, str], where: str, said: _Map) -> None:
    field, unit, title = layer
    for column, cell in enumerate(cells[1:]):
        if cell.casefold() in _EMPTY_CELLS:
            continue
        well = well_name(row, column)
        place = f"{where} (layer {title}, well {well})"
        value = _value(field, cell, unit, place)
        if value is not None and field != "note":
            _say(said, ("", well), field, _Saying(value, place))


def _read_tidy(rows: list[_Row], file: str, shape: tuple[int, int] | None, unit: str | None) -> Layout:
    """One well a row under a header."""
    line, header = rows[0]
    known = ("plate", "well", *_KEYS)
    fields = [_field(name, f"{file}, line {line}", known) for name in header]
    names = [field for field, _ in fields]
    twice = [name for name in names if names.count(name) > 1 and name != "note"]
    if twice:
        raise StudyError(f"{file}, line {line}: two columns hold the {twice[0]}. Keep one.")
    said: _Map = {}
    for line, cells in rows[1:]:
        where = f"{file}, line {line}"
        if len(cells) > len(fields):
            raise StudyError(f"{where}: {len(cells)} cells, but the header has {len(fields)} columns.")
        given = dict(zip(names, cells, strict=False))
        try:
            well = parse_well(given.get("well", ""), shape)
        except RangeError as error:
            raise StudyError(f"{where}: {error}") from None
        place = (given.get("plate", ""), well)
        said.setdefault(place, {})
        for (field, own), cell in zip(fields, cells, strict=False):
            default = own or (unit if field == "concentration" else None)
            if field in ("plate", "well", "note") or cell.casefold() in _EMPTY_CELLS:
                continue
            value = _value(field, cell, default, f"{where}, well {well}")
            if value is not None:
                _say(said, place, field, _Saying(value, where))
    return _layout(said, file, shape)


# ── Writing ─────────────────────────────────────────────────────────────────────────────────────────


def write_layout(layout: Layout, path: str | Path) -> None:
    """Write a layout as wellmap-style TOML, the whole file or nothing.

    Values that all wells share go into ``[expt]`` (or ``[plate.NAME]``), the
    others into blocks of wells, largest first.  `read_layout` reads back the
    same wells, values and plate.

    Raises
    ------
    FileError
        If the file cannot be written; what stood there before is untouched.

    Examples
    --------
    >>> import pandas as pd
    >>> from tempfile import TemporaryDirectory
    >>> frame = pd.DataFrame({"well": ["A1", "A2"], "role": "sample", "compound": "CM572",
    ...                       "concentration_M": [1e-6, 1e-5]})
    >>> with TemporaryDirectory() as folder:
    ...     write_layout(Layout(frame, (8, 12)), Path(folder, "map.toml"))
    ...     print(Path(folder, "map.toml").read_text(encoding="utf-8"))
    [expt]
    wells = 96
    role = "sample"
    compound = "CM572"
    <BLANKLINE>
    [well.A1]
    concentration = "1 µM"
    <BLANKLINE>
    [well.A2]
    concentration = "10 µM"
    <BLANKLINE>
    """
    path = Path(path)
    text = layout_toml(layout)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", newline="\n", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as stream:
            temporary = Path(stream.name)
            stream.write(text)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise FileError(f"{path}: cannot be written ({error.strerror}).") from error


def layout_toml(layout: Layout) -> str:
    """Text of the TOML file that `write_layout` writes."""
    frame = layout.frame
    size = {"wells": str(layout.shape[0] * layout.shape[1])}
    sections: dict[str, dict[str, str]] = {"expt": size}  # not [plate]: wellmap itself allows only plates there
    if not layout.plates:
        _add_sections(frame, "expt", "", sections)
    for plate in layout.plates:
        name = f"plate.{_key(plate)}"
        _add_sections(frame[frame["plate"] == plate], name, f"{name}.", sections)
    parts = []
    for name, values in sections.items():
        parts.append("\n".join([f"[{name}]", *(f"{key} = {value}" for key, value in values.items())]) + "\n")
    return "\n".join(parts)


def _add_sections(frame: pd.DataFrame, whole: str, prefix: str, sections: dict[str, dict[str, str]]) -> None:
    """Sections of one plate: what all wells share, then each value with the wells that hold it."""
    holders: dict[str, dict[str, list[str]]] = {key: {} for key in _KEYS if key != "note"}
    for row in frame.to_dict("records"):
        for key, wells in holders.items():
            value = row[_COLUMN_OF.get(key, key)]
            if value == "" or value != value or (key == "concentration" and row["role"] in _ZERO_DOSE):
                continue
            wells.setdefault(_literal(key, value), []).append(row["well"])
    shared = {key for key, wells in holders.items() if any(len(held) == len(frame) for held in wells.values())}
    apart = {well for key, wells in holders.items() if key not in shared for held in wells.values() for well in held}
    if len(apart) < len(frame):
        shared.discard("role")  # a well that is like all others would be named nowhere
    if shared:
        sections.setdefault(whole, {})
    for key, wells in holders.items():
        for literal, held in wells.items():
            for name in [whole] if key in shared else [prefix + part for part in _section_names(held)]:
                sections.setdefault(name, {})[key] = literal


def _section_names(wells: Iterable[str]) -> list[str]:
    """Names of the sections that together hold these wells: blocks of equal size together, then single wells.

    Examples
    --------
    >>> _section_names(["A1", "A2", "B1", "B2", "D1", "F3"])
    ['block.2x2.A1', 'well."D1,F3"']
    """
    left = {row_column(well) for well in wells}
    corners: dict[tuple[int, int], list[str]] = {}
    while left:
        row, column = min(left)
        width = 1
        while (row, column + width) in left:
            width += 1
        height = 1
        while all((row + height, column + right) in left for right in range(width)):
            height += 1
        left -= {(row + down, column + right) for down in range(height) for right in range(width)}
        corners.setdefault((width, height), []).append(well_name(row, column))
    names = []
    for (width, height), found in sorted(corners.items(), key=lambda item: -item[0][0] * item[0][1]):
        kind = "well" if width == height == 1 else f"block.{width}x{height}"
        names.append(f"{kind}.{_key(','.join(found))}")
    return names


def _literal(key: str, value: Any) -> str:
    """Value as TOML text that reads back exactly."""
    if key == "concentration":
        return _quoted(_exact(float(value), ("µM", "nM", "mM", "pM", "M"), units.concentration))
    if key == "time":
        return _quoted(_exact(float(value), ("h", "min", "s"), units.duration))
    return str(value) if key in ("experiment", "replicate") and _is_plain_integer(value) else _quoted(str(value))


def _is_plain_integer(text: str) -> bool:
    return re.fullmatch(r"0|[1-9][0-9]{0,17}", text) is not None


def _exact(value: float, names: tuple[str, ...], read: Any) -> str:
    """Text that reads back as the same number, in a unit that keeps it between 1 and 1000 where one does.

    Examples
    --------
    >>> [_exact(dose, ("µM", "nM", "mM", "pM", "M"), units.concentration) for dose in (3.162e-6, 1e-4, 5e-10)]
    ['3.162 µM', '100 µM', '500 pM']
    """
    texts = [f"{value / read(1, unit=name):.15g} {name}" for name in names]
    exact = [text for text in texts if read(text) == value]
    said = [text for text in exact if 1 <= float(text.split()[0]) < 1000]
    plain = [text for text in exact if "e" not in text.split()[0]]
    shortest = min((len(text) for text in said or plain or exact), default=0)
    chosen = [text for text in said or plain or exact if len(text) <= shortest + 2]
    return chosen[0] if chosen else f"{value!r} {names[-1]}"


def _quoted(text: str) -> str:
    """Text as a TOML basic string: JSON's escapes are TOML's, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
