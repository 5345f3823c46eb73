"""A user's own curve: a function with named parameters gets everything that the others have."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfmax.curves.curve import Curve, Named, Shape, Term
from halfmax.errors import RangeError, nearest

__all__ = ["own_curve"]

Array = NDArray[np.float64]
_STEP = float(np.finfo(float).eps ** (1 / 3))
#: Abscissae at which a function is asked whether it is linear.
_PROBES = np.concatenate([np.linspace(0.3, 1.7, 7), np.logspace(-9, 9, 19)])


@dataclass(frozen=True)
class Own(Curve):
    """A curve given as a function; its columns and slopes come from evaluating it."""

    function: Callable[..., Array] = np.asarray
    delicate = True

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
        """Central differences, one-sided at a limit."""
        result = []
        for row, term in enumerate(self.terms[: self.q]):
            step = _STEP * np.maximum(np.abs(theta[row]), self._size(row))
            up, down = theta.copy(), theta.copy()
            up[row] = np.minimum(up[row] + step, np.maximum(term.limits[1], theta[row]))
            down[row] = np.maximum(down[row] - step, np.minimum(term.limits[0], theta[row]))
            result.append((self._call(u, up, linear) - self._call(u, down, linear)) / (up[row] - down[row]))
        return result

    def _size(self, row: int) -> float:
        """Size below which a parameter counts as nothing, judged by its starts; a logarithm is of size one."""
        term = self.terms[row]
        return 1.0 if term.log else 1e-6 * max(map(abs, term.starts)) or 1e-3

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
        Name → (low, high). Those of a linear parameter are given to `fit` as its `bounds`.
    name, reference : str

    Returns
    -------
    Curve
        To be given to `fit` as its model.

    Raises
    ------
    RangeError
        If a parameter has no start, is not one of the function's, or is said to be
        linear where the function is not; if a start lies outside the limits.

    Examples
    --------
    >>> import numpy as np
    >>> decay = own_curve(lambda x, a, k: a * np.exp(-k * x), starts={"k": 1.0}, linear=["a"], positive=["k"])
    >>> decay.parameters
    ('k', 'a')
    """
    title = name or getattr(function, "__name__", "own curve")
    bounds = limits or {}
    known = list(inspect.signature(function).parameters)[1:]
    _check_names(title, known, (*starts, *linear, *positive, *bounds))
    for key in linear:
        if key in bounds or key in positive:
            raise RangeError(
                f'{title}: "{key}" is linear, so it can be neither positive nor limited here. Give limits to fit: '
                f'bounds={{"{key}": (low, high)}}; or give it a start instead.'
            )
    terms = [_term(title, key, starts, key in positive, bounds.get(key)) for key in known if key not in linear]
    terms += [Term(key, "linear") for key in known if key in linear]
    curve = Own(
        title, title, inspect.cleandoc(function.__doc__ or "given as a function"), reference,
        (*terms, Term("rest", "linear", held=1.0)), logarithmic=False, page="own", function=function,
    )  # fmt: skip
    _check_linear(curve)
    return curve


def _check_names(title: str, known: list[str], wanted: Sequence[str]) -> None:
    if not known:
        raise RangeError(f"{title}: the function needs the abscissa and at least one parameter, such as f(x, a, b).")
    for key in wanted:
        if key not in known:
            raise RangeError(f'{title}: "{key}" is no parameter of the function. {nearest(key, known)}')


def _term(
    title: str,
    key: str,
    starts: Mapping[str, float | Sequence[float]],
    positive: bool,
    limits: tuple[float, float] | None,
) -> Term:
    """A nonlinear parameter with its starts and limits, inside."""
    if key not in starts:
        raise RangeError(f'{title}: parameter "{key}" needs a start value, or to be named as linear.')
    values = np.atleast_1d(np.asarray(starts[key], dtype=float))
    low, high = limits or (-np.inf, np.inf)
    if not low < high:
        raise RangeError(f'{title}: limits of "{key}" must be (low, high), found ({low:g}, {high:g}).')
    if not (np.isfinite(values) & (values >= low) & (values <= high)).all():
        shown = ", ".join(f"{value:g}" for value in values)
        raise RangeError(f'{title}: the start of "{key}" must lie within ({low:g}, {high:g}), found {shown}.')
    if positive:
        if not (values > 0).all():
            raise RangeError(f'{title}: the start of "{key}" must be positive, found {values.min():g}.')
        low, high = (float(np.log(low)) if low > 0 else -np.inf), float(np.log(high))
        values = np.log(values)
    return Term(key, "log" if positive else "plain", limits=(low, high), starts=tuple(values.tolist()))


def _check_linear(curve: Own) -> None:
    """What several linear parameters add must be the sum of what each adds alone."""
    names = [term.name for term in curve.terms[curve.q : -1]]
    if not names:
        return
    u = _PROBES[:, None]
    theta = np.array([[term.starts[0]] for term in curve.terms[: curve.q]]).reshape(-1, 1)
    columns = np.stack(curve.at(u, theta, np.ones(1)).columns)
    for weights in (np.linspace(0.7, 1.9, len(names)), np.linspace(-1.3, -2.9, len(names))):
        direct = curve._call(u, theta, np.append(weights, 1.0))
        parts = columns * np.append(weights, 1.0)[:, None, None]
        finite = np.isfinite(direct)
        wrong = ~(np.abs(direct - parts.sum(axis=0)) <= 1e-9 * np.abs(parts).sum(axis=0))
        if (wrong & finite).any():
            raise RangeError(
                f"{curve.name}: the function is not linear in {', '.join(names)}. Give them starts instead."
            )
