"""Binding at equilibrium: one site and two, with and without ligand depletion, alone and in competition.

Concentrations are in M, and arrays broadcast.  *Depletion* means that so much of a ligand is
bound that what is free is less than what was added; the functions that take it into account
take what was added (and the sites in M), the others take what is free.  The roots are computed
in forms that lose no digits, from 1e-13 to 1e-2 M.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.errors import RangeError

__all__ = [
    "bound_competition",
    "bound_depleted",
    "bound_homologous",
    "bound_sites",
    "cheng_prusoff",
    "competition_ic50",
    "free_receptor",
    "occupancy",
    "occupancy_competition",
    "scatchard",
    "total_binding",
    "total_depleted",
]

Array = NDArray[np.float64]
#: More turns than Newton's way to any of the roots takes.
_TURNS = 200
_TINY = float(np.finfo(float).tiny)


def occupancy(ligand: ArrayLike, *, kd: ArrayLike, hill_slope: ArrayLike = 1.0) -> Array:
    """Share of the sites that hold a ligand::

        occupancy = ligand**hill_slope / (ligand**hill_slope + kd**hill_slope)

    Parameters
    ----------
    ligand : array, M
        Free ligand, >= 0.
    kd : array, M
        Dissociation constant, > 0; with a Hill slope, the concentration that fills half the sites.
    hill_slope : array
        1 for independent sites.

    Returns
    -------
    array, 0 … 1

    Raises
    ------
    RangeError
        If a concentration is negative, or `kd` is not positive.

    Examples
    --------
    >>> occupancy([0.0, 2e-9], kd=2e-9).tolist()
    [0.0, 0.5]
    """
    with np.errstate(divide="ignore", over="ignore"):
        ratio = _constant("kd", kd) / _amount("ligand", ligand)
        return np.asarray(1.0 / (1.0 + ratio ** np.asarray(hill_slope, dtype=float)), dtype=float)


def occupancy_competition(ligand: ArrayLike, competitor: ArrayLike, *, kd: ArrayLike, ki: ArrayLike) -> Array:
    """Share of the sites that hold a ligand beside a competitor, both in excess (Gaddum)::

        occupancy = ligand / (ligand + kd * (1 + competitor / ki))

    Parameters
    ----------
    ligand, competitor : array, M
        Free, >= 0.
    kd, ki : array, M
        Dissociation constants, > 0.

    Returns
    -------
    array, 0 … 1

    Examples
    --------
    >>> float(occupancy_competition(1e-9, 3e-9, kd=1e-9, ki=1.5e-9))
    0.25
    """
    free, other = _amount("ligand", ligand), _amount("competitor", competitor)
    return np.asarray(free / (free + _constant("kd", kd) * (1.0 + other / _constant("ki", ki))), dtype=float)


def total_binding(
    ligand: ArrayLike,
    *,
    kd: ArrayLike,
    bmax: ArrayLike,
    nsb: ArrayLike = 0.0,
    background: ArrayLike = 0.0,
    hill_slope: ArrayLike = 1.0,
) -> Array:
    """Specific and non-specific binding of a radioligand in excess::

        total = bmax * occupancy + nsb * ligand + background

    Parameters
    ----------
    ligand : array, M
        Free radioligand, >= 0.
    kd : array, M
    bmax, background : array, unit of the response
    nsb : array, unit of the response per M
        Non-specific binding for each M of free radioligand.
    hill_slope : array

    Returns
    -------
    array, unit of the response

    Examples
    --------
    >>> float(total_binding(2e-9, kd=2e-9, bmax=1000, nsb=5e9, background=3))
    513.0
    """
    shares = occupancy(ligand, kd=kd, hill_slope=hill_slope)
    parts = np.asarray(bmax) * shares + np.asarray(nsb) * np.asarray(ligand, dtype=float)
    return np.asarray(parts + np.asarray(background), dtype=float)


def bound_depleted(ligand: ArrayLike, *, receptor: ArrayLike, kd: ArrayLike) -> Array:
    """Ligand bound to one kind of site, where what is bound is missing from what is free.

    The smaller root of ``(receptor - b) * (ligand - b) = kd * b``, as a sum of positive terms::

        b = 2 * receptor * ligand / (s + sqrt((receptor - ligand)**2 + kd * (kd + 2 * (receptor + ligand))))
        s = receptor + ligand + kd

    Parameters
    ----------
    ligand, receptor : array, M
        Added in all, >= 0.
    kd : array, M
        Dissociation constant, > 0.

    Returns
    -------
    array, M

    References
    ----------
    .. [1] Morrison (1969), Biochim Biophys Acta 185:269, doi 10.1016/0005-2744(69)90420-3.

    Examples
    --------
    >>> float(bound_depleted(3e-9, receptor=2e-9, kd=2e-9))
    1e-09
    """
    a, r, k = _amount("ligand", ligand), _amount("receptor", receptor), _constant("kd", kd)
    root = np.sqrt((r - a) ** 2 + k * (k + 2.0 * (r + a)))
    return np.asarray(2.0 * r * a / (r + a + k + root), dtype=float)


def total_depleted(
    ligand: ArrayLike, *, kd: ArrayLike, bmax: ArrayLike, nsb: ArrayLike = 0.0, background: ArrayLike = 0.0
) -> Array:
    """Specific and non-specific binding, where both are missing from what is free::

        specific = bound_depleted(ligand, receptor=bmax, kd=kd * (1 + nsb))
        total = specific + nsb * (ligand - specific) / (1 + nsb) + background

    Parameters
    ----------
    ligand : array, M
        Radioligand added.
    kd, bmax, background : array, M
    nsb : array
        M bound non-specifically for each M that is free.

    Returns
    -------
    array, M

    References
    ----------
    .. [1] Swillens (1995), Mol Pharmacol 47:1197.

    Examples
    --------
    >>> round(float(total_depleted(3.5e-9, kd=2e-9, bmax=2e-9, nsb=0.25)) / 1e-9, 12)
    1.5
    """
    added, share = _amount("ligand", ligand), np.asarray(nsb, dtype=float)
    specific = bound_depleted(added, receptor=bmax, kd=np.asarray(kd, dtype=float) * (1.0 + share))
    return np.asarray(specific + share * (added - specific) / (1.0 + share) + np.asarray(background), dtype=float)


def free_receptor(
    ligand: ArrayLike, competitor: ArrayLike, *, receptor: ArrayLike, kd: ArrayLike, ki: ArrayLike
) -> Array:
    """Sites left empty by two ligands that compete, both depleted: the root of Wang's exact cubic [1]_.

    The root of the balance of the sites::

        free + ligand * free / (kd + free) + competitor * free / (ki + free) = receptor

    begins with Wang's trigonometric formula, which loses its digits where little is free; Newton
    steps on the balance give them back. It is concave, so that they climb to the root from below.

    Parameters
    ----------
    ligand, competitor, receptor : array, M
        Added in all, >= 0.
    kd, ki : array, M
        Dissociation constants of ligand and competitor, > 0.

    Returns
    -------
    array, M

    References
    ----------
    .. [1] Wang (1995), FEBS Lett 360:111, doi 10.1016/0014-5793(95)00062-E.

    Examples
    --------
    >>> round(float(free_receptor(3e-9, 4e-9, receptor=3e-9, kd=2e-9, ki=3e-9)) / 1e-9, 12)
    1.0
    """
    amounts = _amount("ligand", ligand), _amount("competitor", competitor), _amount("receptor", receptor)
    a, b, r, k, i = np.broadcast_arrays(*amounts, _constant("kd", kd), _constant("ki", ki))
    least = np.maximum(r / (1.0 + a / k + b / i), r - a - b)
    free = np.clip(_trigonometric(a, b, r, k, i), least, r)
    for _ in range(_TURNS):
        better = np.clip(free - _imbalance(free, a, b, r, k, i), least, r)
        settled = np.abs(better - free) <= 4.0 * np.finfo(float).eps * better
        free = better
        if settled.all():
            break
    return np.asarray(free, dtype=float)


def _trigonometric(a: Array, b: Array, r: Array, k: Array, i: Array) -> Array:
    """Wang's formula, in units of the largest concentration."""
    unit = np.max([a, b, r, k, i], axis=0)
    a, b, r, k, i = (part / unit for part in (a, b, r, k, i))
    square = k + i + a + b - r
    line = i * (a - r) + k * (b - r) + k * i
    spread = np.sqrt(np.maximum(square**2 - 3.0 * line, _TINY))
    cosine = (-2.0 * square**3 + 9.0 * square * line + 27.0 * k * i * r) / (2.0 * spread**3)
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    return np.asarray(unit * (2.0 * spread * np.cos(angle / 3.0) - square) / 3.0)


