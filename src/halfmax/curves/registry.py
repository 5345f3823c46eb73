"""All curves by name."""

from __future__ import annotations

from halfmax.curves.curve import Curve
from halfmax.curves.kinetics import KINETICS
from halfmax.curves.sigmoid import SIGMOIDS
from halfmax.curves.stimulation import STIMULATIONS
from halfmax.errors import RangeError, nearest

__all__ = ["MODELS", "curve", "register"]

#: Curves by name.
MODELS: dict[str, Curve] = {one.name: one for one in (*SIGMOIDS, *STIMULATIONS, *KINETICS)}


def curve(model: str | Curve) -> Curve:
    """Curve of a name, or the curve itself.

    Raises
    ------
    RangeError
        If there is no such curve; the nearest one is named.

    Examples
    --------
    >>> curve("hill4").parameters
    ('ec50', 'hill_slope', 'top', 'bottom')
    """
    if isinstance(model, Curve):
        return model
    if model not in MODELS:
        raise RangeError(f'unknown model "{model}". {nearest(model, list(MODELS))}')
    return MODELS[model]


def register(one: Curve) -> Curve:
    """Make a curve known by its name, to `fit` and to the command line of this process.

    Raises
    ------
    RangeError
        If another curve has that name.
    """
    if MODELS.get(one.name, one) is not one:
        raise RangeError(f'there is a curve "{one.name}" already. Give yours another name.')
    MODELS[one.name] = one
    return one
