"""Exponential association and dissociation in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from halfmax.curves.curve import Curve, Shape, Term

__all__ = ["KINETICS"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Exponential(Curve):
    """From the start to the end at a rate in proportion to the distance left."""

    worth: ClassVar[tuple[float, float] | None] = (0.9, 0.28)

    def at(self, u: Array, theta: Array, sign: Array) -> Shape:  # noqa: ARG002
        """Shares of start and end."""
        left = np.exp(-np.exp(theta[0]) * u)
        return Shape([left, -np.expm1(-np.exp(theta[0]) * u)])

    def slopes(self, u: Array, theta: Array, sign: Array, shape: Shape, linear: Array) -> list[Array]:  # noqa: ARG002
        """By ln of the rate."""
        left = shape.columns[0]
        with np.errstate(invalid="ignore"):
            return [(linear[1] - linear[0]) * np.exp(theta[0]) * np.where(left > 0, u * left, 0.0)]


_REFERENCE = "Motulsky & Mahan (1984), Mol Pharmacol 25:1"

#: Curves in time.
KINETICS: tuple[Curve, ...] = (
    Exponential(
        "association", "Exponential association", "start + (plateau - start) * (1 - exp(-kobs * time))", _REFERENCE,
        (Term("kobs", "rate"), Term("start", "plateau"), Term("plateau", "plateau")), logarithmic=False,
        page="association",
    ),
    Exponential(
        "dissociation", "Exponential dissociation", "plateau + (start - plateau) * exp(-koff * time)", _REFERENCE,
        (Term("koff", "rate"), Term("start", "plateau"), Term("plateau", "plateau")), logarithmic=False,
        page="association",
    ),
)  # fmt: skip