def _imbalance(free: Array, a: Array, b: Array, r: Array, k: Array, i: Array) -> Array:
    """Newton's step: what is too much, over its slope.

    A ligand that is mostly bound enters by what is not, so that near equivalence small numbers are subtracted.
    """
    rest, terms, slope = r.copy(), free.copy(), np.ones_like(free)
    larger = a >= b
    for amount, constant in (
        (np.where(larger, a, b), np.where(larger, k, i)),
        (np.where(larger, b, a), np.where(larger, i, k)),
    ):
        bound = free > constant
        rest = rest - np.where(bound, amount, 0.0)
        terms = terms + amount * np.where(bound, -constant, free) / (constant + free)
        slope = slope + amount * constant / (constant + free) ** 2
    return np.asarray((terms - rest) / slope)


def bound_competition(
    ligand: ArrayLike, competitor: ArrayLike, *, receptor: ArrayLike, kd: ArrayLike, ki: ArrayLike
) -> Array:
    """Ligand bound beside a competitor, both depleted::

        bound = ligand * free / (kd + free),   free = free_receptor(…)

    Parameters
    ----------
    ligand, competitor, receptor : array, M
        Added in all, >= 0.
    kd, ki : array, M

    Returns
    -------
    array, M
        That of the competitor comes with the two exchanged.

    References
    ----------
    .. [1] Wang (1995), FEBS Lett 360:111, doi 10.1016/0014-5793(95)00062-E.

    Examples
    --------
    >>> round(float(bound_competition(3e-9, 4e-9, receptor=3e-9, kd=2e-9, ki=3e-9)) / 1e-9, 12)
    1.0
    """
    free = free_receptor(ligand, competitor, receptor=receptor, kd=kd, ki=ki)
    return np.asarray(np.asarray(ligand) * free / (np.asarray(kd) + free), dtype=float)


