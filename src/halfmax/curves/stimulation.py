"""Curves that are no single sigmoid in ln concentration: two sites, bell, hormesis, flat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from halfmax.curves.curve import FAR, Curve, Shape, Term

__all__ = ["STIMULATIONS"]

Array = NDArray[np.float64]


def _logistic(u: Array, t: Array, steepness: Array | float) -> tuple[Array, Array]:
    """Share of the way, and its derivative by ln steepness over the distance: m s (1 - s)."""
    m = np.exp(steepness)
    share = 1.0 / (1.0 + np.exp(-m * (u - t)))
    return share, m * share * (1.0 - share)


@dataclass(frozen=True)
class TwoSites(Curve):
    """Sum of two log-logistic curves; the columns are the shares of the start and of the end."""

    def at(self, u: Array, theta: Array, sign: Array) -> Shape:  # noqa: ARG002
        """Both shares are kept for the slopes."""
        first, gap, steep_first, steep_second, part = theta
        one = _logistic(u, first, steep_first)
        two = _logistic(u, first + np.exp(gap), steep_second)
        share = part * one[0] + (1.0 - part) * two[0]
        return Shape([1.0 - share, share], [*one, *two])

    def slopes(self, u: Array, theta: Array, sign: Array, shape: Shape, linear: Array) -> list[Array]:  # noqa: ARG002
        """By ln of the first EC50, ln of the gap, both steepnesses and the first site's part."""
        first, gap, _, _, part = theta
        s1, d1, s2, d2 = shape.inner
        span, width = linear[1] - linear[0], np.exp(gap)
        d1, d2 = span * part * d1, span * (1.0 - part) * d2
        return [-d1 - d2, -width * d2, (u - first) * d1, (u - first - width) * d2, span * (s1 - s2)]


@dataclass(frozen=True)
class Bell(Curve):
    """Up and down again (or down and up): from the start to a middle plateau to the end."""

    worth: ClassVar[tuple[float, float] | None] = (1.1, 1.76)

    def at(self, u: Array, theta: Array, sign: Array) -> Shape:  # noqa: ARG002
        """Shares of start, middle and end."""
        first, gap, steep_first, steep_second = theta
        one = _logistic(u, first, steep_first)
        two = _logistic(u, first + np.exp(gap), steep_second)
        return Shape([1.0 - one[0], one[0] - two[0], two[0]], [*one, *two])

    def slopes(self, u: Array, theta: Array, sign: Array, shape: Shape, linear: Array) -> list[Array]:  # noqa: ARG002
        """By ln of the first EC50, ln of the gap, and both steepnesses."""
        first, gap = theta[:2]
        _, d1, _, d2 = shape.inner
        width = np.exp(gap)
        d1, d2 = (linear[1] - linear[0]) * d1, (linear[2] - linear[1]) * d2
        return [-d1 - d2, -width * d2, (u - first) * d1, (u - first - width) * d2]


@dataclass(frozen=True)
class Hormesis(Curve):
    """A log-logistic fall on which a stimulation rides; the columns are its two plateaus and the stimulation.

    Parameters
    ----------
    alpha : float or None
        None for Brain and Cousens's stimulation, in proportion to the concentration; else the
        exponent in Cedergreen, Ritz and Streibig's ``exp(-1 / concentration ** alpha)``.
    """

    alpha: float | None = None

    @property
    def worth(self) -> tuple[float, float] | None:  # type: ignore[override]
        """Parameters beyond a flat line in noise."""
        return (1.9, 1.16) if self.alpha is None else (2.1, 0.61)

    def at(self, u: Array, theta: Array, sign: Array) -> Shape:  # noqa: ARG002
        """Shares of start and end, and the stimulation times the share of the start."""
        share, slope = _logistic(u, theta[0], theta[1])
        left = 1.0 / (1.0 + np.exp(np.exp(theta[1]) * (u - theta[0])))
        rising = self._stimulation(u)
        return Shape([left, share, rising * left], [slope, rising])

    def slopes(self, u: Array, theta: Array, sign: Array, shape: Shape, linear: Array) -> list[Array]:  # noqa: ARG002
        """By ln of the location and ln steepness."""
        slope, rising = shape.inner
        by_position = slope * (linear[0] + linear[2] * rising - linear[1])
        return [by_position, -by_position * (u - theta[0])]

    def _stimulation(self, u: Array) -> Array:
        if self.alpha is None:
            return np.asarray(np.where(u >= FAR, 0.0, np.exp(np.minimum(u, 700.0))))
        return np.asarray(np.exp(-np.exp(np.minimum(-self.alpha * u, 700.0))))


