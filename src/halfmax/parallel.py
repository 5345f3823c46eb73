"""One map over batches of work: in this process, or in a pool of processes.

The order of the results is that of the items, whatever ran them, so that the
same inputs give the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from halfmax.errors import RangeError

__all__ = ["map_batches"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_batches(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int = 1,
    progress: Callable[[], None] | None = None,
) -> Iterator[Result]:
    """Results of `function` over `items`, in order.

    Parameters
    ----------
    function : callable
        Must be importable by name when `workers` > 1: processes are spawned, not
        forked, so that Windows, macOS and Linux behave alike.
    items : iterable
    workers : int
        1 runs here; more start that many processes.
    progress : callable, optional
        Called once after each result.

    Raises
    ------
    RangeError
        If `workers` < 1.

    Examples
    --------
    >>> list(map_batches(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    if workers < 1:
        raise RangeError(f"workers must be at least 1, found {workers}.")
    if workers == 1:
        for item in items:
            yield function(item)
            if progress is not None:
                progress()
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            for result in pool.map(function, items):
                yield result
                if progress is not None:
                    progress()
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
