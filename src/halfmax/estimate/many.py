"""Many curves: batches of a fixed size, one after the other or side by side, always with the same numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from halfmax.estimate.fitting import fit_all
from halfmax.estimate.status import Direction
from halfmax.parallel import map_batches
from halfmax.response import Response

__all__ = ["BATCH", "Batch", "fit_many"]

#: Curves in a batch. Fixed, so that results do not depend on what runs them.
BATCH = 1000
Record = dict[str, object]


@dataclass(frozen=True)
class Batch:
    """Some labelled curves and how to fit them."""

    curves: tuple[tuple[dict[str, str], Response], ...]
    model: str
    level: float
    direction: Direction


def fit_many(
    curves: Iterable[tuple[dict[str, str], Response]],
    model: str = "hill4",
    *,
    level: float = 0.95,
    direction: Direction = "either",
    skip: int = 0,
    workers: int = 1,
    cluster: str | None = None,
) -> Iterator[list[Record]]:
    """Records of many curves, a batch at a time, in order.

    Parameters
    ----------
    curves : iterable of (labels, Response)
        May be longer than memory: only a few batches are held.
    model, level, direction
        As for `fit`.
    skip : int
        Batches at the beginning that are not fitted (a run that is taken up again).
    workers : int
        Processes.
    cluster : str, optional
        Address of a Dask scheduler that does the work instead.

    Yields
    ------
    list of dict
        The labels of each curve and the record of its estimate.

    Examples
    --------
    >>> from halfmax.response import Response
    >>> curve = Response.of([0, 0, 1, 1, 3, 3, 10, 10], [1, 0.98, 0.9, 0.92, 0.6, 0.58, 0.2, 0.21])
    >>> [[record["compound"] for record in batch] for batch in fit_many([({"compound": "a"}, curve)])]
    [['a']]
    """  # fmt: skip
    batches = islice(_batches(iter(curves), model, level, direction), skip, None)
    yield from map_batches(_fit, batches, workers=workers, cluster=cluster)


def _batches(
    curves: Iterator[tuple[dict[str, str], Response]], model: str, level: float, direction: Direction
) -> Iterator[Batch]:
    while some := tuple(islice(curves, BATCH)):
        yield Batch(some, model, level, direction)


def _fit(batch: Batch) -> list[Record]:
    responses = [response for _, response in batch.curves]
    estimates = fit_all(responses, batch.model, level=batch.level, direction=batch.direction)
    return [{**labels, **estimate.record()} for (labels, _), estimate in zip(batch.curves, estimates, strict=True)]
