"""What a file says of its wells: the words it may use, one value at one place, and how they become a layout."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from halfmax import units
from halfmax.errors import RangeError, StudyError, nearest
from halfmax.readers.column import NAMES, folded
from halfmax.readers.layout.model import ROLE_NAMES, Layout, place_text
from halfmax.wells import plate_shape

__all__ = ["COLUMN_OF", "KEYS", "ROLE_SYNONYMS", "Map", "Saying", "field_of", "layout_of", "say", "value_of"]

_ROLE_WORDS = {
    "sample": ("compound", "treated", "treatment", "test", "unknown"),
    "vehicle": ("dmso", "solvent", "vehicle control", "solvent control", "negative", "negative control"),
    "blank": ("background", "medium", "media", "medium only", "media only", "no cells"),
    "kill": ("max kill", "lysis", "lysed", "positive", "positive control", "dead"),
    "untreated": ("no treatment", "cells only", "nontreated"),
    "compound_blank": ("cpd only", "compound only", "drug only", "compound without cells", "compound no cells"),
    "time_zero": ("t0", "day 0"),
    "unused": ("empty", "none", "skip"),
}

#: Other words for the roles, as plate maps use them (any case; spaces, hyphens and underscores are the same).
ROLE_SYNONYMS = {word: role for role, words in _ROLE_WORDS.items() for word in words}

#: What a file may say of a well.
KEYS = ("role", "compound", "concentration", "cell_line", "time", "experiment", "replicate", "note")

#: Column of the layout's table, where it is not called like the key.
COLUMN_OF = {"concentration": "concentration_M", "time": "time_s"}

_WORDS = {
    **NAMES,
    "role": ("role", "type", "content", "well type", "sample type"),
    "compound": ("compound", "cpd", "drug", "substance", "ligand"),
    "concentration": ("concentration", "conc", "dose"),
    "cell_line": ("cell line", "cells", "cell", "line"),
    "time": ("time", "duration", "exposure"),
    "note": ("note", "notes", "comment", "comments"),
}
_FIELD_OF = {word: field for field, words in _WORDS.items() for word in words}
_ROLE_OF = {folded(role): role for role in ROLE_NAMES} | ROLE_SYNONYMS
_HEADER = re.compile(
    r"^\s*([A-Za-z][A-Za-z _-]*?)\s*(?:[(\[]\s*([^)\]]+?)\s*[)\]]|[_ /]\s*([a-zµμ]?M|[a-zµμ]?mol/[lL]|s|min|h|d))?\s*$"
)


@dataclass(frozen=True)
class Saying:
    """One value given to one well, and where it stands in the file."""

    value: str | float
    where: str


#: What has been said: plate and well, then column of the layout.
Map = dict[tuple[str, str], dict[str, Saying]]


def field_of(name: object, where: str, known: Sequence[str]) -> tuple[str, str | None]:
    """Field that a key, layer or column header names, and the unit written in it.

    Examples
    --------
    >>> field_of("Concentration (µM)", "map.csv", KEYS), field_of("conc_nM", "map.csv", KEYS)
    (('concentration', 'µM'), ('concentration', 'nM'))
    """
    text = str(name).strip()
    if match := _HEADER.match(text):
        field, unit = _FIELD_OF.get(folded(match.group(1)), ""), match.group(2) or match.group(3)
        if field in known and (unit is None or field in COLUMN_OF):
            return field, unit
    raise StudyError(f'{where}: unknown key "{text}". {nearest(text, list(known))}')


def value_of(field: str, given: object, unit: str | None, where: str) -> str | float | None:
    """Value of a field in the layout's own form; None where the file says nothing."""
    if isinstance(given, bool) or not isinstance(given, (str, int, float)):
        raise StudyError(f"{where}: {field} must be text or a number, found {given!r}.")
    if isinstance(given, float) and given.is_integer() and field not in COLUMN_OF:
        given = int(given)
    text = given.strip() if isinstance(given, str) else given
    if text == "":
        return None
    if field == "role":
        return _role(str(text), where)
    if field not in COLUMN_OF:
        return str(text)
    convert = units.concentration if field == "concentration" else units.duration
    try:
        return convert(text, unit=unit)
    except RangeError as error:
        raise RangeError(f"{where}: {error}") from None


def _role(text: str, where: str) -> str:
    word = re.sub(r"[\s_-]+", " ", text.casefold())
    if word not in _ROLE_OF:
        raise StudyError(f'{where}: unknown role "{text}". {nearest(word.replace(" ", "_"), ROLE_NAMES)}')
    return _ROLE_OF[word]


def say(said: Map, place: tuple[str, str], field: str, saying: Saying) -> None:
    """Add one saying, or refuse it where the same well has been told something else."""
    column = COLUMN_OF.get(field, field)
    before = said.setdefault(place, {}).setdefault(column, saying)
    if before.value != saying.value:
        raise StudyError(
            f"{saying.where}: {place_text(*place)} has {field} {_shown(column, saying.value)}, "
            f"but {before.where} says {_shown(column, before.value)}. Keep one."
        )


def _shown(column: str, value: str | float) -> str:
    if column == "concentration_M":
        return units.format_concentration(float(value), digits=4)
    return units.format_duration(float(value)) if column == "time_s" else f'"{value}"'


def layout_of(said: Map, file: str, shape: tuple[int, int] | None) -> Layout:
    """Layout of a finished map."""
    import pandas as pd

    if not said:
        raise StudyError(f"{file}: the layout describes no well.")
    rows = [
        {"plate": plate, "well": well, **{column: saying.value for column, saying in fields.items()}}
        for (plate, well), fields in said.items()
    ]
    return Layout(pd.DataFrame(rows), shape or plate_shape(well for _, well in said), file)
