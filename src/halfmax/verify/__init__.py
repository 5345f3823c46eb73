"""Reference answers, computed again on this machine: certified data sets, published answers, closed forms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from halfmax.errors import FileError
from halfmax.verify import closed, nist, published
from halfmax.verify.check import Check, digits, worst

__all__ = ["Check", "digits", "verify", "worst"]


def verify(data: Path | None = None, *, progress: Callable[[int], None] | None = None) -> list[Check]:
    """Every reference answer beside what halfmax finds here.

    Parameters
    ----------
    data : Path, optional
        Folder of data sets that are not part of the package. What it lacks is listed as not run.
    progress : callable, optional
        Called with the number of checks made so far.

    Returns
    -------
    list of Check

    Raises
    ------
    FileError
        If the folder is none, or a file in it is not what its name says.

    Examples
    --------
    >>> [check.verdict for check in closed.checks() if check.subject == "Growth rate"]
    ['ok', 'ok', 'ok']
    """
    if data is not None and not data.is_dir():
        raise FileError(f"{data}: there is no such folder. Give the folder that holds dose_response/, or none.")
    found = []
    for check in _all(data):
        found.append(check)
        if progress is not None:
            progress(len(found))
    return found


def _all(data: Path | None) -> Iterator[Check]:
    yield from nist.checks(data)
    yield from closed.checks()
    yield from published.checks(data)
