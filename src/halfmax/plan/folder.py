"""A plan as a folder of files: layouts, dilutions, worklists, the protocol, and the study that will read the data.

The folder appears whole or not at all: it is built beside its place and then moved there.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from halfmax import units
from halfmax.errors import FileError
from halfmax.plan.design import Plan
from halfmax.plan.dilution import dilution_table
from halfmax.plan.protocol import protocol_html
from halfmax.plan.worklist import echo_source, echo_worklist, manual_worklist
from halfmax.readers.layout import write_layout

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["csv_text", "study_toml", "write"]


def write(plan: Plan, folder: str | Path) -> Path:
    """Write a plan into a new folder.

    The folder then holds ``protocol.html`` (for the bench), ``layout_*.toml``
    (one a plate), ``dilution.csv``, ``worklist_manual.csv`` (µL),
    ``worklist_echo.csv`` (nL) and ``worklist_echo_source.csv``, ``study.toml``,
    and ``plates/``, where the reader's exports go.

    Parameters
    ----------
    folder : path
        A folder that does not exist yet, or is empty.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    FileError
        If something is there already, or the folder cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from halfmax.plan import plan_viability
    >>> with TemporaryDirectory() as place:
    ...     folder = write(plan_viability("MCF-7", "CM572", times="48 h", experiments=1), Path(place, "plan"))
    ...     sorted(path.name for path in folder.iterdir())[:3]
    ['dilution.csv', 'layout_MCF-7_48h_1.toml', 'plates']
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileError(f"{target}: there is something already. Give a folder that is new or empty.")
    texts = _texts(plan)
    building = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        built = building / "plan"
        (built / "plates").mkdir(parents=True)
        for name, text in texts.items():
            (built / name).write_text(text, encoding="utf-8", newline="\n")
        for plate in plan.plates:
            write_layout(plate.layout, built / plate.layout_file)
        if target.exists():
            target.rmdir()
        built.rename(target)
    except OSError as error:
        raise FileError(f"{target}: cannot be written ({error.strerror}).") from error
    finally:
        if building is not None:
            shutil.rmtree(building, ignore_errors=True)
    return target


def _texts(plan: Plan) -> dict[str, str]:
    """Contents of the files, by name."""
    return {
        "study.toml": study_toml(plan),
        "protocol.html": protocol_html(plan),
        # The byte-order mark tells a spreadsheet that µ is one letter; robots get plain ASCII headers instead.
        "dilution.csv": "\ufeff" + csv_text(dilution_table(plan)),
        "worklist_manual.csv": csv_text(manual_worklist(plan)),
        "worklist_echo.csv": csv_text(echo_worklist(plan)),
        "worklist_echo_source.csv": csv_text(echo_source(plan)),
        "plates/README.txt": "Put the plate reader's exports here, under the names that study.toml gives.\n",
    }


def study_toml(plan: Plan) -> str:
    """The study document that analyses the planned plates, once their exports are in ``plates/``.

    Examples
    --------
    >>> from halfmax.plan import plan_viability
    >>> print(study_toml(plan_viability("MCF-7", "CM572", times="48 h", experiments=1)))
    [study]
    title = "Viability (MTT) of MCF-7 under CM572"
    <BLANKLINE>
    [viability]
    signal = "570"
    background = "660"
    <BLANKLINE>
    [[plate]]
    file = "plates/MCF-7_48h_1.txt"   # put the reader's export here
    layout = "layout_MCF-7_48h_1.toml"
    cell_line = "MCF-7"
    time = "48 h"
    experiment = "1"
    <BLANKLINE>
    """
    parts = [
        f"[study]\ntitle = {_quoted(plan.title)}\n",
        f'[viability]\nsignal = "{plan.options.signal}"\nbackground = "{plan.options.background}"\n',
    ]
    for plate in plan.plates:
        parts.append(
            f"[[plate]]\nfile = {_quoted(f'plates/{plate.name}.txt')}   # put the reader's export here\n"
            f"layout = {_quoted(plate.layout_file)}\n"
            f"cell_line = {_quoted(plate.cell_line)}\n"
            f"time = {_quoted(units.format_duration(plate.time_s))}\n"
            f"experiment = {_quoted(plate.experiment)}\n"
        )
    return "\n".join(parts)


def _quoted(text: str) -> str:
    """Text as a TOML basic string: JSON's escapes are TOML's, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV; text that a spreadsheet would take for a formula is marked as text.

    Examples
    --------
    >>> import pandas as pd
    >>> print(csv_text(pd.DataFrame({"Content": ["=1+1"], "Error (%)": [-0.5]})))
    Content,Error (%)
    '=1+1,-0.5
    <BLANKLINE>
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(list(table.columns))
    for row in table.itertuples(index=False):
        writer.writerow([_as_text(cell) for cell in row])
    return stream.getvalue()


def _as_text(cell: object) -> object:
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
    return f"{cell:.10g}" if isinstance(cell, float) else cell
