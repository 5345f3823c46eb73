"""Growth-rate metrics of a fitted growth-rate curve."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from halfmax.errors import FitError
from halfmax.estimate.absolute import absolute_ec50
from halfmax.estimate.result import Estimate, Parameter

__all__ = ["growth_metrics"]


def growth_metrics(estimate: Estimate) -> Estimate:
    """GR50, GRinf, GRmax and GR_AOC of a curve of growth-rate values.

    ``gr50`` is the concentration at which the curve passes 0.5, with its profile
    interval; ``gr_inf`` the plateau at full effect; ``gr_max`` the lower of the mean
    values at the two highest doses; ``gr_aoc`` the mean of ``1 - GR`` over the logarithm of the doses, by
    trapezoids through the means of the doses. The last two are of the data, not of
    the curve, and stand without interval.

    Parameters
    ----------
    estimate : Estimate
        From ``fit(response, "gr3")``, the response holding growth-rate values.

    Raises
    ------
    FitError
        If it is the fit of another curve.

    References
    ----------
    .. [1] Hafner et al. (2016), Nat Methods 13:521, doi 10.1038/nmeth.3853.

    Examples
    --------
    >>> import numpy as np
    >>> from halfmax.curves import hill
    >>> from halfmax.estimate import fit
    >>> from halfmax.response import Response
    >>> dose = np.geomspace(0.001, 10, 9)
    >>> values = hill(dose, ec50=0.1, hill_slope=-1.0, top=1.0, bottom=0.0) + np.tile([0.01, -0.01, 0.0], 3)
    >>> round(growth_metrics(fit(Response.of(dose, values, concentration_unit="µM"), "gr3"))["gr50"].value, 2)
    0.1
    """
    response = estimate.response
    if estimate.model != "gr3" or response is None:
        raise FitError(f'{estimate.label}: growth-rate metrics need a fit of "gr3", found "{estimate.model}".')
    half = absolute_ec50(replace(estimate, response=replace(response, zero=0.0)))
    plateau = estimate["bottom" if estimate["hill_slope"].best < 0 else "top"]
    doses = response.doses()
    at = [response.signal[response.used & (response.concentration == dose)].mean() for dose in doses]
    lost, logs = 1.0 - np.array(at), np.log10(doses)
    steps = np.diff(logs)
    area = float((0.5 * (lost[1:] + lost[:-1]) * steps).sum() / steps.sum()) if doses.size > 1 else math.nan
    metrics = (
        replace(half, name="gr50"),
        replace(plateau, name="gr_inf"),
        _of_data("gr_max", float(min(at[-2:], default=math.nan))),
        _of_data("gr_aoc", area),
    )
    return replace(estimate, parameters=(*estimate.parameters, *metrics))


def _of_data(name: str, value: float) -> Parameter:
    return Parameter(name, value, math.nan, math.nan, "=", best=value, method="of the data, without interval")
