"""S-shaped curves in terms of another quantity, which then is a parameter like any other.

A profile-likelihood interval belongs to a parameter.  So for the interval of EC10, of the
response at a dose or of the mean response over the doses, the same curves are written with
that quantity in the place of the EC50, or of a plateau.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from halfmax.curves.curve import FAR, Curve, Named, Shape, Term
from halfmax.curves.sigmoid import Sigmoid

__all__ = ["AtEffect", "HalfWay", "SecondSite", "Through", "at_effect", "half_way", "second_site", "through"]

Array = NDArray[np.float64]
Held = Literal["nothing", "start", "end"]
_TINY = float(np.finfo(float).tiny)
_STEP = 1e-5


@dataclass(frozen=True)
class AtEffect(Sigmoid):
    """A sigmoid whose first parameter is the concentration of a share of the way from start to end.

    Parameters
    ----------
    effect : float
        The share, 0 < effect < 1.
    """

    effect: float = 0.5

    def names(self, rising: bool) -> tuple[Named, ...]:
        """The terms' own."""
        return Curve.names(self, rising)

    def z(self, u: Array, theta: Array, sign: Array) -> Array:
        """0 where the share is reached, and not at the midpoint."""
        return super().z(u, theta, sign) + self._shift(theta[2:], sign)

    def slopes(self, u: Array, theta: Array, sign: Array, shape: Shape, linear: Array) -> list[Array]:
        """As those of the sigmoid, with the shift's own."""
        found = super().slopes(u, theta, sign, shape, linear)
        z, share = shape.inner
        for row in range(2, self.q):
            up, down = theta[2:].copy(), theta[2:].copy()
            up[row - 2] += _STEP
            down[row - 2] -= _STEP
            drift = (self._shift(up, sign) - self._shift(down, sign)) / (2 * _STEP)
            found[row] = found[row] + self.form.slope(z, share, theta[2:]) * drift * (linear[1] - linear[0]) * sign
        return found

    def _shift(self, extra: Array, sign: Array) -> Array:
        """Where on the axis z the share is reached."""
        if not self.oriented:
            return np.asarray(self.form.inverse(np.full(sign.shape, self.effect), extra))
        return np.asarray(self.form.inverse(np.where(sign > 0, self.effect, 1.0 - self.effect), extra))


@dataclass(frozen=True)
class Through(Curve):
    """A sigmoid in terms of its value at a dose, or of its mean over the doses.

    Parameters
    ----------
    base : Sigmoid
    dose : float or None
        ln of the dose; None for the mean over ln dose, by trapezoids through the tested doses.
    known : {"nothing", "start", "end"}
        Which plateau is held.
    """

    base: Sigmoid = field(kw_only=True)
    dose: float | None = None
    known: Held = "nothing"

    @property
    def oriented(self) -> bool:  # type: ignore[override]
        """As the base."""
        return self.base.oriented

    def at(self, u: Array, theta: Array, sign: Array) -> Shape:
        """Columns of the quantity and of the other plateau, or the span; kept: the shape of the base, and its share."""
        shape = self.base.at(u, theta, sign)
        share = shape.columns[1]
        there, _ = self._there(u, theta, sign)
        if self.known == "nothing":
            return Shape([np.ones_like(u), share - there], [*shape.inner, share])
        part = share / _off(there) if self.known == "start" else (1.0 - share) / _off(1.0 - there)
        return Shape([part, 1.0 - part], [*shape.inner, share])

    def slopes(self, u: Array, theta: Array, sign: Array, shape: Shape, linear: Array) -> list[Array]:
        """Those of the base, with the drift of its share at the dose, or of its mean."""
        share = shape.inner[-1]
        unit = np.stack([np.zeros_like(linear[0]), np.ones_like(linear[0])])
        inner = Shape([1.0 - share, share], shape.inner[:-1])
        slopes = self.base.slopes(u, theta, sign, inner, unit)
        there, drifts = self._there(u, theta, sign)
        if self.known == "nothing":
            return [linear[1] * (slope - drift) for slope, drift in zip(slopes, drifts, strict=True)]
        span = linear[0] - linear[1]
        if self.known == "start":
            there = _off(there)
            return [span * (s / there - share * d / there**2) for s, d in zip(slopes, drifts, strict=True)]
        rest = _off(1.0 - there)
        return [span * ((1.0 - share) * d / rest**2 - s / rest) for s, d in zip(slopes, drifts, strict=True)]

    def _there(self, u: Array, theta: Array, sign: Array) -> tuple[Array, list[Array]]:
        """Share of the end at the dose, or its mean, and the derivatives, each shape (1, curves)."""
        at = u if self.dose is None else np.full((1, u.shape[1]), self.dose)
        weight = _trapezoid(u) if self.dose is None else np.ones_like(at)
        shape = self.base.at(at, theta, sign)
        unit = np.stack([np.zeros(u.shape[1]), np.ones(u.shape[1])])
        slopes = self.base.slopes(at, theta, sign, shape, unit)
        mean = (weight * shape.columns[1]).sum(axis=0, keepdims=True)
        return mean, [(weight * slope).sum(axis=0, keepdims=True) for slope in slopes]


