"""Estimation: from a Response to an Estimate with an honest interval."""

from halfmax.estimate.absolute import absolute_ec50
from halfmax.estimate.combining import combine, compare
from halfmax.estimate.fitting import fit, fit_all
from halfmax.estimate.growth import growth_metrics
from halfmax.estimate.many import fit_many
from halfmax.estimate.points import zero_of
from halfmax.estimate.result import Estimate, Operator, Parameter
from halfmax.estimate.status import Direction

__all__ = [
    "Direction",
    "Estimate",
    "Operator",
    "Parameter",
    "absolute_ec50",
    "combine",
    "compare",
    "fit",
    "fit_all",
    "fit_many",
    "growth_metrics",
    "zero_of",
]
