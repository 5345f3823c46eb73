"""Layouts as wellmap-style TOML that reads back as the same layout."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halfmax import units
from halfmax.output import write_file
from halfmax.readers.layout.model import ZERO_DOSE, Layout
from halfmax.readers.layout.saying import COLUMN_OF, KEYS
from halfmax.readers.layout.toml import toml_key, toml_string
from halfmax.wells import row_column, well_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["layout_toml", "toml_string", "toml_value", "write_layout"]


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
    write_file(Path(path), layout_toml(layout))


def layout_toml(layout: Layout) -> str:
    """Text of the TOML file that `write_layout` writes."""
    frame = layout.frame
    size = {"wells": str(layout.shape[0] * layout.shape[1])}
    sections: dict[str, dict[str, str]] = {"expt": size}  # not [plate]: wellmap itself allows only plates there
    if not layout.plates:
        _add_sections(frame, "expt", "", sections)
    for plate in layout.plates:
        name = f"plate.{toml_key(plate)}"
        _add_sections(frame[frame["plate"] == plate], name, f"{name}.", sections)
    parts = []
    for name, values in sections.items():
        parts.append("\n".join([f"[{name}]", *(f"{key} = {value}" for key, value in values.items())]) + "\n")
    return "\n".join(parts)


def _add_sections(frame: pd.DataFrame, whole: str, prefix: str, sections: dict[str, dict[str, str]]) -> None:
    """Sections of one plate: what all wells share, then each value with the wells that hold it."""
    holders: dict[str, dict[str, list[str]]] = {key: {} for key in KEYS if key != "note"}
    for row in frame.to_dict("records"):
        for key, wells in holders.items():
            value = row[COLUMN_OF.get(key, key)]
            if value == "" or value != value or (key == "concentration" and row["role"] in ZERO_DOSE):
                continue
            wells.setdefault(toml_value(key, value), []).append(row["well"])
    shared = {key for key, wells in holders.items() if any(len(held) == len(frame) for held in wells.values())}
    apart = {well for key, wells in holders.items() if key not in shared for held in wells.values() for well in held}
    if len(apart) < len(frame):
        shared.discard("role")  # a well that is like all others would be named nowhere
    if shared:
        sections.setdefault(whole, {})
    for key, wells in holders.items():
        for text, held in wells.items():
            for name in [whole] if key in shared else [prefix + part for part in _section_names(held)]:
                sections.setdefault(name, {})[key] = text


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
        names.append(f"{kind}.{toml_key(','.join(found))}")
    return names


def toml_value(key: str, value: Any) -> str:
    """Value of a layout's key as TOML text that reads back exactly.

    Examples
    --------
    >>> toml_value("time", 172800.0), toml_value("concentration", 3.16e-6), toml_value("compound", "CM572")
    ('"48 h"', '"3.16 µM"', '"CM572"')
    """
    if key == "concentration":
        return toml_string(_exact(float(value), ("µM", "nM", "mM", "pM", "M"), units.concentration))
    if key == "time":
        return toml_string(_exact(float(value), ("h", "min", "s"), units.duration))
    return str(value) if key in ("experiment", "replicate") and _is_plain_integer(value) else toml_string(str(value))


def _is_plain_integer(text: str) -> bool:
    return re.fullmatch(r"0|[1-9][0-9]{0,17}", text) is not None


def _exact(value: float, names: tuple[str, ...], read: Callable[..., float]) -> str:
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
