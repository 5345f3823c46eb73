"""Maps of kinetic plates in JSON: a list with an entry for each well, as FLIPR users keep them.

::

    [{"well_id": "A1", "label": "ATP", "concentration": "100 µM", "sample_id": "4026"}, …]

The label is the compound, or the vehicle where it names a buffer or a solvent and no
concentration is given.  ``sample_id``, the biological line, is the cell line of the table.
"""

from __future__ import annotations

import json
from typing import Any

from halfmax.errors import FileError, RangeError, StudyError, nearest
from halfmax.readers.column import folded
from halfmax.readers.layout.model import Layout
from halfmax.readers.layout.saying import Map, Saying, layout_of, say, value_of
from halfmax.wells import parse_well

__all__ = ["looks_like_records", "read_records"]

_KEYS = ("well_id", "label", "concentration", "sample_id", "color")
_VEHICLES = ("buffer", "assay buffer", "vehicle", "dmso", "hbss", "hbs", "pbs", "water", "solvent", "medium")
_UNUSED = ("", "empty", "none", "unused")


def looks_like_records(text: str) -> bool:
    """Whether a text is JSON: a list of entries, or an object, which is refused with its own message."""
    return text.lstrip("\ufeff \t\r\n").startswith(("[{", "[ {", "[\n", "[\r\n", "{"))


def read_records(text: str, file: str, shape: tuple[int, int] | None, unit: str | None) -> Layout:
    """Layout of a text of JSON."""
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise FileError(
            f"{file}, line {error.lineno}: begins like JSON but breaks off or is written wrongly there "
            f"({error.msg}). Save or export the map again."
        ) from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise FileError(
            f'{file}: expected a list of wells, each with "well_id" and "label"; found other JSON. '
            "Give the file of the plate map, not one of settings."
        )
    said: Map = {}
    for place, entry in enumerate(entries):
        _take(said, entry, f"{file}, entry {place + 1}", shape, unit)
    return layout_of(said, file, shape)


def _take(said: Map, entry: dict[str, Any], where: str, shape: tuple[int, int] | None, unit: str | None) -> None:
    """Put what one entry says on the map."""
    strange = [key for key in entry if key not in _KEYS]
    if strange:
        raise StudyError(f'{where}: unknown key "{strange[0]}". {nearest(strange[0], _KEYS)}')
    if "well_id" not in entry:
        raise StudyError(f'{where}: the entry has no "well_id". Every entry must name its well.')
    try:
        well = parse_well(str(entry["well_id"]), shape)
    except RangeError as error:
        raise StudyError(f"{where}: {error} Correct its well_id.") from None
    if ("", well) in said:
        raise StudyError(f"{where}: well {well} is described twice. Keep one entry.")
    here = f"{where}, well {well}"
    label, line = (str(entry.get(key) or "").strip() for key in ("label", "sample_id"))
    dose = value_of("concentration", entry.get("concentration") or "", unit, here)
    said[("", well)] = {}
    told: dict[str, str | float | None] = {"role": _role(label, dose, here), "cell_line": line}
    if told["role"] == "sample":
        told |= {"compound": label, "concentration": dose}
    for field, value in told.items():
        if value:
            say(said, ("", well), field, Saying(value, where))


def _role(label: str, dose: str | float | None, where: str) -> str:
    """Role that a label and a concentration make."""
    name = folded(label)
    if name in _UNUSED and not dose:
        return "unused"
    if dose:
        return "sample"
    if name in _VEHICLES:
        return "vehicle"
    raise StudyError(
        f'{where}: "{label}" has no concentration, and is no buffer or solvent that is known '
        f"({', '.join(_VEHICLES)}). Write its concentration with a unit, such as 100 µM."
    )
