"""Curves: pure functions of named parameters, each with equation, limits, derivative and reference."""

from halfmax.curves.hill import MODELS, Curve, hill, hill_derivative, hill_inverse

__all__ = ["MODELS", "Curve", "hill", "hill_derivative", "hill_inverse"]
