"""S-shaped curves in ln concentration: log-logistic with two to five parameters, Weibull, log-normal.

All have a midpoint, so ``ec50`` means the same in every one of them: the concentration
half way between the plateaus.  The share of the upper plateau is ``G(z)`` with
``z = hill_slope * ln(concentration / ec50)`` and ``G(0) = 1/2``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from halfmax.curves.curve import Curve, Named, Shape, Term

__all__ = ["SIGMOIDS", "Form", "Sigmoid"]

Array = NDArray[np.float64]
_LN2 = float(np.log(2.0))


class Form:
    """How the share of the upper plateau rises with z: the log-logistic's, unless a subclass says otherwise."""

    symmetric = True

    def share(self, z: Array, extra: Array) -> Array:  # noqa: ARG002
        """G(z); `extra` holds the rows of further nonlinear parameters."""
        return np.asarray(1.0 / (1.0 + np.exp(-z)))

    def slope(self, z: Array, share: Array, extra: Array) -> Array:  # noqa: ARG002
        """Derivative of G by z."""
        return share * (1.0 - share)

    def by_extra(self, z: Array, share: Array, extra: Array) -> list[Array]:  # noqa: ARG002
        """Derivatives of G by the further parameters."""
        return []

    def inverse(self, share: Array, extra: Array) -> Array:  # noqa: ARG002
        """The z at which G is `share`."""
        return np.asarray(np.log(share) - np.log1p(-share))


class _Richards(Form):
    """G = (1 + (2**(1/f) - 1) exp(-z))**-f."""

    symmetric = False

    def share(self, z: Array, extra: Array) -> Array:
        f = np.exp(extra[0])
        return np.asarray(np.exp(-f * self._log(z, f)))

    def slope(self, z: Array, share: Array, extra: Array) -> Array:
        f = np.exp(extra[0])
        return np.asarray(f * share * -np.expm1(-self._log(z, f)))

    def by_extra(self, z: Array, share: Array, extra: Array) -> list[Array]:
        f = np.exp(extra[0])
        log = self._log(z, f)
        return [share * (_LN2 * np.exp(_LN2 / f - z - log) - f * log)]

    def inverse(self, share: Array, extra: Array) -> Array:
        f = np.exp(extra[0])
        return np.asarray(np.log(np.expm1(_LN2 / f)) - np.log(np.expm1(-np.log(share) / f)))

    @staticmethod
    def _log(z: Array, f: Array) -> Array:
        """ln(1 + (2**(1/f) - 1) exp(-z))."""
        return np.asarray(np.logaddexp(0.0, np.log(np.expm1(_LN2 / f)) - z))


class _Weibull1(Form):
    """G = exp(-ln 2 exp(-z))."""

    symmetric = False

    def share(self, z: Array, extra: Array) -> Array:  # noqa: ARG002
        return np.asarray(np.exp(-_LN2 * np.exp(np.minimum(-z, 700.0))))

    def slope(self, z: Array, share: Array, extra: Array) -> Array:  # noqa: ARG002
        return np.asarray(share * _LN2 * np.exp(np.minimum(-z, 700.0)))

    def inverse(self, share: Array, extra: Array) -> Array:  # noqa: ARG002
        return np.asarray(-np.log(-np.log(share) / _LN2))


class _Weibull2(Form):
    """G = 1 - exp(-ln 2 exp(z))."""

    symmetric = False

    def share(self, z: Array, extra: Array) -> Array:  # noqa: ARG002
        return np.asarray(-np.expm1(-_LN2 * np.exp(np.minimum(z, 700.0))))

    def slope(self, z: Array, share: Array, extra: Array) -> Array:  # noqa: ARG002
        rise = _LN2 * np.exp(np.minimum(z, 700.0))
        return np.asarray(rise * np.exp(-rise))

    def inverse(self, share: Array, extra: Array) -> Array:  # noqa: ARG002
        return np.asarray(np.log(-np.log1p(-share) / _LN2))


class _LogNormal(Form):
    """G = Phi(z), the standard normal distribution."""

    def share(self, z: Array, extra: Array) -> Array:  # noqa: ARG002
        from scipy.special import ndtr

        return np.asarray(ndtr(z))

    def slope(self, z: Array, share: Array, extra: Array) -> Array:  # noqa: ARG002
        return np.asarray(np.exp(-0.5 * np.minimum(z * z, 1400.0)) / np.sqrt(2.0 * np.pi))

    def inverse(self, share: Array, extra: Array) -> Array:  # noqa: ARG002
        from scipy.special import ndtri

        return np.asarray(ndtri(share))


