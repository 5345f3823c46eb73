"""Binding, kinetics, receptor theory and calcium of a study: each entry → its analyses for the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from halfmax.errors import StudyError
from halfmax.study.analyses import binding, function, kinetic_plate, kinetics
from halfmax.study.analyses.movies import movies
from halfmax.study.analyses.selectivity import selectivities
from halfmax.study.analyses.table import Found
from halfmax.study.document import StudyDocument

__all__ = ["analyses_of", "check_there", "files_of"]

#: Who analyses the entries of which section; in the order of the report.
_WHO: dict[str, Callable[[Any, Path, float, bool], Iterator[Found]]] = {
    "binding": binding.binding, "time_course": kinetics.time_course,
    "inactivation": kinetics.inactivation, "washout": kinetics.washout, "function": function.function,
    "kinetic_plate": kinetic_plate.kinetic_plate,
}  # fmt: skip


def files_of(document: StudyDocument) -> tuple[str, ...]:
    """Files that the analyses of a study are made from."""
    return tuple(file for section in (*_WHO, "movie") for entry in getattr(document, section) for file in entry.files)


def analyses_of(
    document: StudyDocument, folder: Path, *, simulated: bool, tell: Callable[[str], None] = lambda _: None
) -> list[Found]:
    """Each analysis of a study with the files it came from, in the order of the report.

    `tell` hears of each recording before it is analysed.
    """
    found: list[Found] = []
    for section, analysed in _WHO.items():
        for entry in _asked(document, section):
            found += analysed(entry, folder, document.study.level, simulated)
        if section == "binding":
            for ratio in document.selectivity:
                found += selectivities(ratio, found, document.study.level)
    found += movies(document.movie, document.calcium, folder, document.study.level, tell)
    return found


def _asked(document: StudyDocument, section: str) -> Sequence[Any]:
    """What is analysed at once: an entry, or the entries of one name where these are experiments."""
    entries: Sequence[Any] = getattr(document, section)
    return kinetic_plate.experiments_of(entries) if section == "kinetic_plate" else entries


def check_there(document: StudyDocument) -> None:
    """Refuse a study without anything to analyse."""
    if not any(getattr(document, section) for section in ("plate", "table", *_WHO, "movie")):
        raise StudyError(
            "study.toml names nothing to analyse. Add a [[plate]] with file and layout, a [[table]] with its columns, "
            f"or {', '.join(f'[[{section}]]' for section in (*_WHO, 'movie'))}."
        )
    if document.exclude and not (document.plate or document.table):
        raise StudyError(
            "[[exclude]] leaves out wells of a [[plate]] or a [[table]], and this study has neither. Take it out; a "
            "[[kinetic_plate]] has a key exclude of its own."
        )
