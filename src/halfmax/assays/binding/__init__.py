"""Radioligand binding: from counts per tube to bound radioligand, with what each tube held and what is to be noted.

Four forms, each made from the one before.  A `Tube` is what a layout says of one tube,
in M and s.  A `Radioligand` and a `BindingAssay` are what holds for all of them
(specific activity, efficiency, volume, protein).  A `BindingExperiment` is one
compound of one experiment: arrays for the fits, bound in a unit that it names, with
counting errors, exclusions and quality.  Nothing is clipped and nothing subtracted but
the background: total and nonspecific tubes go to the fit together.
"""

from halfmax.assays.binding.activity import HALF_LIVES, BindingAssay, Radioligand
from halfmax.assays.binding.bookkeeping import binding_experiments
from halfmax.assays.binding.experiment import UNITS, BindingExperiment
from halfmax.assays.binding.quality import BindingQuality, binding_quality
from halfmax.assays.binding.tube import TUBE_ROLES, Tube, tubes_of

__all__ = [
    "HALF_LIVES",
    "TUBE_ROLES",
    "UNITS",
    "BindingAssay",
    "BindingExperiment",
    "BindingQuality",
    "Radioligand",
    "Tube",
    "binding_experiments",
    "binding_quality",
    "tubes_of",
]
