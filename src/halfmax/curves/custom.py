"""A user's own curve: a function with named parameters gets everything that the others have."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfmax.curves.curve import Curve, Named, Shape, Term
from halfmax.errors import RangeError

__all__ = ["own_curve"]

Array = NDArray[np.float64]
_STEP = float(np.finfo(float).eps ** (1 / 3))


@dataclass(frozen=True)
class Own(Curve):
    """A curve given as a function; its columns and slopes come from evaluating it."""

    function: Callable[..., Array] = np.asarray
    flattens = False

    def names(self, rising: bool) -> tuple[Named, ...]:
        """The function's parameters."""
        return super().names(rising)[:-1]

    def at(self, u: Array, theta: Array, sign: Array) -> Shape:  # noqa: ARG002
        """One column for each linear parameter, and what does not depend on them as the last."""
        p = self.p
        rest = self._call(u, theta, np.zeros(p))
        columns = [self._call(u, theta, np.eye(p)[k]) - rest for k in range(p - 1)]
        return Shape([*columns, rest])

    def slopes(self, u: Array, theta: Array, sign: Array, shape: Shape, linear: Array) -> list[Array]:  # noqa: ARG002
        """Central differences."""
        result = []
        for row in range(theta.shape[0]):
            step = _STEP * np.maximum(np.abs(theta[row]), 1e-3)
            up, down = theta.copy(), theta.copy()
            up[row] += step
            down[row] -= step
            result.append((self._call(u, up, linear) - self._call(u, down, linear)) / (up[row] - down[row]))
        return result

    def _call(self, u: Array, theta: Array, linear: Array) -> Array:
        """The function at inside values; the last linear one is the constant 1 of what is left."""
        values = {t.name: np.exp(v) if t.log else v for t, v in zip(self.terms, theta, strict=False)}
        values |= {t.name: v for t, v in zip(self.terms[self.q : -1], linear, strict=False)}
        with np.errstate(all="ignore"):
            return np.array(np.broadcast_to(self.function(u, **values), u.shape), dtype=float)


def own_curve(
    function: Callable[..., Array],
    *,
    starts: Mapping[str, float | Sequence[float]],
    linear: Sequence[str] = (),
    positive: Sequence[str] = (),
    limits: Mapping[str, tuple[float, float]] | None = None,
    name: str = "",
    reference: str = "–",
) -> Curve:
    """A curve from a function ``f(x, a, b, …)`` of the abscissa and named parameters.

    Parameters
    ----------
    function : callable
        Of an array and of parameters that may be arrays too: NumPy arithmetic, no `if`.
    starts : mapping
        Where the search for each parameter begins: one value or several. Linear ones need none.
    linear : sequence of str
        Parameters in which the function is linear, all together: they are solved for exactly.
    positive : sequence of str
        Parameters that are estimated on their logarithm.
    limits : mapping, optional
        Name → (low, high).
    name, reference : str

    Returns
    -------
    Curve
        To be given to `fit` as its model.

    Raises
    ------
    RangeError
        If a parameter has no start, is not one of the function's, or is said to be
        linear where the function is not.

    Examples
    --------
    >>> import numpy as np
    >>> decay = own_curve(lambda x, a, k: a * np.exp(-k * x), starts={"k": 1.0}, linear=["a"], positive=["k"])
    >>> decay.parameters
    ('k', 'a')
    """
    title = name or getattr(function, "__name__", "own curve")
    known = list(inspect.signature(function).parameters)[1:]
    for wanted in (*starts, *linear, *positive, *(limits or {})):
        if wanted not in known:
            raise RangeError(f'{title}: "{wanted}" is no parameter of the function. It has: {", ".join(known)}.')
    terms = [_term(title, key, starts, key in positive, (limits or {}).get(key)) for key in known if key not in linear]
    terms += [Term(key, "linear") for key in known if key in linear]
    curve = Own(
        title, title, inspect.cleandoc(function.__doc__ or "given as a function"), reference,
        (*terms, Term("rest", "linear", held=1.0)), logarithmic=False, function=function,
    )  # fmt: skip
    _check_linear(curve)
    return curve


def _term(
    title: str,
    key: str,
    starts: Mapping[str, float | Sequence[float]],
    positive: bool,
    limits: tuple[float, float] | None,
) -> Term:
    if key not in starts:
        raise RangeError(f'{title}: parameter "{key}" needs a start value, or to be named as linear.')
    values = np.atleast_1d(np.asarray(starts[key], dtype=float))
    low, high = limits or (-np.inf, np.inf)
    if positive:
        if not (values > 0).all():
            raise RangeError(f'{title}: the start of "{key}" must be positive, found {values.min():g}.')
        low, high = (float(np.log(low)) if low > 0 else -np.inf), float(np.log(high))
        values = np.log(values)
    return Term(key, "log" if positive else "plain", limits=(low, high), starts=tuple(values.tolist()))


def _check_linear(curve: Own) -> None:
    """The linear parameters must be linear together: doubling them all doubles what they add."""
    if curve.p == 1:
        return
    u = np.linspace(0.3, 1.7, 7)[:, None]
    theta = np.array([[term.starts[0]] for term in curve.terms[: curve.q]])
    weights = np.linspace(0.7, 1.9, curve.p - 1)
    rest, once, twice = (curve._call(u, theta, factor * weights) for factor in (0.0, 1.0, 2.0))
    finite = np.isfinite(rest) & np.isfinite(once) & np.isfinite(twice)
    scale = np.abs(once[finite]) + np.abs(rest[finite])
    if (np.abs(twice - 2 * once + rest)[finite] > 1e-9 * scale).any():
        names = ", ".join(term.name for term in curve.terms[curve.q : -1])
        raise RangeError(f"{curve.name}: the function is not linear in {names}. Give them starts instead.")
