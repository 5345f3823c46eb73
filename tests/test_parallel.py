"""One map over batches of work."""

import pytest

from halfmax.errors import RangeError
from halfmax.parallel import map_batches


def test_a_pool_gives_what_one_process_gives_in_the_same_order():
    items = [-3, 1, -2, 5]
    seen = []
    assert list(map_batches(abs, items, workers=2, progress=lambda: seen.append(1))) == list(map_batches(abs, items))
    assert len(seen) == len(items)


def test_less_than_one_worker_is_refused():
    with pytest.raises(RangeError, match="at least 1, found 0"):
        list(map_batches(abs, [1], workers=0))