@dataclass(frozen=True)
class Flat(Curve):
    """The same at every concentration."""

    def at(self, u: Array, theta: Array, sign: Array) -> Shape:  # noqa: ARG002
        """One column of ones."""
        return Shape([np.ones_like(u)])

    def slopes(self, u: Array, theta: Array, sign: Array, shape: Shape, linear: Array) -> list[Array]:  # noqa: ARG002
        """There are none."""
        return []


_FIRST, _GAP = Term("ec50_first", "position"), Term("gap", "gap")
_ENDS = (Term("start", "plateau"), Term("end", "plateau"))
_S1 = "s1 = 1 / (1 + (ec50_first / concentration) ** slope_first)"
_S2 = "s2 = 1 / (1 + (ec50_first * exp(gap) / concentration) ** slope_second)"
_TWO = "start + (end - start) * (part_first * s1 + (1 - part_first) * s2), " + _S1 + ", " + _S2
_FALL = " / (1 + (concentration / location) ** steepness)"
_HORMESIS = (Term("location", "position"), Term("steepness", "steepness"), *_ENDS, Term("stimulation", "linear"))


def _slope(name: str, *, one: bool = False) -> Term:
    return Term(name, "steepness", held=0.0 if one else None)


#: Curves with more than one part, and the one with none.
STIMULATIONS: tuple[Curve, ...] = (
    TwoSites(
        "two_sites", "Two sites, each with slope one", _TWO + ", slope_first = slope_second = 1",
        "Motulsky & Christopoulos (2004), Fitting Models to Biological Data using Linear and Nonlinear Regression, "
        "Oxford University Press",
        (_FIRST, _GAP, _slope("slope_first", one=True), _slope("slope_second", one=True),
         Term("part_first", "share"), *_ENDS),
        held={"slope_first": 1.0, "slope_second": 1.0}, page="two-sites",
    ),
    TwoSites(
        "biphasic", "Biphasic, with two slopes", _TWO,
        "Motulsky & Christopoulos (2004), Fitting Models to Biological Data using Linear and Nonlinear Regression, "
        "Oxford University Press",
        (_FIRST, _GAP, _slope("slope_first"), _slope("slope_second"), Term("part_first", "share"), *_ENDS),
        page="two-sites",
    ),
    Bell(
        "bell", "Bell-shaped", "start * (1 - s1) + middle * (s1 - s2) + end * s2, " + _S1 + ", " + _S2,
        "GraphPad Prism Curve Fitting Guide, Bell-shaped dose-response, "
        "https://www.graphpad.com/guides/prism/latest/curve-fitting/reg_bellshaped_dose_response.htm",
        (_FIRST, _GAP, _slope("slope_first"), _slope("slope_second"), Term("start", "plateau"),
         Term("middle", "plateau"), Term("end", "plateau")),
        page="bell",
    ),
    Hormesis(
        "brain_cousens", "Hormesis (Brain–Cousens)",
        "end + (start - end + stimulation * concentration)" + _FALL,
        "Brain & Cousens (1989), Weed Res 29:93, doi 10.1111/j.1365-3180.1989.tb00845.x", _HORMESIS, page="hormesis",
    ),
    *(
        Hormesis(
            name, f"Hormesis (Cedergreen–Ritz–Streibig, alpha {alpha:g})",
            f"end + (start - end + stimulation * exp(-1 / concentration ** {alpha:g}))" + _FALL,
            "Cedergreen, Ritz & Streibig (2005), Environ Toxicol Chem 24:3166, doi 10.1897/05-014R.1",
            _HORMESIS, page="hormesis", alpha=alpha,
        )
        for name, alpha in (("crs_a", 1.0), ("crs_b", 0.5), ("crs_c", 0.25))
    ),
    Flat("flat", "Flat", "mean", "–", (Term("mean", "plateau"),), page="flat"),
)  # fmt: skip
