"""Wells of a binding experiment, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.errors import FitError, RangeError
from halfmax.units import format_concentration

__all__ = ["NSB_LIMITS", "Array", "Flags", "Sites", "Wells"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Sites = Literal[1, 2]

#: A radioligand above this many M was given in another unit.
_MOST_RADIOLIGAND = 0.1
#: Non-specific binding, M for each M free, may not be so negative that nothing is free.
NSB_LIMITS = (-0.9, 1e6)


@dataclass(frozen=True)
class Wells:
    """Wells of one experiment, checked: each array of shape (wells,), `open` 1 where no masking ligand stood."""

    radioligand: Array
    bound: Array
    open: Array
    competitor: Array
    unit: str
    label: str

    @classmethod
    def of(
        cls, radioligand: ArrayLike, bound: ArrayLike, nonspecific: ArrayLike | None, competitor: ArrayLike,
        unit: str, label: str,
    ) -> Wells:  # fmt: skip
        """Wells of plain sequences."""
        signal = np.asarray(bound, dtype=float)
        if signal.ndim != 1:
            raise FitError(f"{label}: bound must be (wells,), found shape {signal.shape}.")
        masked = np.zeros(signal.size, dtype=bool) if nonspecific is None else np.asarray(nonspecific)
        if masked.dtype != bool:
            raise FitError(
                f"{label}: nonspecific must say True or False for each well, found {masked.dtype}. "
                "Put the non-specific wells into bound, and mark them."
            )
        columns = {"radioligand": radioligand, "competitor": competitor, "nonspecific": masked}
        for name, column in columns.items():
            if np.ndim(column) and np.shape(column) != signal.shape:
                raise FitError(f"{label}: {name} has shape {np.shape(column)}, bound {signal.shape}: one value a well.")
        added, other = (np.broadcast_to(np.asarray(c, dtype=float), signal.shape) for c in (radioligand, competitor))
        found = cls(added, signal, np.where(masked, 0.0, 1.0), np.where(masked, 0.0, other), unit, label)
        return found._checked()

    def _checked(self) -> Wells:
        for name, column in (("radioligand", self.radioligand), ("competitor", self.competitor)):
            bad = np.flatnonzero(~(np.isfinite(column) & (column >= 0)))
            if bad.size:
                raise RangeError(
                    f"{self.label}, row {bad[0] + 1}: {name} must be a number ≥ 0 in M, found {column[bad[0]]:g}."
                )
        if not (self.radioligand > 0).any():
            raise RangeError(f"{self.label}: radioligand is 0 in every well. Give what was added, in M.")
        if self.radioligand.max() > _MOST_RADIOLIGAND:
            raise RangeError(
                f"{self.label}: radioligand of {self.radioligand.max():g} M. Concentrations are in M: 5 nM is 5e-9."
            )
        if not self.used.any():
            raise FitError(f"{self.label}: no well shows total binding. All are non-specific or missing.")
        return self

    @property
    def used(self) -> Flags:
        """Wells of total binding that were measured."""
        return np.asarray((self.open > 0) & np.isfinite(self.bound))

    def steps(self, column: Array, what: str, needed: int) -> Array:
        """Distinct concentrations above zero of the totals, ascending."""
        found = np.unique(column[self.used & (column > 0)])
        if found.size < needed:
            shown = ", ".join(format_concentration(value) for value in found) or "none"
            raise FitError(
                f"{self.label}: {what} needs at least {needed} concentrations above 0, found {found.size} ({shown}). "
                "Add concentrations on both sides of the expected constant."
            )
        return found

    def totals(self) -> Wells:
        """Without those in which a masking ligand stood."""
        rows = self.open > 0
        columns = self.radioligand[rows], self.bound[rows], self.open[rows], self.competitor[rows]
        return Wells(*columns, self.unit, self.label)

    def demand_molar(self, otherwise: str) -> None:
        """Refuse to balance what is bound against what was added in different units."""
        if self.unit != "M":
            raise FitError(
                f'{self.label}: ligand depletion needs bound in M, found unit "{self.unit}". Convert the counts to M '
                f'and say unit="M"{otherwise}, or fit with depletion=False.'
            )
        share = float(np.nansum(self.bound) / self.radioligand[np.isfinite(self.bound)].sum())
        if share > 1:
            raise RangeError(
                f"{self.label}: {share:.3g} times as much radioligand is bound as was added. "
                "Both must be in M of the same volume."
            )

    def scale(self) -> float:
        """Size of the binding that a masking ligand or competitor takes away, never zero."""
        seen = np.isfinite(self.bound)
        spread = float(self.bound[seen].max() - min(self.bound[seen].min(), 0.0))
        return spread or 1.0

    def nsb_starts(self) -> tuple[float, ...]:
        """Where to look for the non-specific binding, M for each M free."""
        masked = np.isfinite(self.bound) & (self.open == 0) & (self.radioligand > 0)
        seen = np.isfinite(self.bound) & (self.radioligand > 0)
        rows = masked if masked.any() else seen
        share = np.clip(self.bound[rows] / self.radioligand[rows], 1e-6, 0.95)
        one = float(np.median(share) if masked.any() else share.min())
        return (one / (1.0 - one),)

    @property
    def slope_unit(self) -> str:
        """Unit of binding for each M of radioligand."""
        return "" if self.unit == "M" else f"{self.unit or 'signal'}/M"
