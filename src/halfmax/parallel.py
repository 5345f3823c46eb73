"""One map over batches of work: in this process, in a pool of processes, or on a Dask cluster.

The order of the results is that of the items, whatever ran them, so that the same
inputs give the same numbers.  Only a few items are under way at a time, so that the
memory needed does not grow with their number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

from halfmax.errors import HalfmaxError, RangeError

__all__ = ["map_batches"]

Item = TypeVar("Item")
Result = TypeVar("Result")
#: Items under way for each worker.
_AHEAD = 3


def map_batches(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int = 1, cluster: str | None = None
) -> Iterator[Result]:
    """Results of `function` over `items`, in order.

    Parameters
    ----------
    function : callable
        Must be importable by name unless it runs here: processes are spawned, not
        forked, so that Windows, macOS and Linux behave alike.
    items : iterable
    workers : int
        1 runs here; more start that many processes.
    cluster : str, optional
        Address of a Dask scheduler, such as ``tcp://host:8786``; its workers do the work.

    Raises
    ------
    RangeError
        If `workers` < 1.
    HalfmaxError
        If the cluster cannot be reached, or Dask is not installed.

    Examples
    --------
    >>> list(map_batches(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    if workers < 1:
        raise RangeError(f"workers must be at least 1, found {workers}.")
    if cluster is None and workers == 1:
        yield from map(function, items)
        return
    executor: Any = _client(cluster) if cluster else ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    with executor as pool:
        if cluster:
            workers = max(1, sum(pool.nthreads().values()))
        under_way: deque[Any] = deque()
        try:
            for item in items:
                under_way.append(pool.submit(function, item))
                if len(under_way) >= _AHEAD * workers:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        except BaseException:
            for future in under_way:
                future.cancel()
            raise


def _client(address: str) -> Any:
    """Client of a Dask scheduler."""
    try:
        from distributed import Client
    except ImportError as error:
        raise HalfmaxError(
            'a Dask cluster needs dask, which is not installed. pip install "halfmax[cluster]"'
        ) from error
    try:
        return Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise HalfmaxError(
            f"{address}: no Dask scheduler answers there ({error}). Start one with: dask scheduler"
        ) from error
