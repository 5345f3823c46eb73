"""One map over batches of work: in this process, in a pool of processes, or on a Dask cluster.

The order of the results is that of the items, whatever ran them, so that the same
inputs give the same numbers.  Only a few items are under way at a time, so that the
memory needed does not grow with their number.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, TypeVar

from halfmax.errors import HalfmaxError, RangeError

__all__ = ["map_batches"]

Item = TypeVar("Item")
Result = TypeVar("Result")
#: Items under way for each worker.
_AHEAD = 3
#: What linear-algebra libraries read when they load: processes side by side have one thread each.
_THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"
)  # fmt: skip


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
        If the cluster cannot be reached, or Dask is not installed; if a process dies.

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
    if cluster:
        with _client(cluster) as client:
            at_once = _AHEAD * max(1, sum(client.nthreads().values()))
            yield from _in_order(lambda item: _sent(client, function, item), items, at_once, _cancel)
        return
    context = _OneThreadEach()
    with ProcessPoolExecutor(workers, context, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        try:
            yield from _in_order(lambda item: pool.submit(function, item), items, _AHEAD * workers, context.end)
        except BrokenProcessPool as error:
            raise HalfmaxError(
                "a process ended before its work was done, most often for want of memory. Use fewer --workers."
            ) from error


def _in_order(
    submit: Callable[[Item], Any], items: Iterable[Item], at_once: int, stop: Callable[[Iterable[Any]], None]
) -> Iterator[Any]:
    """Results in order, so many items under way at once; `stop` ends the work on them when nobody waits any more."""
    under_way: deque[Any] = deque()
    try:
        for item in items:
            under_way.append(submit(item))
            if len(under_way) >= at_once:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    except BaseException:
        stop(under_way)
        raise


class _OneThread(SpawnProcess):
    """A process whose linear algebra has one thread, unless the environment says otherwise."""

    def start(self) -> None:
        """Start it, with the environment that it is to find."""
        unset = [name for name in _THREADS if name not in os.environ]
        os.environ.update(dict.fromkeys(unset, "1"))
        try:
            super().start()
        finally:
            for name in unset:
                del os.environ[name]


class _OneThreadEach(SpawnContext):
    """What a pool starts its processes with; it can end them in the middle of their work."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[SpawnProcess] = []

    def Process(self, *args: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        """A process of the pool."""
        self.started.append(_OneThread(*args, **options))
        return self.started[-1]

    def end(self, _: Iterable[Any]) -> None:
        """End all processes."""
        for process in self.started:
            process.terminate()


def _cancel(futures: Iterable[Any]) -> None:
    for future in futures:
        future.cancel()


def _sent(client: Any, function: Callable[[Item], Result], item: Item) -> Any:
    """Future of an item; its data travel with the task, so that another worker can take over from one that dies."""
    import dask

    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
        return client.submit(function, item, pure=False)


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
