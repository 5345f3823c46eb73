"""A plan as a folder of files: layouts, dilutions, worklists, the protocol, and the study that will read the data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from halfmax.output import csv_text, write_texts
from halfmax.plan.design import Plan
from halfmax.plan.dilution import dilution_table
from halfmax.plan.protocol import protocol_html
from halfmax.plan.worklist import echo_source, echo_worklist, manual_worklist
from halfmax.readers.layout import layout_toml, toml_value

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["study_toml", "write"]


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
    return write_texts(Path(folder), _texts(plan), empty=("plates",))


def _texts(plan: Plan) -> dict[str, str]:
    """Contents of the files, by name."""
    return {plate.layout_file: layout_toml(plate.layout) for plate in plan.plates} | {
        "study.toml": study_toml(plan),
        "protocol.html": protocol_html(plan),
        # The byte-order mark tells a spreadsheet that µ is one letter; robots get plain ASCII headers instead.
        "dilution.csv": "\ufeff" + _csv(dilution_table(plan)),
        "worklist_manual.csv": _csv(manual_worklist(plan)),
        "worklist_echo.csv": _csv(echo_worklist(plan)),
        "worklist_echo_source.csv": _csv(echo_source(plan)),
        "plates/README.txt": "Put the plate reader's exports here, under the names that study.toml gives.\n",
    }


def _csv(table: pd.DataFrame) -> str:
    return csv_text({str(name): cell for name, cell in row.items()} for row in table.to_dict("records"))


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
        f"[study]\ntitle = {toml_value('title', plan.title)}\n",
        f'[viability]\nsignal = "{plan.options.signal}"\nbackground = "{plan.options.background}"\n',
    ]
    for plate in plan.plates:
        parts.append(
            f'[[plate]]\nfile = "plates/{plate.name}.txt"'
            "   # put the reader's export here\n"
            f'layout = "{plate.layout_file}"\n'
            f"cell_line = {toml_value('cell_line', plate.cell_line)}\n"
            f"time = {toml_value('time', plate.time_s)}\n"
            f'experiment = "{plate.experiment}"\n'
        )
    return "\n".join(parts)
