"""Selectivity entries of a study: a Ki at one receptor over that at another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from halfmax.errors import StudyError, nearest
from halfmax.estimate import Estimate
from halfmax.estimate.binding import published_ki, selectivity
from halfmax.estimate.result import Operator
from halfmax.report.document import Analysis, Plot, Series
from halfmax.study.analyses.table import Found
from halfmax.study.entries import SelectivityEntry
from halfmax.units import concentration

__all__ = ["selectivities"]

_BOUNDS: dict[str, Operator] = {">": ">", "≥": ">", "<": "<", "≤": "<"}


def selectivities(entry: SelectivityEntry, found: Sequence[Found], level: float) -> Iterator[Found]:
    """Ratio of the Ki of two binding entries, or of one and a published Ki; a bound stays a bound."""
    known = {one.key: one for one in found if one.key[0]}
    target = _named(entry, entry.target, known)
    other = _named(entry, entry.other, known) if entry.other else None
    rival = other.analysis.estimate if other else _published(entry)
    ratio = selectivity(target.analysis.estimate, rival, level=level, label=entry.name)
    curves = [_labelled(one, entry.target) for one in target.percent]
    curves += [_labelled(one, entry.other or "") for one in other.percent] if other else []
    what = entry.other or f"a published Ki {entry.other_ki}"
    plot = Plot(
        entry.compound, "concentration", "specific binding (%)", tuple(curves),
        "Percent of the specific binding that the fit gives without competitor, for the eye; Ki were fitted to raw "
        "wells.",
    )  # fmt: skip
    analysis = Analysis(
        "binding", f"{entry.name}: {entry.compound}", f"{ratio['selectivity'].text()}-fold", _sentence(ratio), ratio,
        (plot,), (f"Ki at {what} over Ki at {entry.target}.",),
        ("Selectivity is the ratio of two Ki with the interval of its logarithm; a Ki that is only a bound makes the "
         "ratio one.",),
    )  # fmt: skip
    yield Found(analysis, [])


def _sentence(ratio: Estimate) -> str:
    if ratio["selectivity"].operator == "=":
        return ""
    return "One Ki is only a bound, and so is their ratio."


def _named(entry: SelectivityEntry, name: str, known: dict[tuple[str, str], Found]) -> Found:
    key = name, entry.compound.casefold()
    if key not in known or "ki" not in known[key].analysis.estimate:
        raise StudyError(
            f'selectivity "{entry.name}": no binding entry "{name}" gives a Ki of {entry.compound}. '
            + nearest(" / ".join(key), [" / ".join(one) for one in known])
        )
    return known[key]


def _published(entry: SelectivityEntry) -> Estimate:
    text = (entry.other_ki or "").strip()
    operator = _BOUNDS.get(text[:1], "=")
    number = text[1:].strip() if text[:1] in _BOUNDS else text
    return published_ki(concentration(number), operator=operator, label=f"published Ki of {entry.compound}")


def _labelled(one: Series, name: str) -> Series:
    return replace(one, label=name)
