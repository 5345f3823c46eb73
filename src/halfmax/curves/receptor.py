"""Receptor theory: from concentrations of agonists, antagonists and irreversible ligands to a response.

Pure functions of named parameters.  Concentrations and dissociation constants are in M, times
in s, rates in 1/s; arrays broadcast.  Two layers: occupancy gives a stimulus S between 0 and 1
(or a little more, with an agonist that has more efficacy than the reference), and one operational
layer turns the stimulus into a response::

    response = basal + (em - basal) * (tau * S)^n / (1 + (tau * S)^n)

`em` is the greatest response of the system, not of a ligand; `basal` is the response without any
stimulus; `tau` is the transducer ratio and n the `transducer_slope`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.curves.hill import fraction
from halfmax.errors import RangeError

__all__ = [
    "effect",
    "equiactive",
    "gaddum",
    "ic50_from_kb",
    "kb_from_ic50",
    "operational",
    "operational_hill",
    "operational_hill_shape",
    "operational_shape",
    "receptors_left",
    "response_after_inactivation",
    "response_after_pretreatment",
    "response_of_two",
    "response_together",
]

Array = NDArray[np.float64]


def gaddum(
    concentration: ArrayLike,
    antagonist: ArrayLike,
    *,
    ec50: ArrayLike,
    pa2: ArrayLike,
    schild_slope: ArrayLike = 1.0,
    hill_slope: ArrayLike = 1.0,
    emax: ArrayLike = 1.0,
    basal: ArrayLike = 0.0,
) -> Array:
    """Response to an agonist beside a competitive antagonist (Gaddum and Schild).

    The antagonist multiplies the agonist's EC50 by the dose ratio::

        dose ratio = 1 + (B / 10^-pa2)^schild_slope
        response   = basal + (emax - basal) / (1 + (ec50 * dose ratio / A)^hill_slope)

    Where the Schild slope is 1, ``10^-pa2`` is the dissociation constant `kb` of the antagonist.

    Parameters
    ----------
    concentration, antagonist : array, M
        Agonist A and antagonist B, >= 0.
    ec50 : array, M
        Of the agonist alone.
    pa2 : array
        -log10 of the antagonist concentration (M) that doubles the EC50.
    schild_slope, hill_slope : array
        > 0.
    emax, basal : array, unit of the response
        At endless agonist, and without any.

    Returns
    -------
    array, unit of the response

    Raises
    ------
    RangeError
        If a concentration is negative.

    References
    ----------
    .. [1] Gaddum (1937), J Physiol 89:7P.
    .. [2] Arunlakshana & Schild (1959), Br J Pharmacol 14:48, doi 10.1111/j.1476-5381.1959.tb00928.x.

    Examples
    --------
    >>> float(gaddum(2e-8, 1e-7, ec50=1e-8, pa2=7.0))
    0.5
    """
    a, b = _concentrations(agonist=concentration, antagonist=antagonist)
    with np.errstate(over="ignore"):
        ratio = 1.0 + (b * 10.0 ** np.asarray(pa2, dtype=float)) ** np.asarray(schild_slope, dtype=float)
        return _between(basal, emax, fraction(a, ec50=np.asarray(ec50, dtype=float) * ratio, hill_slope=hill_slope))


def kb_from_ic50(ic50: ArrayLike, agonist: ArrayLike, *, ec50: ArrayLike, hill_slope: ArrayLike = 1.0) -> Array:
    """Dissociation constant of a competitive antagonist from its IC50 against one agonist concentration.

    ::

        kb = ic50 / ((2 + (A / ec50)^hill_slope)^(1 / hill_slope) - 1)

    For a Hill slope of 1 this is Cheng and Prusoff's equation. In other cases theirs is wrong.

    Parameters
    ----------
    ic50 : array, M
        Antagonist that halves the agonist's effect.
    agonist : array, M
        Concentration of the agonist that was there, >= 0.
    ec50 : array, M
        Of the agonist alone.
    hill_slope : array
        Of the agonist alone, > 0.

    Returns
    -------
    array, M

    References
    ----------
    .. [1] Leff & Dougall (1993), Trends Pharmacol Sci 14:110, doi 10.1016/0165-6147(93)90080-4.
    .. [2] Cheng & Prusoff (1973), Biochem Pharmacol 22:3099, doi 10.1016/0006-2952(73)90196-2.

    Examples
    --------
    >>> float(kb_from_ic50(4e-8, 3e-8, ec50=1e-8))
    1e-08
    """
    return np.asarray(ic50, dtype=float) / _shift(agonist, ec50, hill_slope)


def ic50_from_kb(kb: ArrayLike, agonist: ArrayLike, *, ec50: ArrayLike, hill_slope: ArrayLike = 1.0) -> Array:
    """IC50 of a competitive antagonist against one agonist concentration: the inverse of `kb_from_ic50`."""
    return np.asarray(kb, dtype=float) * _shift(agonist, ec50, hill_slope)


def _shift(agonist: ArrayLike, ec50: ArrayLike, hill_slope: ArrayLike) -> Array:
    """IC50 over KB."""
    (a,) = _concentrations(agonist=agonist)
    n = np.asarray(hill_slope, dtype=float)
    return np.asarray((2.0 + (a / np.asarray(ec50, dtype=float)) ** n) ** (1.0 / n) - 1.0, dtype=float)


def effect(
    stimulus: ArrayLike,
    *,
    tau: ArrayLike,
    em: ArrayLike = 1.0,
    transducer_slope: ArrayLike = 1.0,
    basal: ArrayLike = 0.0,
) -> Array:
    """Response to a stimulus: the operational layer that all models of this module share.

    ::

        response = basal + (em - basal) * (tau * S)^n / (1 + (tau * S)^n)

    Parameters
    ----------
    stimulus : array
        Efficacy-weighted fraction of the receptors, >= 0; 1 where the reference agonist holds them all.
    tau : array
        Transducer ratio of the reference agonist, > 0.
    em, basal : array, unit of the response
        Greatest response of the system, and that without any stimulus.
    transducer_slope : array
        n, > 0.

    Returns
    -------
    array, unit of the response

    References
    ----------
    .. [1] Black & Leff (1983), Proc R Soc Lond B 220:141, doi 10.1098/rspb.1983.0093.

    Examples
    --------
    >>> float(effect(0.5, tau=2.0))
    0.5
    """
    whole = np.asarray(tau, dtype=float) * np.asarray(stimulus, dtype=float)
    return _between(basal, em, fraction(whole, ec50=1.0, hill_slope=transducer_slope))


def operational(
    concentration: ArrayLike,
    *,
    tau: ArrayLike,
    ka: ArrayLike,
    em: ArrayLike = 1.0,
    transducer_slope: ArrayLike = 1.0,
    basal: ArrayLike = 0.0,
) -> Array:
    """Operational model of agonism (Black and Leff).

    ::

        response = basal + (em - basal) * (tau * A)^n / ((A + ka)^n + (tau * A)^n)

    Parameters
    ----------
    concentration : array, M
        Agonist A, >= 0.
    tau : array
        Transducer ratio, > 0.
    ka : array, M
        Dissociation constant of agonist and receptor, > 0.
    em, basal : array, unit of the response
        Greatest response of the system, and that without agonist.
    transducer_slope : array
        n, > 0.

    Returns
    -------
    array, unit of the response

    Raises
    ------
    RangeError
        If a concentration is negative.

    References
    ----------
    .. [1] Black & Leff (1983), Proc R Soc Lond B 220:141, doi 10.1098/rspb.1983.0093.

    Examples
    --------
    >>> float(operational(1e-6, tau=2.0, ka=1e-6))
    0.5
    """
    (a,) = _concentrations(agonist=concentration)
    stimulus = a / (a + np.asarray(ka, dtype=float))
    return effect(stimulus, tau=tau, em=em, transducer_slope=transducer_slope, basal=basal)


def operational_hill(
    concentration: ArrayLike,
    *,
    tau: ArrayLike,
    ka: ArrayLike,
    em: ArrayLike = 1.0,
    hill_slope: ArrayLike = 1.0,
    basal: ArrayLike = 0.0,
) -> Array:
    """Operational model on a Hill equation: the exponent is on the concentration, and the efficacy has none.

    ::

        response = basal + (em - basal) * tau * A^n / (ka^n + (1 + tau) * A^n)

    A Hill curve for any `tau` (`operational_hill_shape`); `operational` is one only where n is 1.
    It is preferred [1]_ where curves differ in slope: exponentiation of `tau` breaks the relations
    between tau, KA, EC50 and Emax, and its fits to curves with known answers gave worse estimates.

    Parameters
    ----------
    concentration : array, M
        Agonist A, >= 0.
    tau : array
        Transducer ratio, > 0.
    ka : array, M
        Concentration that gives half of the greatest stimulus, > 0.
    em, basal : array, unit of the response
        Greatest response of the system, and that without agonist.
    hill_slope : array
        n, > 0.

    Returns
    -------
    array, unit of the response

    Raises
    ------
    RangeError
        If a concentration is negative.

    References
    ----------
    .. [1] Randáková, Nelic & Jakubík (2023), Sci Rep 13:17366, doi 10.1038/s41598-023-45004-7.

    Examples
    --------
    >>> float(operational_hill(1e-6, tau=2.0, ka=1e-6, hill_slope=3.0))
    0.5
    """
    (a,) = _concentrations(agonist=concentration)
    return effect(fraction(a, ec50=ka, hill_slope=hill_slope), tau=tau, em=em, basal=basal)


def operational_shape(
    *,
    tau: ArrayLike,
    ka: ArrayLike,
    em: ArrayLike = 1.0,
    transducer_slope: ArrayLike = 1.0,
    basal: ArrayLike = 0.0,
) -> tuple[Array, Array]:
    """EC50 and Emax of a curve of `operational`.

    ::

        emax = basal + (em - basal) * tau^n / (1 + tau^n)
        ec50 = ka / ((2 + tau^n)^(1/n) - 1)

    Two numbers from three (`em`, `tau`, `ka`): one curve cannot tell these apart. The EC50 of a
    weak agonist tends to ``ka / (2^(1/n) - 1)``, which is `ka` only where n is 1: above it where
    n is greater, below it where n is less.

    Returns
    -------
    ec50, emax : array, M and unit of the response

    References
    ----------
    .. [1] Black & Leff (1983), Proc R Soc Lond B 220:141, doi 10.1098/rspb.1983.0093.

    Examples
    --------
    >>> ec50, emax = operational_shape(tau=9.0, ka=1e-6)
    >>> float(ec50), round(float(emax), 6)
    (1e-07, 0.9)
    """
    n = np.asarray(transducer_slope, dtype=float)
    ec50 = np.asarray(ka, dtype=float) / ((2.0 + np.asarray(tau, dtype=float) ** n) ** (1.0 / n) - 1.0)
    return ec50, effect(1.0, tau=tau, em=em, transducer_slope=n, basal=basal)


def operational_hill_shape(
    *,
    tau: ArrayLike,
    ka: ArrayLike,
    em: ArrayLike = 1.0,
    hill_slope: ArrayLike = 1.0,
    basal: ArrayLike = 0.0,
) -> tuple[Array, Array]:
    """EC50 and Emax of a curve of `operational_hill`.

    ::

        emax = basal + (em - basal) * tau / (1 + tau)
        ec50 = ka / (1 + tau)^(1/n)

    Emax does not depend on the slope, and the EC50 of a weak agonist tends to `ka` whatever the slope.

    Returns
    -------
    ec50, emax : array, M and unit of the response

    Examples
    --------
    >>> ec50, emax = operational_hill_shape(tau=3.0, ka=1e-6, hill_slope=2.0)
    >>> float(ec50), float(emax)
    (5e-07, 0.75)
    """
    root = (1.0 + np.asarray(tau, dtype=float)) ** (1.0 / np.asarray(hill_slope, dtype=float))
    return np.asarray(ka, dtype=float) / root, effect(1.0, tau=tau, em=em, basal=basal)


def response_of_two(
    concentration: ArrayLike,
    partial: ArrayLike,
    *,
    tau: ArrayLike,
    ka: ArrayLike,
    tau_partial: ArrayLike,
    ka_partial: ArrayLike,
    em: ArrayLike = 1.0,
    transducer_slope: ArrayLike = 1.0,
    basal: ArrayLike = 0.0,
) -> Array:
    """Response to two agonists that compete for one site at equilibrium.

    ::

        tau S = (tau * A / ka + tau_partial * P / ka_partial) / (1 + A / ka + P / ka_partial)

    A partial agonist antagonises a full one down to its own effect. One with `tau_partial` 0 is
    a competitive antagonist.

    Parameters
    ----------
    concentration, partial : array, M
        The two agonists A and P, >= 0.
    tau, tau_partial : array
        Their transducer ratios, >= 0.
    ka, ka_partial : array, M
        Their dissociation constants, > 0.
    em, basal : array, unit of the response
    transducer_slope : array

    Returns
    -------
    array, unit of the response

    Raises
    ------
    RangeError
        If a concentration is negative.

    References
    ----------
    .. [1] Leff, Dougall & Harper (1993), Br J Pharmacol 110:239.

    Examples
    --------
    >>> float(response_of_two(0.0, 1e-6, tau=20.0, ka=1e-8, tau_partial=2.0, ka_partial=1e-6))
    0.5
    """
    a, p = _concentrations(agonist=concentration, partial=partial)
    a, p = a / np.asarray(ka, dtype=float), p / np.asarray(ka_partial, dtype=float)
    whole = (np.asarray(tau, dtype=float) * a + np.asarray(tau_partial, dtype=float) * p) / (1.0 + a + p)
    return effect(whole, tau=1.0, em=em, transducer_slope=transducer_slope, basal=basal)


def equiactive(concentration: ArrayLike, *, ka: ArrayLike, q: ArrayLike) -> Array:
    """Agonist that gave before inactivation the response that `concentration` gives after it (Furchgott).

    ::

        1 / A = 1 / (q * A') + (1 - q) / (q * ka)

    Null method: it holds for any relation of response and occupancy, as long as what the
    inactivated receptors do is nothing. An irreversible partial agonist breaks it.

    Parameters
    ----------
    concentration : array, M
        A', after the inactivation, >= 0.
    ka : array, M
    q : array
        Fraction of the receptors that is left, 0 < q <= 1.

    Returns
    -------
    array, M
        A, never above ``q * ka / (1 - q)``.

    Raises
    ------
    RangeError
        If a concentration is negative.

    References
    ----------
    .. [1] Furchgott & Bursztyn (1967), Ann N Y Acad Sci 144:882.

    Examples
    --------
    >>> float(equiactive(1e-6, ka=1e-6, q=0.5))
    3.333333333333333e-07
    """
    (a,) = _concentrations(agonist=concentration)
    constant, left = np.asarray(ka, dtype=float), np.asarray(q, dtype=float)
    return np.asarray(left * a * constant / (constant + (1.0 - left) * a), dtype=float)


def receptors_left(concentration: ArrayLike, time: ArrayLike, *, kinact: ArrayLike, k_inact_half: ArrayLike) -> Array:
    """Fraction q of the receptors that a time with an irreversible ligand leaves.

    Two steps, free ligand in excess (Kitz and Wilson)::

        q = exp(-kinact * C / (k_inact_half + C) * time)

    Parameters
    ----------
    concentration : array, M
        Free irreversible ligand C, >= 0.
    time : array, s
        >= 0.
    kinact : array, 1/s
    k_inact_half : array, M

    Returns
    -------
    array
        Between 0 and 1.

    Raises
    ------
    RangeError
        If a concentration or a time is negative.

    References
    ----------
    .. [1] Kitz & Wilson (1962), J Biol Chem 237:3245.

    Examples
    --------
    >>> float(receptors_left(1e-6, 3600.0, kinact=0.0, k_inact_half=1e-6))
    1.0
    """
    c, t = _concentrations(ligand=concentration, time=time)
    bound = c / (c + np.asarray(k_inact_half, dtype=float))
    return np.asarray(np.exp(-np.asarray(kinact, dtype=float) * bound * t), dtype=float)


def response_after_inactivation(
    concentration: ArrayLike,
    *,
    q: ArrayLike,
    tau: ArrayLike,
    ka: ArrayLike,
    residual_efficacy: ArrayLike = 0.0,
    em: ArrayLike = 1.0,
    transducer_slope: ArrayLike = 1.0,
    basal: ArrayLike = 0.0,
) -> Array:
    """Response to an agonist when a fraction q of the receptors is left and the others hold an irreversible ligand.

    ::

        S = residual_efficacy * (1 - q) + q * A / (A + ka)

    Without residual efficacy this is Furchgott's model. With it, an irreversible partial agonist
    leaves a floor of stimulus: the response without agonist rises and that with much of it falls.

    Parameters
    ----------
    concentration : array, M
        Agonist A, >= 0.
    q : array
        Fraction of the receptors that is left, 0 to 1.
    tau : array
        Transducer ratio of the agonist, > 0.
    ka : array, M
        Dissociation constant of the agonist, > 0.
    residual_efficacy : array
        Efficacy of a receptor that holds the irreversible ligand, as a share of the agonist's, >= 0.
    em, basal : array, unit of the response
    transducer_slope : array

    Returns
    -------
    array, unit of the response

    Raises
    ------
    RangeError
        If a concentration is negative.

    Examples
    --------
    >>> float(response_after_inactivation(0.0, q=0.5, tau=4.0, ka=1e-8, residual_efficacy=0.5))
    0.5
    """
    (a,) = _concentrations(agonist=concentration)
    left = np.asarray(q, dtype=float)
    stimulus = np.asarray(residual_efficacy, dtype=float) * (1.0 - left) + left * a / (a + np.asarray(ka, dtype=float))
    return effect(stimulus, tau=tau, em=em, transducer_slope=transducer_slope, basal=basal)


def response_after_pretreatment(
    concentration: ArrayLike,
    pretreatment: ArrayLike,
    time: ArrayLike,
    *,
    kinact: ArrayLike,
    k_inact_half: ArrayLike,
    residual_efficacy: ArrayLike,
    tau: ArrayLike,
    ka: ArrayLike,
    em: ArrayLike = 1.0,
    transducer_slope: ArrayLike = 1.0,
    basal: ArrayLike = 0.0,
) -> Array:
    """Response to an agonist after an irreversible ligand was there for a time and washed away.

    `receptors_left` gives q, and `response_after_inactivation` the rest. The wash takes all
    ligand that is not bound covalently; nothing is made anew or lost afterwards.

    Parameters
    ----------
    concentration : array, M
        Agonist after the wash, >= 0.
    pretreatment : array, M
        Irreversible ligand before the wash, >= 0.
    time : array, s
        How long it was there, >= 0.
    kinact : array, 1/s
    k_inact_half : array, M
        Ligand at which inactivation is half as fast as it can be.
    residual_efficacy : array
        Efficacy of a covalently occupied receptor, as a share of the agonist's: 0 an irreversible
        antagonist, 1 an irreversible full agonist.
    tau, ka, em, transducer_slope, basal
        Of the agonist and of the system, as for `operational`.

    Returns
    -------
    array, unit of the response

    Raises
    ------
    RangeError
        If a concentration or a time is negative.

    Examples
    --------
    >>> kinetics = dict(kinact=0.03, k_inact_half=5e-6, tau=4.0, ka=1e-8)
    >>> blocked = response_after_pretreatment(1e-7, [0, 1e-7, 1e-6], 3600.0, residual_efficacy=0.0, **kinetics)
    >>> blocked.round(3).tolist()
    [0.784, 0.304, 0.0]
    """
    q = receptors_left(pretreatment, time, kinact=kinact, k_inact_half=k_inact_half)
    return response_after_inactivation(
        concentration, q=q, residual_efficacy=residual_efficacy, tau=tau, ka=ka, em=em,
        transducer_slope=transducer_slope, basal=basal,
    )  # fmt: skip


def response_together(
    concentration: ArrayLike,
    ligand: ArrayLike,
    time: ArrayLike,
    *,
    kinact: ArrayLike,
    k_inact_half: ArrayLike,
    bound_efficacy: ArrayLike,
    residual_efficacy: ArrayLike,
    tau: ArrayLike,
    ka: ArrayLike,
    em: ArrayLike = 1.0,
    transducer_slope: ArrayLike = 1.0,
    basal: ArrayLike = 0.0,
) -> Array:
    """Response at a time after an agonist and an irreversible ligand were added together.

    Both compete for the receptors that are not yet covalently occupied (their fraction is q), and
    the agonist protects them::

        kobs = kinact * (C / k_inact_half) / (1 + A / ka + C / k_inact_half);    q = exp(-kobs * time)
        S    = q * (A / ka + bound_efficacy * C / k_inact_half) / (1 + A / ka + C / k_inact_half)
             + residual_efficacy * (1 - q)

    Reversible binding is taken to be at equilibrium all the time, so `k_inact_half` stands for the
    dissociation constant of the reversible step, and neither ligand is used up. With `kinact` 0
    this is `response_of_two`; an agonist that binds slowly it does not describe.

    Parameters
    ----------
    concentration, ligand : array, M
        Agonist A and free irreversible ligand C, >= 0.
    time : array, s
        >= 0.
    kinact : array, 1/s
    k_inact_half : array, M
    bound_efficacy, residual_efficacy : array
        Efficacy of a receptor that holds the ligand reversibly, and covalently, as a share of the agonist's.
    tau, ka, em, transducer_slope, basal
        Of the agonist and of the system, as for `operational`.

    Returns
    -------
    array, unit of the response

    Raises
    ------
    RangeError
        If a concentration or a time is negative.

    Examples
    --------
    >>> partial = dict(bound_efficacy=0.5, residual_efficacy=0.5, tau=2.0, ka=1e-8)
    >>> float(response_together(0.0, 1e-3, 1e6, kinact=0.03, k_inact_half=5e-6, **partial))
    0.5
    """
    a, c, t = _concentrations(agonist=concentration, ligand=ligand, time=time)
    a, c = a / np.asarray(ka, dtype=float), c / np.asarray(k_inact_half, dtype=float)
    free = 1.0 + a + c
    q = np.exp(-np.asarray(kinact, dtype=float) * c / free * t)
    stimulus = q * (a + np.asarray(bound_efficacy, dtype=float) * c) / free
    stimulus = stimulus + np.asarray(residual_efficacy, dtype=float) * (1.0 - q)
    return effect(stimulus, tau=tau, em=em, transducer_slope=transducer_slope, basal=basal)


def _between(low: ArrayLike, high: ArrayLike, share: Array) -> Array:
    start = np.asarray(low, dtype=float)
    return np.asarray(start + (np.asarray(high, dtype=float) - start) * share, dtype=float)


def _concentrations(**given: ArrayLike) -> list[Array]:
    """Arrays of what was given, none of them negative."""
    arrays = [np.asarray(value, dtype=float) for value in given.values()]
    for name, array in zip(given, arrays, strict=True):
        if (array < 0).any():
            raise RangeError(f"{name} must be ≥ 0, found {array[array < 0].flat[0]:g}.")
    return arrays
