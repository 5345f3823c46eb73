"""The table through which all measured data enter: one observation a row, and the files it came from.

`AssayTable` guarantees: the columns of `COLUMNS` and nothing else; concentrations
in M and times in s, finite or missing, never negative; known roles; a signal that
is either a finite number or missing with a flag that says why; no well measured
twice in the same channel at the same time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halfmax.errors import FileError, TableError, nearest
from halfmax.wells import parse_well

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "FLAGS", "ROLES", "AssayTable", "Source"]

#: Columns of the table, in order.
COLUMNS = (
    "assay",
    "compound",
    "concentration_M",
    "time_s",
    "cell_line",
    "plate",
    "well",
    "experiment",
    "replicate",
    "role",
    "channel",
    "signal",
    "flag",
)

#: What a well can be for.
ROLES = {
    "sample": "cells with compound",
    "vehicle": "cells with the solvent only",
    "blank": "medium and reagent, no cells",
    "kill": "cells killed completely: the drug's full effect",
    "untreated": "cells with nothing added",
    "compound_blank": "compound without cells: its colour, or its own reduction of the dye",
    "time_zero": "cells read when the treatment began",
    "unused": "nothing to be learnt here",
    "unassigned": "no layout has said yet",
}

#: Why a signal can be missing, or deserves a second look.
FLAGS = {
    "saturated": "the instrument's range was exceeded",
    "missed": "the instrument did not read the well",
    "masked": "the operator masked the well in the instrument's software",
    "empty": "the file holds nothing for this well",
    "error": "the instrument reported an error for this well",
    "excluded": "excluded by the study file, with a reason",
}

_TEXT = ("assay", "compound", "cell_line", "plate", "well", "experiment", "replicate", "role", "channel", "flag")
_NUMBERS = ("concentration_M", "time_s", "signal")


@dataclass(frozen=True)
class Source:
    """A file that data came from, and what read it."""

    file: str
    sha256: str
    reader: str
    version: str

    @classmethod
    def of(cls, path: str | Path, *, reader: str) -> Source:
        """Source of a file on disk; its SHA-256 is computed in blocks of bounded memory."""
        from halfmax import __version__

        digest = hashlib.sha256()
        try:
            with open(path, "rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise FileError(f"{path}: cannot be read ({error.strerror}).") from error
        return cls(Path(path).name, digest.hexdigest(), reader, __version__)


@dataclass(frozen=True)
class AssayTable:
    """Measured data, one observation a row.

    Parameters
    ----------
    frame : pandas.DataFrame
        Exactly the columns `COLUMNS`. Text columns hold strings (empty where
        unknown), number columns floats (NaN where unknown). Concentrations in M,
        times in s, signals in the instrument's own unit.
    sources : tuple of Source
        Where the rows came from.

    Raises
    ------
    TableError
        If a promise of this module's first paragraph is broken; the message names
        the first offending row by plate and well.
    """

    frame: pd.DataFrame
    sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        frame = _with_types(self.frame)
        _check_values(frame)
        _check_unique(frame)
        object.__setattr__(self, "frame", frame)
        object.__setattr__(self, "sources", tuple(self.sources))

    @classmethod
    def of(cls, columns: dict[str, object], sources: Iterable[Source] = ()) -> AssayTable:
        """Table from some of the columns; those not given are filled as unknown."""
        import pandas as pd

        return cls(pd.DataFrame(columns), tuple(sources))

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def plates(self) -> list[str]:
        """Names of the plates, in order of appearance."""
        return list(dict.fromkeys(self.frame["plate"]))

    @property
    def channels(self) -> list[str]:
        """Names of the channels, in order of appearance."""
        return list(dict.fromkeys(self.frame["channel"]))

    def where(self, **equal: str | Sequence[str]) -> AssayTable:
        """Rows whose columns equal the given value, or one of the given values.

        Examples
        --------
        >>> table = AssayTable.of({"plate": ["p", "p"], "well": ["A1", "A2"], "signal": [0.1, 0.2]})
        >>> len(table.where(well="A2"))
        1
        """
        import pandas as pd

        keep = pd.Series(True, index=self.frame.index)
        for column, value in equal.items():
            if column not in COLUMNS:
                raise TableError(f'a table has no column "{column}". {nearest(column, COLUMNS)}')
            keep &= self.frame[column].isin([value] if isinstance(value, str) else list(value))
        return AssayTable(self.frame[keep].reset_index(drop=True), self.sources)

    def with_columns(self, **columns: Any) -> AssayTable:
        """Same rows, some columns replaced."""
        return AssayTable(self.frame.assign(**columns), self.sources)

    @staticmethod
    def concat(tables: Iterable[AssayTable]) -> AssayTable:
        """All rows of all tables; a well that two of them claim is an error."""
        import pandas as pd

        kept = list(tables)
        if not kept:
            return AssayTable(pd.DataFrame(columns=list(COLUMNS)))
        sources = dict.fromkeys(source for table in kept for source in table.sources)
        return AssayTable(pd.concat([table.frame for table in kept], ignore_index=True), tuple(sources))


def _with_types(frame: pd.DataFrame) -> pd.DataFrame:
    """Copy of `frame` with all columns, in order, each of its type."""
    import pandas as pd

    unknown = [name for name in frame.columns if name not in COLUMNS]
    if unknown:
        raise TableError(f'a table has no column "{unknown[0]}". {nearest(str(unknown[0]), COLUMNS)}')
    columns: dict[str, object] = {}
    for name in COLUMNS:
        if name in _NUMBERS:
            given = frame[name] if name in frame else pd.Series(float("nan"), index=frame.index)
            try:
                columns[name] = given.astype("float64")
            except (ValueError, TypeError) as error:
                raise TableError(f'column "{name}" must hold numbers: {error}.') from error
        else:
            given = frame[name] if name in frame else pd.Series("", index=frame.index)
            columns[name] = given.astype("object").where(given.notna(), "").astype(str)
    typed = pd.DataFrame(columns, index=frame.index).reset_index(drop=True)
    typed["role"] = typed["role"].replace("", "unassigned")
    names = {well: parse_well(well) for well in typed["well"].unique() if well}
    typed["well"] = typed["well"].map(lambda well: names.get(well, ""))
    return typed


def _place(row: pd.Series) -> str:
    """Where a row stands, for a message."""
    parts = [f"plate {row['plate']}" if row["plate"] else "", f"well {row['well']}" if row["well"] else ""]
    return ", ".join(part for part in parts if part) or f"row {row.name}"


def _check_values(frame: pd.DataFrame) -> None:
    """Ranges, roles, flags."""
    import numpy as np

    for name, unit in (("concentration_M", "M"), ("time_s", "s")):
        bad = frame[(frame[name] < 0) | np.isinf(frame[name])]
        if len(bad):
            row = bad.iloc[0]
            raise TableError(f"{_place(row)}: {name} must be a finite number ≥ 0 {unit}, found {row[name]:g}.")
    infinite = frame[np.isinf(frame["signal"])]
    if len(infinite):
        raise TableError(f"{_place(infinite.iloc[0])}: signal is infinite. Flag the well as saturated instead.")
    for name, known in (("role", ROLES), ("flag", FLAGS)):
        strange = [value for value in frame[name].unique() if value and value not in known]
        if strange:
            row = frame[frame[name] == strange[0]].iloc[0]
            raise TableError(f'{_place(row)}: unknown {name} "{strange[0]}". {nearest(strange[0], list(known))}')
    silent = frame[frame["signal"].isna() & (frame["flag"] == "")]
    if len(silent):
        raise TableError(f"{_place(silent.iloc[0])}: signal is missing but no flag says why.")


def _check_unique(frame: pd.DataFrame) -> None:
    """No well measured twice in the same channel at the same time."""
    measured = frame[frame["well"] != ""]
    keys = ["assay", "experiment", "plate", "well", "channel", "time_s"]
    twice = measured[measured.duplicated(keys, keep=False)]
    if len(twice):
        first, second = twice.index[0], twice.index[1]
        row = twice.loc[first]
        raise TableError(
            f"{_place(row)}: measured twice in channel {row['channel'] or '(unnamed)'} "
            f"(rows {first + 1} and {second + 1}). Keep one, or give the plates different names."
        )
