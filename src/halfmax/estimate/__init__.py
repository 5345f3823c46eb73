"""Estimation: from a Response to an Estimate with an honest interval."""

from halfmax.estimate.combining import combine, compare
from halfmax.estimate.fitting import Direction, fit, fit_all
from halfmax.estimate.result import Estimate, Operator, Parameter

__all__ = ["Direction", "Estimate", "Operator", "Parameter", "combine", "compare", "fit", "fit_all"]