def bound_homologous(hot: ArrayLike, cold: ArrayLike, *, receptor: ArrayLike, kd: ArrayLike) -> Array:
    """Labelled ligand bound beside the same ligand without label, depleted::

        bound = hot / (hot + cold) * bound_depleted(hot + cold)

    Parameters
    ----------
    hot, cold, receptor : array, M
        Added in all, >= 0.
    kd : array, M

    Returns
    -------
    array, M

    References
    ----------
    .. [1] Swillens (1995), Mol Pharmacol 47:1197.

    Examples
    --------
    >>> round(float(bound_homologous(1e-9, 2e-9, receptor=2e-9, kd=2e-9)) / 1e-9, 4)
    0.3333
    """
    labelled, both = _amount("hot", hot), _amount("hot", hot) + _amount("cold", cold)
    share = labelled / np.where(both > 0, both, 1.0)
    return np.asarray(share * bound_depleted(both, receptor=receptor, kd=kd), dtype=float)


def bound_sites(
    ligand: ArrayLike,
    competitor: ArrayLike = 0.0,
    *,
    receptor_first: ArrayLike,
    receptor_second: ArrayLike,
    kd_first: ArrayLike,
    kd_second: ArrayLike,
    ki_first: ArrayLike = 1.0,
    ki_second: ArrayLike = 1.0,
) -> Array:
    """Ligand bound to two kinds of site beside a competitor, both depleted.

    There is no closed form. The logarithms of the two free concentrations are the minimum of a
    convex function, whose slopes are the two balances; damped Newton steps lead there.

    Parameters
    ----------
    ligand, competitor, receptor_first, receptor_second : array, M
        Added in all, >= 0.
    kd_first, kd_second, ki_first, ki_second : array, M
        Dissociation constants of ligand and competitor, > 0.

    Returns
    -------
    array, M

    Examples
    --------
    >>> bound = bound_sites(3e-9, receptor_first=2e-9, receptor_second=4e-9, kd_first=1e-9, kd_second=3e-9)
    >>> round(float(bound) / 1e-9, 12)
    2.0
    """
    sites = [
        (_amount("receptor", r), _constant("kd", k), _constant("ki", i))
        for r, k, i in ((receptor_first, kd_first, ki_first), (receptor_second, kd_second, ki_second))
    ]
    flat = [part for site in sites for part in site]
    a, b, *parts = np.broadcast_arrays(_amount("ligand", ligand), _amount("competitor", competitor), *flat)
    a, b, first, second = np.maximum(a, _TINY), np.maximum(b, _TINY), parts[:3], parts[3:]
    x, y = np.log(a), np.log(b)
    for _ in range(_TURNS):
        step = _newton(x, y, (a, b), (first, second))
        # Where one ligand is nearly all bound its logarithm falls by about one a step, and a longer one overshoots.
        x, y = (at + np.clip(by, -2.0, 2.0) for at, by in zip((x, y), step, strict=True))
        if np.abs(step).max(initial=0.0) < 1e-9:  # the next step would be its square
            break
    free, other = np.exp(x), np.exp(y)
    return np.asarray(sum(r * (free / k) / (1.0 + free / k + other / i) for r, k, i in (first, second)), dtype=float)