@dataclass(frozen=True)
class Sigmoid(Curve):
    """A curve from one plateau to another; the columns are the shares of the start and of the end.

    Parameters
    ----------
    form : Form
        How the share of the upper plateau rises.
    """

    form: Form = field(default_factory=Form)
    worth: ClassVar[tuple[float, float] | None] = (0.68, 0.83)

    @property
    def oriented(self) -> bool:  # type: ignore[override]
        """Whether rising and falling are two different curves."""
        return not self.form.symmetric

    def names(self, rising: bool) -> tuple[Named, ...]:
        """The upper plateau is ``top``, whichever end of the curve it is."""
        q = self.q
        extra = tuple(Named(term.name, row, "log") for row, term in enumerate(self.terms[2:q], 2))
        top, bottom = (q + 1, q) if rising else (q, q + 1)
        return (
            Named("ec50", 0, "log"), Named("hill_slope", 1, "slope"), *extra,
            Named("top", top, "plain"), Named("bottom", bottom, "plain"),
        )  # fmt: skip

    def rises(self, sign: Array, linear: Array) -> NDArray[np.bool_]:
        """From its plateaus, or where rising and falling are two curves, from which of them it is."""
        return np.asarray(sign > 0 if self.oriented else linear[1] >= linear[0])

    def _rises_outside(self, values: Mapping[str, float]) -> bool:
        return self._value(values, "hill_slope") > 0

    def z(self, u: Array, theta: Array, sign: Array) -> Array:
        """Distance from the midpoint, times the Hill slope."""
        z: Array = u - theta[0]
        z *= np.exp(theta[1]) * sign if self.oriented else np.exp(theta[1])
        return z

    def at(self, u: Array, theta: Array, sign: Array) -> Shape:
        """Shares of the start and of the end; kept for the slopes: z and G."""
        z = self.z(u, theta, sign)
        share = self.form.share(z, theta[2:])
        end = np.where(sign > 0, share, 1.0 - share) if self.oriented else share
        return Shape([1.0 - end, end], [z, share])

    def slopes(self, u: Array, theta: Array, sign: Array, shape: Shape, linear: Array) -> list[Array]:
        """By ln EC50, ln steepness, and what else the curve has."""
        z, share = shape.inner
        span = linear[1] - linear[0]
        by_steepness = self.form.slope(z, share, theta[2:]) * (np.exp(theta[1]) * span)
        by_position = -by_steepness
        by_steepness *= u - theta[0]
        if self.oriented:
            span = span * sign
        return [by_position, by_steepness, *(part * span for part in self.form.by_extra(z, share, theta[2:]))]


_T, _M = Term("ec50", "position"), Term("steepness", "steepness")
_ENDS = (Term("start", "plateau"), Term("end", "plateau"))
_DRC = "Ritz et al. (2015), PLoS ONE 10:e0146021, doi 10.1371/journal.pone.0146021"
_HILL = "bottom + (top - bottom) / (1 + (ec50 / concentration) ** hill_slope)"
_GADDUM = "Gadagkar & Call (2015), J Pharmacol Toxicol Methods 71:68, doi 10.1016/j.vascn.2014.08.006"
_SHARE = "bottom + (top - bottom) * G, z = hill_slope * ln(concentration / ec50), G = "

#: S-shaped curves.
SIGMOIDS: tuple[Sigmoid, ...] = (
    Sigmoid("hill4", "Log-logistic, four parameters", _HILL, _GADDUM, (_T, _M, *_ENDS), page="log-logistic"),
    Sigmoid(
        "hill3", "Log-logistic, three parameters", _HILL + ", bottom = 0", _GADDUM, (_T, _M, *_ENDS),
        held={"bottom": 0.0}, page="log-logistic",
    ),
    Sigmoid(
        "hill2", "Log-logistic, two parameters", _HILL + ", top = 1, bottom = 0", _GADDUM, (_T, _M, *_ENDS),
        held={"top": 1.0, "bottom": 0.0}, page="log-logistic",
    ),
    Sigmoid(
        "hill5", "Log-logistic, five parameters (Richards)",
        _SHARE + "(1 + (2 ** (1 / asymmetry) - 1) * exp(-z)) ** -asymmetry",
        "Richards (1959), J Exp Bot 10:290, doi 10.1093/jxb/10.2.290",
        (_T, _M, Term("asymmetry", "asymmetry"), *_ENDS), page="richards", form=_Richards(),
    ),
    Sigmoid(
        "weibull1", "Weibull, type 1", _SHARE + "exp(-ln 2 * exp(-z))", _DRC, (_T, _M, *_ENDS), page="weibull",
        form=_Weibull1(),
    ),
    Sigmoid(
        "weibull2", "Weibull, type 2", _SHARE + "1 - exp(-ln 2 * exp(z))", _DRC, (_T, _M, *_ENDS), page="weibull",
        form=_Weibull2(),
    ),
    Sigmoid(
        "lognormal", "Log-normal", _SHARE + "Phi(z), the normal distribution",
        "Finney (1971), Probit Analysis, 3rd ed.; " + _DRC, (_T, _M, *_ENDS), page="log-normal", form=_LogNormal(),
    ),
    Sigmoid(
        "gr3", "Growth-rate inhibition", "gr_inf + (1 - gr_inf) / (1 + (concentration / ec50) ** -hill_slope)",
        "Hafner et al. (2016), Nat Methods 13:521, doi 10.1038/nmeth.3853",
        (_T, _M, Term("start", "plateau", held=1.0), Term("end", "plateau")), page="growth-rate-inhibition",
    ),
)  # fmt: skip
