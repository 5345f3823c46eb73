"""One map over batches of work."""

import pytest

from halfmax.errors import RangeError
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
