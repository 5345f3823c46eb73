"""The study document: what `study.toml` may say, and errors that give the path inside it.

Every key is described here once; the JSON Schema for editors comes from the same
classes.  An unknown key is refused with the nearest known one.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from halfmax.errors import FileError, HalfmaxError, StudyError, nearest
from halfmax.study.entries import (
    BindingEntry,
    CalciumSection,
    Compare,
    Exclude,
    FunctionEntry,
    InactivationEntry,
    KineticPlateEntry,
    MovieEntry,
    PlateEntry,
    Section,
    SelectivityEntry,
    StudySection,
    TableEntry,
    TimeCourseEntry,
    Viability,
    WashoutEntry,
)

__all__ = ["StudyDocument", "calcium_of", "load", "schema", "validated"]


_Model = TypeVar("_Model", bound=Section)


class StudyDocument(Section):
    """The whole of `study.toml`."""

    study: StudySection
    viability: Viability = Field(default_factory=Viability)  # type: ignore[arg-type]
    plate: list[PlateEntry] = Field(default_factory=list)
    table: list[TableEntry] = Field(default_factory=list)
    binding: list[BindingEntry] = Field(default_factory=list)
    selectivity: list[SelectivityEntry] = Field(default_factory=list)
    inactivation: list[InactivationEntry] = Field(default_factory=list)
    time_course: list[TimeCourseEntry] = Field(default_factory=list)
    washout: list[WashoutEntry] = Field(default_factory=list)
    function: list[FunctionEntry] = Field(default_factory=list)
    kinetic_plate: list[KineticPlateEntry] = Field(default_factory=list)
    calcium: CalciumSection = Field(default_factory=CalciumSection)  # type: ignore[arg-type]
    movie: list[MovieEntry] = Field(default_factory=list)
    exclude: list[Exclude] = Field(default_factory=list)
    compare: list[Compare] = Field(default_factory=list)


_SECTIONS: dict[str, type[Section]] = {
    "study": StudySection,
    "viability": Viability,
    "plate": PlateEntry,
    "table": TableEntry,
    "binding": BindingEntry,
    "selectivity": SelectivityEntry,
    "inactivation": InactivationEntry,
    "time_course": TimeCourseEntry,
    "washout": WashoutEntry,
    "function": FunctionEntry,
    "kinetic_plate": KineticPlateEntry,
    "calcium": CalciumSection,
    "movie": MovieEntry,
    "exclude": Exclude,
    "compare": Compare,
}


def schema() -> dict[str, Any]:
    """JSON Schema of the study document, for editors."""
    described = StudyDocument.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described, "title": "halfmax study"}


def load(path: str | Path) -> StudyDocument:
    """Study document of a file, or of the ``study.toml`` in a folder.

    Raises
    ------
    FileError
        If there is no such file, or it is no TOML.
    StudyError
        If a key is unknown, missing or has a value that it cannot have.
    """
    file = Path(path)
    file = file / "study.toml" if file.is_dir() else file
    return validated(StudyDocument, _toml(file, f"Write an empty one with: halfmax init {file.parent}"), file=file.name)


def calcium_of(path: Path) -> CalciumSection:
    """The ``[calcium]`` section of a TOML file, which may be a study document.

    Raises
    ------
    FileError, StudyError
        As for `load`.
    """
    content = _toml(path, "Write one with a [calcium] section.")
    document = {"study": {"title": path.stem}, "calcium": content.get("calcium", {})}
    return validated(StudyDocument, document, file=path.name).calcium


def _toml(file: Path, otherwise: str) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileError(f"{file}: there is no such study. {otherwise}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{file}: cannot be read as UTF-8 text ({error}).") from error
    except tomllib.TOMLDecodeError as error:
        raise FileError(f"{file.name}: not valid TOML: {error}.") from error


def validated(model: type[_Model], content: dict[str, Any], *, file: str = "") -> _Model:
    """A section, or the whole document, of its content; all that is wrong is told, one line each, with its path."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        start = f"{file}: " if file else ""
        raise StudyError("\n".join(f"{start}{_line(problem)}" for problem in error.errors())) from None


def _line(problem: Any) -> str:
    where = _path(problem["loc"])
    kind, given = problem["type"], problem.get("input")
    if kind == "extra_forbidden":
        key = str(problem["loc"][-1])
        section = str(problem["loc"][0])
        known = _SECTIONS.get(section) if len(problem["loc"]) > 1 else None
        names = list(known.model_fields) if known else list(StudyDocument.model_fields)
        return f'unknown key "{key}" in {_path(problem["loc"][:-1]) or "the document"}. {nearest(key, names)}'
    if kind == "missing":
        return f"{where} is missing. Add it."
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, HalfmaxError):
        return f"{where}: {cause}"
    return f"{where}: {problem['msg']}, found {given!r}."


def _path(parts: tuple[str | int, ...]) -> str:
    """Path inside the document, entries counted from 1: ``plate[2].layout``."""
    text = ""
    for part in parts:
        text += f"[{part + 1}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text
