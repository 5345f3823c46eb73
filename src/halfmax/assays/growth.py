"""Growth-rate values: what a drug does to the rate of division, not to the number of cells that is left.

A viability relative to the vehicle depends on how often the vehicle's cells divided
meanwhile.  The growth-rate value does not: 1 is no effect, 0 no growth (stasis), below
0 a loss of cells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.errors import RangeError

__all__ = ["gr_value"]

Array = NDArray[np.float64]


def gr_value(count: ArrayLike, *, control: ArrayLike, time_zero: ArrayLike) -> Array:
    """Growth-rate value of treated cells::

        GR = 2 ** (log2(count / time_zero) / log2(control / time_zero)) - 1

    Parameters
    ----------
    count, control, time_zero : array, cells (or a signal proportional to them)
        Treated, untreated at the same time, and when the treatment began; all > 0.
        Shapes that broadcast.

    Returns
    -------
    array
        -1 < GR; 1 where the drug does nothing.

    Raises
    ------
    RangeError
        If a number is not positive, or the control did not grow, so that there is
        no growth rate to compare with.

    References
    ----------
    .. [1] Hafner et al. (2016), Nat Methods 13:521, doi 10.1038/nmeth.3853.

    Examples
    --------
    >>> gr_value([400.0, 100.0, 50.0], control=400.0, time_zero=100.0).round(3).tolist()
    [1.0, 0.0, -0.293]
    """
    x, grown, begun = (np.asarray(value, dtype=float) for value in (count, control, time_zero))
    for name, value in (("count", x), ("control", grown), ("time_zero", begun)):
        if (value <= 0).any():
            raise RangeError(f"{name} must be > 0 everywhere, found {value[value <= 0].flat[0]:g}.")
    if (grown <= begun).any():
        raise RangeError(
            "the control did not grow between time zero and the reading: there is no growth rate to compare with. "
            "Read later, or report viability."
        )
    return np.asarray(2.0 ** (np.log2(x / begun) / np.log2(grown / begun)) - 1.0, dtype=float)
