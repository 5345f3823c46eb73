"""One compound of one binding experiment: the arrays that a fit takes, and the unit they are in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.assays.binding.activity import BindingAssay, Radioligand
from halfmax.errors import FitError, StudyError, TableError, nearest
from halfmax.units import format_concentration, format_duration

__all__ = ["UNITS", "BindingExperiment", "Unit"]

Array = NDArray[np.float64]
Text = NDArray[np.str_]
Flags = NDArray[np.bool_]
Unit = Literal["cpm", "dpm", "M", "fmol/mg"]

#: What bound radioligand can be given in.
UNITS: dict[Unit, str] = {
    "cpm": "counts per minute, less the background",
    "dpm": "disintegrations per minute",
    "M": "mol bound per litre of the tube",
    "fmol/mg": "fmol bound per mg of protein",
}
_AXES = {"saturation": "radioligand", "competition": "competitor", "time course": "time_s"}
_TEXTS = ("tube", "replicate", "excluded", "wash")


@dataclass(frozen=True, eq=False)
class BindingExperiment:
    """Bound radioligand of one compound in one experiment, a tube (or a reading of it) a place.

    Parameters
    ----------
    radioligand : array, shape (n,), M
        Added to the tube, > 0: counted where it was counted, else nominal.
    competitor : array, shape (n,), M
        Unlabelled compound, 0 where there is none. In nonspecific tubes 0: what takes
        the sites there is named in `nonspecific_by`.
    nonspecific : array of bool, shape (n,)
    bound : array, shape (n,), in `unit`
        All that is bound, specific or not, less the background; may be negative, and is
        NaN where the tube has no count.
    bound_sd : array, shape (n,), in `unit`
        Counting error alone (Poisson, of tube and background); NaN where the counting
        time is not known.
    time_s : array, shape (n,), s
        NaN where not stated.
    tube, replicate, excluded, wash : array of str, shape (n,)
        `excluded` says why a tube takes no part; it is empty where it does.
    protein : array, shape (n,), mg
        In each tube; NaN where unknown.
    unit : str
        A key of `UNITS`.
    assay : BindingAssay
        Radioligand, volume, target.
    compound, nonspecific_by, experiment, masking : str
    recovery : float
        What was counted of the radioligand added, over what was meant; NaN where it was not counted.
    notes : tuple of str
    simulated : bool

    Raises
    ------
    TableError
        If lengths differ, a radioligand is not > 0, a competitor is negative, or a bound is infinite.
    StudyError
        If the unit is not known.
    """

    radioligand: Array
    competitor: Array
    nonspecific: Flags
    bound: Array
    bound_sd: Array
    time_s: Array
    tube: Text
    replicate: Text
    excluded: Text
    wash: Text
    protein: Array
    unit: Unit
    assay: BindingAssay
    compound: str = ""
    nonspecific_by: str = ""
    experiment: str = ""
    masking: str = ""
    recovery: float = math.nan
    notes: tuple[str, ...] = field(default=())
    simulated: bool = False

    @classmethod
    def of(
        cls,
        radioligand: ArrayLike,
        bound: ArrayLike,
        *,
        competitor: ArrayLike = 0.0,
        nonspecific: ArrayLike | bool = False,
        unit: Unit = "M",
        assay: BindingAssay | None = None,
        **fields: Any,
    ) -> BindingExperiment:
        """Experiment from plain sequences; a single value stands for all tubes.

        Examples
        --------
        >>> one = BindingExperiment.of([1e-9, 5e-9], [2e-11, 6e-11], compound="", experiment="1")
        >>> one.free().round(12).tolist()
        [9.8e-10, 4.94e-09]
        """  # fmt: skip
        y = np.asarray(bound, dtype=float).ravel()
        empty: dict[str, Any] = {"bound_sd": math.nan, "time_s": math.nan, "protein": math.nan}
        empty |= dict.fromkeys(_TEXTS, "")
        arrays: dict[str, Any] = {"radioligand": radioligand, "competitor": competitor, "nonspecific": nonspecific}
        arrays |= {name: fields.pop(name, value) for name, value in empty.items()}
        types = {"nonspecific": bool} | dict.fromkeys(_TEXTS, str)
        made: dict[str, Any] = {}
        for name, value in arrays.items():
            array = np.asarray(value, dtype=types.get(name, float))
            made[name] = np.full(y.size, array) if array.ndim == 0 else array.ravel()
        known = assay if assay is not None else BindingAssay(Radioligand("radioligand"))
        return cls(bound=y, unit=unit, assay=known, **made, **fields)

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise StudyError(
                f'{self.label}: bound must be in one of {", ".join(UNITS)}, found the unit "{self.unit}". '
                f"{nearest(self.unit, list(UNITS))}"
            )
        n = self.bound.size
        for name in ("radioligand", "competitor", "nonspecific", "bound_sd", "time_s", "protein", *_TEXTS):
            if getattr(self, name).size != n:
                raise TableError(
                    f"{self.label}: expected one {name} a tube, found {getattr(self, name).size} for {n} tubes. "
                    "Give them in the same order."
                )
        checks = (
            ("radioligand", ~((self.radioligand > 0) & np.isfinite(self.radioligand)), "> 0 M"),
            ("competitor", ~((self.competitor >= 0) & np.isfinite(self.competitor)), "≥ 0 M"),
            ("time", (self.time_s < 0) | np.isinf(self.time_s), "≥ 0 s"),
            ("bound", np.isinf(self.bound), "or missing"),
        )
        for name, bad, what in checks:
            if bad.any():
                place = int(np.flatnonzero(bad)[0])
                found = getattr(self, "time_s" if name == "time" else name)[place]
                where = f"tube {self.tube[place]}" if self.tube[place] else f"row {place + 1}"
                raise TableError(
                    f"{self.label}, {where}: {name} must be a finite number {what}, found {found:g}. Correct the "
                    "layout, or exclude the tube."
                )

    # Who and what

    @property
    def radioligand_name(self) -> str:
        """Name of the radioligand."""
        return self.assay.radioligand.name

    @property
    def target(self) -> str:
        """What the ligands bind to."""
        return self.assay.target

    @property
    def label(self) -> str:
        """Who, at what, when: for messages and headings."""
        who = f"{self.compound} against {self.radioligand_name}" if self.compound else self.radioligand_name
        parts = [who + (f" at {self.target}" if self.target else "")]
        return ", ".join(parts + ([f"experiment {self.experiment}"] if self.experiment else []))

    @property
    def used(self) -> Flags:
        """Tubes that take part: counted and not excluded."""
        return np.asarray(np.isfinite(self.bound) & (self.excluded == ""))

    @property
    def designs(self) -> tuple[str, ...]:
        """What was varied: ``saturation``, ``competition``, ``time course``; empty where nothing was."""
        return tuple(design for design in _AXES if self._levels(design).size > 1)

    def _levels(self, design: str) -> Array:
        values = getattr(self, _AXES[design])[self.used & ~self.nonspecific]
        return np.unique(values[np.isfinite(values) & (values > (0 if design == "competition" else -1))])

    def require(self, design: str, *, levels: int = 3) -> None:
        """Refuse a design that the tubes do not have.

        Parameters
        ----------
        design : str
            ``saturation``, ``competition`` or ``time course``.
        levels : int
            Different concentrations (or times) that are needed.

        Raises
        ------
        FitError
            If there are fewer.
        StudyError
            If the design is not known.
        """
        if design not in _AXES:
            raise StudyError(f'{self.label}: unknown design "{design}". {nearest(design, list(_AXES))}')
        found = self._levels(design)
        if found.size >= levels:
            return
        what = {"saturation": "radioligand concentrations", "competition": f"concentrations of {self.compound}".strip(),
                "time course": "times"}[design]  # fmt: skip
        show = format_duration if design == "time course" else format_concentration
        shown = f" ({', '.join(show(float(value)) for value in found)})" if found.size else ""
        raise FitError(
            f"{self.label}: a {design} needs at least {levels} different {what}, found {found.size}{shown}. Add more, "
            "or fit what was varied."
        )

    # Units

    def in_unit(self, unit: Unit) -> BindingExperiment:
        """Same tubes, bound (and its error) in another unit.

        Raises
        ------
        StudyError
            If efficiency, specific activity, volume or protein, which it takes, is missing.
        """
        if unit == self.unit:
            return self
        factor = self._mol_per(self.unit) / self._mol_per(unit)
        return replace(self, bound=self.bound * factor, bound_sd=self.bound_sd * factor, unit=unit)

    def in_molar(self) -> BindingExperiment:
        """Bound in mol per litre of the tube."""
        return self.in_unit("M")

    def in_fmol_per_mg(self) -> BindingExperiment:
        """Bound in fmol per mg of protein."""
        return self.in_unit("fmol/mg")

    def _mol_per(self, unit: Unit) -> Array:
        """Moles in a tube of which bound is 1 in a unit."""
        if unit == "M":
            return np.full(self.bound.size, self.assay.litres)
        if unit == "fmol/mg":
            return self._milligrams() * 1e-15
        per_dpm = 1.0 / self.assay.radioligand.dpm_per_mol
        return np.full(self.bound.size, per_dpm * (self.assay.radioligand.dpm_per_cpm if unit == "cpm" else 1.0))

    def _milligrams(self) -> Array:
        missing = np.flatnonzero(~np.isfinite(self.protein) | (self.protein <= 0))
        if missing.size:
            raise StudyError(
                f"{self.label}: protein is missing for {missing.size} of {self.bound.size} tubes; expected such as "
                '"50 µg" in a tube. Add protein to the assay or to the layout.'
            )
        return self.protein

    # What follows from bound

    def free(self) -> Array:
        """Free radioligand, M: added less bound, tube by tube.

        Examples
        --------
        >>> BindingExperiment.of([1e-9], [4e-10]).free().round(12).tolist()
        [6e-10]
        """
        return self.radioligand - self.in_molar().bound

    def fraction_bound(self) -> Array:
        """Share of the added radioligand that is bound, tube by tube."""
        return self.in_molar().bound / self.radioligand

    def specific(self) -> Array:
        """Bound less the mean nonspecific of the same radioligand concentration, in `unit`; for the eye.

        Negative values are kept. Of several times, those of the same time are taken where
        there are any. NaN in nonspecific tubes, and where no nonspecific tube was counted.
        """
        result = np.full(self.bound.size, np.nan)
        kept = self.used & self.nonspecific
        for place in np.flatnonzero(~self.nonspecific):
            same = kept & (self.radioligand == self.radioligand[place])
            at_time = same & (self.time_s == self.time_s[place])
            chosen = at_time if at_time.any() else same
            if chosen.any():
                result[place] = self.bound[place] - self.bound[chosen].mean()
        return result

    def excluding(self, tubes: Sequence[str], reason: str) -> BindingExperiment:
        """Same experiment with some tubes excluded for a reason."""
        if not reason.strip():
            raise TableError(f"{self.label}: an exclusion needs a reason; found none. Write why.")
        unknown = [tube for tube in tubes if tube not in self.tube]
        if unknown:
            raise TableError(
                f'{self.label}: there is no tube "{unknown[0]}" to exclude. {nearest(unknown[0], self.tube.tolist())}'
            )
        hit = np.isin(self.tube, list(tubes)) & (self.excluded == "")
        return replace(self, excluded=np.where(hit, reason, self.excluded))