@dataclass(frozen=True)
class HalfWay(Curve):
    """A log-logistic curve in terms of the concentration at which half of the way to a known level is gone.

    With ``s = expit(m (u - q) + depth)`` the curve is ``level + (start - level) (1 - s / (2 expit(depth)))``,
    half way to the level at q for every depth and m.
    """

    def at(self, u: Array, theta: Array, sign: Array) -> Shape:  # noqa: ARG002
        """Shares of the start and of the level; kept: s."""
        q, steepness, depth = theta
        share = 1.0 / (1.0 + np.exp(-np.exp(steepness) * (u - q) - depth))
        gone = share * (0.5 + 0.5 * np.exp(-depth))
        return Shape([1.0 - gone, gone], [share])

    def slopes(self, u: Array, theta: Array, sign: Array, shape: Shape, linear: Array) -> list[Array]:  # noqa: ARG002
        """By ln of the concentration, ln steepness and depth."""
        q, steepness, depth = theta
        (share,) = shape.inner
        twice, span = 0.5 + 0.5 * np.exp(-depth), linear[1] - linear[0]
        rise = span * twice * share * (1.0 - share)
        m = np.exp(steepness)
        return [-m * rise, m * (u - q) * rise, rise - span * share * 0.5 * np.exp(-depth)]


@dataclass(frozen=True)
class SecondSite(Curve):
    """A curve of two sites, or a bell, whose first parameter is the second EC50 and not the first.

    Parameters
    ----------
    base : Curve
        Its first two parameters are the first EC50 and the gap.
    """

    base: Curve = field(kw_only=True)

    def at(self, u: Array, theta: Array, sign: Array) -> Shape:
        """Columns of the base."""
        return self.base.at(u, self._first(theta), sign)

    def slopes(self, u: Array, theta: Array, sign: Array, shape: Shape, linear: Array) -> list[Array]:
        """Those of the base; a wider gap moves the first EC50 down."""
        by_position, by_gap, *rest = self.base.slopes(u, self._first(theta), sign, shape, linear)
        return [by_position, by_gap - np.exp(theta[1]) * by_position, *rest]

    @staticmethod
    def _first(theta: Array) -> Array:
        first = theta.copy()
        first[0] -= np.exp(theta[1])
        return first


def second_site(base: Curve) -> SecondSite:
    """The curve with its second EC50 in the place of the first."""
    terms = (Term("ec50_second", "position"), *base.terms[1:])
    return SecondSite(base.name, base.title, base.equation, base.reference, terms, base=base)


def at_effect(base: Sigmoid, effect: float) -> AtEffect:
    """The sigmoid with the concentration of a share of its effect in the place of the EC50."""
    terms = (Term("ec", "position"), *base.terms[1:])
    return AtEffect(base.name, base.title, base.equation, base.reference, terms, form=base.form, effect=effect)


def through(base: Sigmoid, dose: float | None, known: Held, value: float) -> Through:
    """The sigmoid with its value at a ln dose, or its mean over the doses, in the place of a plateau."""
    other = Term("span", "plateau") if known == "nothing" else Term(known, "plateau", held=value)
    terms = (*base.terms[: base.q], Term("quantity", "plateau"), other)
    return Through(base.name, base.title, base.equation, base.reference, terms, base=base, dose=dose, known=known)


def half_way(base: Sigmoid, start: float | None) -> HalfWay:
    """The log-logistic curve with the absolute EC50 in the place of the relative one; the level is held later."""
    terms = (
        Term("ec50_absolute", "position"), base.terms[1],
        Term("depth", "plain", limits=(-8.0, 12.0), starts=(-1.5, 0.2, 1.5, 4.0)),
        Term("start", "plateau", held=start), Term("level", "plateau", held=0.0),
    )  # fmt: skip
    return HalfWay(base.name, base.title, base.equation, base.reference, terms)


def _off(value: Array) -> Array:
    """Away from zero."""
    return np.maximum(value, 1e-12)


def _trapezoid(u: Array) -> Array:
    """Weights of the mean over the abscissae that are doses, ascending in each column; 0 elsewhere."""
    inside = np.abs(u) < FAR
    steps = np.where(inside[1:] & inside[:-1], np.diff(u, axis=0), 0.0)
    weight = np.zeros_like(u)
    weight[1:] += 0.5 * steps
    weight[:-1] += 0.5 * steps
    return np.asarray(weight / np.maximum(steps.sum(axis=0), _TINY))
