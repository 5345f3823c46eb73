"""A layout: what stands in each well, its promises, and what it tells a table of measurements."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from halfmax import units
from halfmax.errors import RangeError, StudyError, nearest
from halfmax.table import ROLES, AssayTable
from halfmax.wells import PLATE_SHAPES, parse_well, plate_shape, row_column

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "ROLE_NAMES", "ZERO_DOSE", "Layout", "place_text", "shape_of", "size_text"]

#: Columns of a layout's table, in order.
COLUMNS = ("plate", "well", "role", "compound", "concentration_M", "cell_line", "time_s", "experiment", "replicate")

#: Roles that a layout can give.
ROLE_NAMES = [role for role in ROLES if role != "unassigned"]

#: Roles whose wells hold no compound.
ZERO_DOSE = ("vehicle", "blank", "untreated", "time_zero")
_DOSED = ("sample", "compound_blank")


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
        If a promise of `halfmax.readers.layout` is broken.

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
        _check_well(clean, f"{file}, {place_text(clean['plate'], clean['well'])}")
        rows.append(clean)
    if not rows:
        raise StudyError(f"{file}: the layout describes no well.")
    order = {name: index for index, name in enumerate(dict.fromkeys(row["plate"] for row in rows))}
    if "" in order and len(order) > 1:
        raise StudyError(f"{file}: some wells name a plate and some do not. Name the plate of every well, or of none.")
    rows.sort(key=lambda row: (order[row["plate"]], row_column(row["well"])))
    for first, second in itertools.pairwise(rows):
        if (first["plate"], first["well"]) == (second["plate"], second["well"]):
            raise StudyError(f"{file}: {place_text(first['plate'], first['well'])} is described twice. Keep one.")
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
    if row["role"] not in ROLE_NAMES:
        raise StudyError(f'{where}: unknown role "{row["role"]}". {nearest(row["role"], ROLE_NAMES)}')
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
    elif role in ZERO_DOSE:
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


def place_text(plate: str, well: str) -> str:
    """A well of a plate, or of every plate, for a message."""
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
        # A part of a larger plate may be read, but all wells of a smaller one are that smaller plate.
        is_whole = len(wells) == measured[0] * measured[1]
        too_small = layout.shape > measured and (is_whole or any(not _inside(well, measured) for well in drawn))
        if too_large or too_small:
            name = f"plate {plate} of {_files(table)}" if plate else f"the plate of {_files(table)}"
            outside = next((f"Well {well} of the layout lies outside. " for well in drawn
                            if not _inside(well, measured)), "")  # fmt: skip
            raise StudyError(
                f"{layout.file} is drawn for {size_text(layout.shape)}, but {name} has {size_text(measured)}. {outside}"
                "Use the layout of that plate, or state its size (wells = 384 under [plate])."
            )


def _inside(well: str, shape: tuple[int, int]) -> bool:
    row, column = row_column(well)
    return row < shape[0] and column < shape[1]


def size_text(shape: tuple[int, int]) -> str:
    """Size of a plate, for a message."""
    return f"{shape[0] * shape[1]} wells ({shape[0]} × {shape[1]})"


def shape_of(wells: object, where: str) -> tuple[int, int]:
    """Rows and columns of a plate of so many wells.

    Raises
    ------
    StudyError
        If no plate has as many.
    """
    if isinstance(wells, int) and not isinstance(wells, bool) and wells in PLATE_SHAPES:
        return PLATE_SHAPES[wells]
    sizes = ", ".join(map(str, PLATE_SHAPES))
    raise StudyError(f"{where}: wells must be the size of a plate ({sizes}), found {wells!r}.")


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
            where = place_text(table.frame["plate"].iloc[row], table.frame["well"].iloc[row])
            word = name.removesuffix("_s").replace("_", " ")
            raise StudyError(
                f"{where} of {_files(table)}: {layout.file} says {word} {show(said.iloc[row])}, "
                f"but the data or the study say {show(known.iloc[row])}. Check which layout belongs to this plate."
            )
