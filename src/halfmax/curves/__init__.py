"""Curves: pure functions of named parameters, each with equation, limits, starts, derivative and reference."""

from halfmax.curves.curve import Curve
from halfmax.curves.custom import own_curve
from halfmax.curves.hill import hill, hill_derivative, hill_inverse
from halfmax.curves.registry import MODELS, curve, register

__all__ = ["MODELS", "Curve", "curve", "hill", "hill_derivative", "hill_inverse", "own_curve", "register"]
