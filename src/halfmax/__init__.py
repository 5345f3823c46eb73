"""halfmax: from the files a pharmacology lab's instruments write to a mechanism that explains them.

The public names load when they are first used, so that ``import halfmax`` is
quick and brings in no numerical or drawing library.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "AssayTable": "halfmax.table",
    "Source": "halfmax.table",
    "Response": "halfmax.response",
    "Estimate": "halfmax.estimate",
    "fit": "halfmax.estimate",
    "combine": "halfmax.estimate",
    "compare": "halfmax.estimate",
    "apparent_ki": "halfmax.curves.inactivation",
    "read": "halfmax.readers",
    "run": "halfmax.study",
    "HalfmaxError": "halfmax.errors",
    "FileError": "halfmax.errors",
    "TableError": "halfmax.errors",
    "RangeError": "halfmax.errors",
    "FitError": "halfmax.errors",
    "StudyError": "halfmax.errors",
}
_ROOMS = (
    "assays",
    "curves",
    "errors",
    "estimate",
    "parallel",
    "plan",
    "readers",
    "reference",
    "report",
    "response",
    "study",
    "table",
    "units",
    "wells",
)

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    if name in _ROOMS:
        return import_module(f"halfmax.{name}")
    raise AttributeError(f"module 'halfmax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC, *_ROOMS])
