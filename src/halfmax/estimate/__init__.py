"""Estimation: from a Response to an Estimate with an honest interval."""

from halfmax.estimate.absolute import absolute_ec50
from halfmax.estimate.arrays import Fits, fit_arrays
from halfmax.estimate.averaging import average_plates
from halfmax.estimate.combining import combine
from halfmax.estimate.comparing import compare, compare_many
from halfmax.estimate.fitting import fit, fit_all
from halfmax.estimate.growth import growth_metrics
from halfmax.estimate.influence import Influence, leave_one_out
from halfmax.estimate.many import fit_many
from halfmax.estimate.points import zero_of
from halfmax.estimate.result import Estimate, Operator, Parameter
from halfmax.estimate.status import Direction

__all__ = [
    "Direction",
    "Estimate",
    "Fits",
    "Influence",
    "Operator",
    "Parameter",
    "absolute_ec50",
    "average_plates",
    "combine",
    "compare",
    "compare_many",
    "fit",
    "fit_all",
    "fit_arrays",
    "fit_many",
    "growth_metrics",
    "leave_one_out",
    "zero_of",
]