def _newton(
    x: Array, y: Array, added: tuple[Array, Array], sites: tuple[list[Array], list[Array]]
) -> tuple[Array, Array]:
    """Newton step of the logarithms of the free ligand and competitor, the balances in units of what was added."""
    free, other = np.exp(x), np.exp(y)
    over, other_over, xx, yy, cross = free - added[0], other - added[1], free, other, np.zeros_like(free)
    for receptor, kd, ki in sites:
        whole = 1.0 + free / kd + other / ki
        one, two = (free / kd) / whole, (other / ki) / whole
        over, other_over = over + receptor * one, other_over + receptor * two
        xx, yy = xx + receptor * one * (1.0 - one), yy + receptor * two * (1.0 - two)
        cross = cross - receptor * one * two
    over, xx, up = over / added[0], xx / added[0], cross / added[0]
    other_over, yy, down = other_over / added[1], yy / added[1], cross / added[1]
    size = xx * yy - up * down
    return (up * other_over - yy * over) / size, (down * over - xx * other_over) / size


def cheng_prusoff(ic50: ArrayLike, *, radioligand: ArrayLike, kd: ArrayLike) -> Array:
    """Ki of a competitor from its IC50, no ligand being depleted::

        ki = ic50 / (1 + radioligand / kd)

    Parameters
    ----------
    ic50, radioligand, kd : array, M

    Returns
    -------
    array, M

    References
    ----------
    .. [1] Cheng & Prusoff (1973), Biochem Pharmacol 22:3099, doi 10.1016/0006-2952(73)90196-2.

    Examples
    --------
    >>> float(cheng_prusoff(4e-9, radioligand=1e-9, kd=1e-9))
    2e-09
    """
    divisor = 1.0 + _amount("radioligand", radioligand) / _constant("kd", kd)
    return np.asarray(np.asarray(ic50, dtype=float) / divisor, dtype=float)


def competition_ic50(ki: ArrayLike, *, radioligand: ArrayLike, kd: ArrayLike) -> Array:
    """IC50 of a competitor from its Ki, no ligand being depleted: the inverse of `cheng_prusoff`.

    Examples
    --------
    >>> float(competition_ic50(2e-9, radioligand=1e-9, kd=1e-9))
    4e-09
    """
    factor = 1.0 + _amount("radioligand", radioligand) / _constant("kd", kd)
    return np.asarray(np.asarray(ki, dtype=float) * factor, dtype=float)


def scatchard(bound: ArrayLike, free: ArrayLike) -> tuple[Array, Array]:
    """Bound, and bound over free: a Scatchard plot, for the eye only.

    Both axes hold the error of `bound`, so a line through the points is no fit; a curve of the
    right constants may be drawn through them [1]_.

    Parameters
    ----------
    bound : array
        Specific binding; negative values are kept.
    free : array, M
        > 0; where it is not, the ratio is NaN.

    Returns
    -------
    bound, ratio : array

    References
    ----------
    .. [1] Scatchard (1949), Ann N Y Acad Sci 51:660, doi 10.1111/j.1749-6632.1949.tb27297.x.

    Examples
    --------
    >>> [column.tolist() for column in scatchard([2.0, 3.0], [1.0, 2.0])]
    [[2.0, 3.0], [2.0, 1.5]]
    """
    y, x = np.broadcast_arrays(np.asarray(bound, dtype=float), np.asarray(free, dtype=float))
    return y.copy(), np.asarray(np.where(x > 0, y / np.where(x > 0, x, 1.0), np.nan), dtype=float)


def _amount(name: str, value: ArrayLike) -> Array:
    amount = np.asarray(value, dtype=float)
    if (amount < 0).any():
        raise RangeError(f"{name} must be >= 0 M, found {amount.min():g}.")
    return amount


def _constant(name: str, value: ArrayLike) -> Array:
    constant = np.asarray(value, dtype=float)
    if (constant <= 0).any():
        raise RangeError(f"{name} must be > 0 M, found {constant.min():g}.")
    return constant
