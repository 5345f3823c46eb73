"""The errors a user can meet, each saying where, what was expected, what was found, what to do.

There is one root, `HalfmaxError`, and one leaf for each kind of trouble.  The
command line turns a leaf into an exit code; nothing else is ever caught and
swallowed.
"""

from __future__ import annotations

from difflib import get_close_matches

__all__ = [
    "FileError",
    "FitError",
    "HalfmaxError",
    "RangeError",
    "StudyError",
    "TableError",
    "nearest",
]


class HalfmaxError(Exception):
    """Root of everything halfmax raises on purpose."""


class FileError(HalfmaxError):
    """A file that cannot be read, is not what it was said to be, or cannot be written."""


class TableError(HalfmaxError):
    """Measured data that break a promise of the table: a duplicate well, a negative dose."""


class RangeError(HalfmaxError, ValueError):
    """A number outside the range in which it means something."""


class FitError(HalfmaxError):
    """Data to which no curve can be fitted at all (one dose, no finite signal)."""


class StudyError(HalfmaxError):
    """A study document or a plate layout that contradicts itself or its files."""


def nearest(word: str, known: list[str] | tuple[str, ...]) -> str:
    """Hint for a misspelt word: the nearest known one, or the list of all.

    Examples
    --------
    >>> nearest("celline", ["cell_line", "compound"])
    'Did you mean "cell_line"?'
    >>> nearest("xyz", ["cell_line", "compound"])
    'Known: cell_line, compound.'
    """
    folded = {name.casefold(): name for name in known}
    close = get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    if close:
        return f'Did you mean "{folded[close[0]]}"?'
    return f"Known: {', '.join(known)}."
