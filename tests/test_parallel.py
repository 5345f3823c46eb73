"""One map over batches of work."""

import os
import signal

import pytest

from halfmax.errors import HalfmaxError, RangeError
from halfmax.parallel import map_batches


def test_a_pool_gives_what_one_process_gives_in_the_same_order():
    items = [-3, 1, -2, 5]
    assert list(map_batches(abs, items, workers=2)) == list(map_batches(abs, items)) == [3, 1, 2, 5]


def test_only_a_few_items_are_under_way_at_a_time():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    results = map_batches(abs, items(), workers=2)
    assert next(results) == 0
    assert len(taken) <= 7
    results.close()


def test_less_than_one_worker_is_refused():
    with pytest.raises(RangeError, match="at least 1, found 0"):
        list(map_batches(abs, [1], workers=0))


def test_processes_side_by_side_have_one_thread_each_and_this_one_is_left_alone(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    assert list(map_batches(os.getenv, ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"], workers=2)) == ["1", "3"]
    assert "OMP_NUM_THREADS" not in os.environ


def test_a_process_that_dies_is_said_so():
    with pytest.raises(HalfmaxError, match=r"a process ended before its work was done.*fewer --workers"):
        list(map_batches(signal.raise_signal, [signal.SIGTERM], workers=2))


def test_an_error_of_an_item_comes_out():
    with pytest.raises(ZeroDivisionError):
        list(map_batches(divmod_by_zero, range(20), workers=2))


def divmod_by_zero(number):
    return divmod(number, 0)
