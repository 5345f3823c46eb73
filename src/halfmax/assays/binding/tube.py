"""What stood in a tube, as a layout says it: roles, concentrations, times, in M and s."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from halfmax import units
from halfmax.errors import RangeError, StudyError, nearest
from halfmax.wells import parse_well

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TUBE_ROLES", "Tube", "check_unique", "tubes_of"]

#: What a tube can be for.
TUBE_ROLES = {
    "total": "receptor and radioligand, with or without a competitor",
    "nonspecific": "the same with enough of a ligand to take all specific sites",
    "background": "nothing radioactive: what the counter sees by itself",
    "added": "radioligand counted as it was added, without receptor and filter",
    "unused": "nothing to be learnt here",
}

_ROLE_WORDS = {
    "total": ("total binding", "tb", "bound", "sample"),
    "nonspecific": ("non specific", "nonspecific binding", "non specific binding", "nsb", "ns"),
    "background": ("bg", "blank", "bkg", "counter background"),
    "added": ("total added", "total counts", "added radioligand", "tc", "standard"),
    "unused": ("empty", "none", "skip"),
}
_ROLE_OF = {word: role for role, words in _ROLE_WORDS.items() for word in (role, *words)}
_WORDS = {
    "tube": ("tube", "well", "vial", "sample", "position", "pos"),
    "plate": ("plate", "plate name", "barcode"),
    "role": ("role", "type", "content"),
    "radioligand": ("radioligand", "hot", "tracer", "radioligand concentration", "radioligand conc"),
    "compound": ("compound", "competitor name", "cold ligand", "drug", "ligand"),
    "concentration": ("concentration", "conc", "competitor", "cold", "dose", "competitor concentration"),
    "time": ("time", "incubation", "incubation time"),
    "wash": ("wash", "washed", "condition"),
    "experiment": ("experiment", "exp", "biological replicate"),
    "replicate": ("replicate", "rep", "technical replicate"),
    "masking": ("masking", "mask", "masking ligand"),
    "fraction": ("fraction", "fraction counted"),
    "protein": ("protein",),
    "excluded": ("excluded", "exclude", "exclusion"),
    "note": ("note", "notes", "comment", "comments"),
}
_FIELD_OF = {word: field for field, words in _WORDS.items() for word in words}
_HEADER = re.compile(r"\s*(.+?)\s*(?:[(\[]\s*([^)\]]+?)\s*[)\]]|[_ /]\s*([^\W\d_]{1,4}(?:/[A-Za-z]+)?))\s*")
_MEASURES: dict[str, Callable[..., float]] = {
    "radioligand": units.concentration,
    "concentration": units.concentration,
    "time": units.duration,
}


@dataclass(frozen=True)
class Tube:
    """What stood in one tube.

    Parameters
    ----------
    tube, plate : str
        Name of the tube, or of the well and its plate (empty where there is one plate).
    role : str
        A key of `TUBE_ROLES`.
    radioligand : float, M
        As it was meant to be; > 0 in a tube that is total, nonspecific or added.
    compound, concentration : str, float (M)
        The unlabelled ligand; 0 where there is none.
    time_s : float, s
        Of incubation; NaN where not stated.
    wash : str
        What was done before the radioligand, in the lab's own words.
    fraction : float
        Share of what one tube received that was counted (`added` only).
    protein : float, mg
        NaN where it is that of the assay.
    excluded : str
        Why the tube takes no part.
    where : str
        Where the layout says so, for messages.

    Raises
    ------
    StudyError
        If the role is not known or the tube lacks what its role needs.
    RangeError
        If a number is out of range.
    """

    tube: str
    role: str
    radioligand: float = math.nan
    compound: str = ""
    concentration: float = 0.0
    time_s: float = math.nan
    wash: str = ""
    experiment: str = ""
    replicate: str = ""
    masking: str = ""
    fraction: float = 1.0
    protein: float = math.nan
    excluded: str = ""
    plate: str = ""
    where: str = ""

    def __post_init__(self) -> None:
        if self.role not in TUBE_ROLES:
            raise StudyError(
                f'{self.place}: unknown role "{self.role}"; expected one of {", ".join(TUBE_ROLES)}. '
                f"{nearest(self.role, list(TUBE_ROLES))}"
            )
        for name in ("radioligand", "concentration", "time_s", "protein"):
            value = getattr(self, name)
            if value < 0 or math.isinf(value):
                raise RangeError(f"{self.place}: {name} must be a finite number ≥ 0, found {value:g}. Correct it.")
        if not 0 < self.fraction <= 1:
            raise RangeError(
                f"{self.place}: fraction must be > 0 and ≤ 1, found {self.fraction:g}. It is the share of what one "
                "tube received that was counted."
            )
        if self.role in ("total", "nonspecific", "added") and not self.radioligand > 0:
            found = "none" if math.isnan(self.radioligand) else "0"
            raise StudyError(
                f"{self.place}: a tube of role {self.role} needs a radioligand concentration > 0, found {found}. Write "
                'it as "5 nM", or give the tube the role background.'
            )
        if self.role == "total" and self.concentration > 0 and not self.compound:
            raise StudyError(
                f"{self.place}: {units.format_concentration(self.concentration)} of a competitor that has no name; "
                "expected a compound. Add it."
            )
        if self.role == "total" and math.isnan(self.concentration):
            raise StudyError(
                f"{self.place}: the concentration of {self.compound or 'the competitor'} is not a number; expected "
                "≥ 0. Correct it."
            )

    @property
    def place(self) -> str:
        """Where this stands, for a message."""
        return self.where or f"tube {self.tube}"

    @property
    def vessel(self) -> tuple[str, str]:
        """Plate and canonical name of the well or tube."""
        try:
            return self.plate, parse_well(self.tube)
        except RangeError:
            number = re.fullmatch(r"0*(\d+)(?:\.0)?", self.tube)
            return self.plate, number.group(1) if number else self.tube


def tubes_of(frame: pd.DataFrame) -> tuple[Tube, ...]:
    """Tubes of a layout, from its cells of text (`halfmax.readers.tubes.read_tubes`) or from a frame of one's own.

    Parameters
    ----------
    frame : DataFrame
        One tube a row. Columns ``tube`` (or ``well`` and ``plate``), ``role``,
        ``radioligand``, ``compound``, ``concentration``, ``time``, ``wash``,
        ``experiment``, ``replicate``, ``masking``, ``fraction``, ``protein``,
        ``excluded``, ``note``. Units in the value (``"5 nM"``) or in the title
        (``radioligand_nM``).

    Raises
    ------
    StudyError
        If a column or a role is unknown, a value has no unit or another one than its
        column, or a tube stands twice.
    RangeError
        If a number is out of range.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"tube": ["1"], "role": ["NSB"], "radioligand_nM": ["5"], "time": ["120 min"]})
    >>> (tube,) = tubes_of(frame)
    >>> tube.role, tube.radioligand, tube.time_s
    ('nonspecific', 5e-09, 7200.0)
    """
    fields = [_field_of(str(title)) for title in frame.columns]
    names = [name for name, _ in fields]
    if "tube" not in names or "role" not in names:
        absent = "tube" if "tube" not in names else "role"
        raise StudyError(
            f'layout of tubes: expected a column "{absent}", found {", ".join(map(str, frame.columns))}. Add it.'
        )
    tubes = tuple(
        _tube(dict(zip(fields, row, strict=True)), str(where) if isinstance(where, str) else f"layout, row {number}")
        for number, (where, row) in enumerate(zip(frame.index, frame.to_numpy(dtype=object), strict=True), start=1)
    )
    check_unique(tubes)
    return tubes


def check_unique(tubes: Sequence[Tube]) -> None:
    """Refuse a tube that is described twice."""
    seen: dict[tuple[str, str], Tube] = {}
    for tube in tubes:
        if (first := seen.setdefault(tube.vessel, tube)) is not tube:
            raise StudyError(
                f"{tube.place}: tube {tube.tube} is described twice, also in {first.place}. Expected one line a tube. "
                "Keep one."
            )


def _field_of(title: str) -> tuple[str, str]:
    """Field that a title names, and the unit written in it."""
    if field := _FIELD_OF.get(_folded(title)):
        return field, ""
    match = _HEADER.fullmatch(title)
    if match and (field := _FIELD_OF.get(_folded(match.group(1)))) and field in (*_MEASURES, "protein"):
        return field, match.group(2) or match.group(3)
    raise StudyError(f'layout of tubes: unknown column "{title}". {nearest(title, list(_WORDS))}')


def _folded(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", text.casefold()).strip()


def _tube(cells: dict[tuple[str, str], object], where: str) -> Tube:
    """One row as a tube."""
    values: dict[str, object] = {}
    for (name, unit), cell in cells.items():
        text = "" if cell is None or cell != cell else str(cell).strip()
        if not text or name == "note":
            continue
        if name == "role":
            values[name] = _ROLE_OF.get(_folded(text), text)
        elif name in _MEASURES:
            values["time_s" if name == "time" else name] = _measured(_MEASURES[name], name, text, unit, where)
        elif name == "protein":
            values[name] = _measured(_milligrams, name, text, unit, where)
        elif name == "fraction":
            values[name] = _fraction(text, where)
        else:
            values[name] = text
    for name in ("tube", "role"):
        if name not in values:
            raise StudyError(f"{where}: expected a {name}, found an empty cell. Write it.")
    return Tube(**values, where=where)  # type: ignore[arg-type]


def _milligrams(text: str, *, unit: str | None = None) -> float:
    return units.convert(text, "milligram", unit=unit, what="protein")


def _measured(convert: Callable[..., float], name: str, text: str, unit: str, where: str) -> float:
    """Value of a cell in M, s or mg, its own unit being that of its column, where both say one."""
    try:
        own = units.split(text)[1]
        if own and unit and not math.isclose(convert(f"1 {own}"), convert(f"1 {unit}")):
            raise StudyError(
                f'{where}: the column of {name} is in {unit}, found "{text}". Units are mixed: give the whole column '
                "in one, or leave the unit out of its title."
            )
        return convert(text, unit=unit or None)
    except RangeError as error:
        raise RangeError(f"{where}: {name}: {error}") from None


def _fraction(text: str, where: str) -> float:
    try:
        return units.convert(text, "dimensionless", unit="dimensionless", what="fraction")
    except RangeError:
        raise RangeError(f'{where}: fraction must be a number > 0 and ≤ 1, found "{text}". Correct it.') from None
