"""Equilibrium binding: Kd and Bmax from saturation, Ki from competition, selectivity from two Ki.

Wells are rows: radioligand (and competitor) added, what was bound, and whether a masking ligand
stood in the well so that only non-specific binding is left. Totals and non-specific wells are
fitted together, raw: nothing is subtracted, nothing clipped, and a negative signal stays.
"""

from halfmax.estimate.binding.competition import fit_competition, fitted_competition
from halfmax.estimate.binding.saturation import fit_saturation, fitted_saturation
from halfmax.estimate.binding.selectivity import published_ki, selectivity

__all__ = [
    "fit_competition",
    "fit_saturation",
    "fitted_competition",
    "fitted_saturation",
    "published_ki",
    "selectivity",
]
