"""Estimation: from a Response to an Estimate with an honest interval."""

from halfmax.estimate.arrays import Fits, fit_arrays
from halfmax.estimate.averaging import average_plates
from halfmax.estimate.binding import fit_competition, fit_saturation, published_ki, selectivity
from halfmax.estimate.bootstrap import bootstrap, bootstrap_all
from halfmax.estimate.combining import combine
from halfmax.estimate.comparing import compare, compare_many
from halfmax.estimate.derived import (
    absolute_ec50,
    activity_area,
    effective_concentration,
    response_at,
    second_ec50,
    with_derived,
)
from halfmax.estimate.fitting import fit, fit_all
from halfmax.estimate.growth import fit_growth, fit_growth_all, growth_metrics
from halfmax.estimate.inactivation import (
    fit_competition_in_time,
    fit_endpoint,
    fit_inactivation,
    fit_kobs,
)
from halfmax.estimate.influence import Influence, leave_one_out
from halfmax.estimate.many import fit_many
from halfmax.estimate.outliers import Outliers, find_outliers, find_outliers_all, fit_without
from halfmax.estimate.points import zero_of
from halfmax.estimate.receptor import fit_agonists, fit_furchgott, fit_gaddum, fit_irreversible_before, fit_schild
from halfmax.estimate.result import Estimate, Operator, Parameter
from halfmax.estimate.robust import robust_fit
from halfmax.estimate.select import Selection, false_discovery, q_values, select, select_all, with_q_values
from halfmax.estimate.status import Direction
from halfmax.estimate.surface import Surface, fit_surface, fit_surface_all
from halfmax.estimate.together import ExtraSumOfSquares, Together, fit_together
from halfmax.estimate.washout import fit_saturation_after_wash, fit_washout

__all__ = [
    "Direction",
    "Estimate",
    "ExtraSumOfSquares",
    "Fits",
    "Influence",
    "Operator",
    "Outliers",
    "Parameter",
    "Selection",
    "Surface",
    "Together",
    "absolute_ec50",
    "activity_area",
    "average_plates",
    "bootstrap",
    "bootstrap_all",
    "combine",
    "compare",
    "compare_many",
    "effective_concentration",
    "false_discovery",
    "find_outliers",
    "find_outliers_all",
    "fit",
    "fit_agonists",
    "fit_all",
    "fit_arrays",
    "fit_competition",
    "fit_competition_in_time",
    "fit_endpoint",
    "fit_furchgott",
    "fit_gaddum",
    "fit_growth",
    "fit_growth_all",
    "fit_inactivation",
    "fit_irreversible_before",
    "fit_kobs",
    "fit_many",
    "fit_saturation",
    "fit_saturation_after_wash",
    "fit_schild",
    "fit_surface",
    "fit_surface_all",
    "fit_together",
    "fit_washout",
    "fit_without",
    "growth_metrics",
    "leave_one_out",
    "published_ki",
    "q_values",
    "response_at",
    "robust_fit",
    "second_ec50",
    "select",
    "select_all",
    "selectivity",
    "with_derived",
    "with_q_values",
    "zero_of",
]
