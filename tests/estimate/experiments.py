"""Experiments made by hand: estimates with a known value, interval and operator."""

import math

from halfmax.estimate import Estimate, Parameter
from halfmax.response import Response


def experiment(value, name="", *, operator="=", se=0.05, unit="M"):
    """One experiment's EC50, ten per cent either way; of a named experiment where a name is given."""
    low, high = value * 0.9, value * 1.1
    if operator == ">":
        low, high = value, math.inf
    if operator == "<":
        low, high = 0.0, value
    if operator == "?":
        value, low, high = math.nan, 0.0, math.inf
    response = Response.of([0, 1e-6], [1, 0.5], compound="X", experiment=name) if name else None
    return Estimate("hill4", (Parameter("ec50", value, low, high, operator, unit, value, se, True),), response=response)
