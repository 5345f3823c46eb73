"""One quantity against concentration, with its replicate structure, its controls and what was left out.

`Response` is what an assay hands to `halfmax.estimate`: raw signals, never
normalised, because the uncertainty of the controls belongs in the fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.errors import TableError

__all__ = ["Response"]

Array = NDArray[np.float64]
Text = NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Response:
    """One quantity against concentration.

    Parameters
    ----------
    concentration : array, shape (n,), in `concentration_unit`
        >= 0; 0 for vehicle wells, NaN for wells without compound that are no
        vehicle (kill, blank).
    signal : array, shape (n,), in `signal_unit`
        Finite, or NaN where the well was flagged.
    role : array of str, shape (n,)
        ``sample``, ``vehicle``, ``kill`` or ``blank``.
    well, plate : array of str, shape (n,)
        Where each signal was read; empty where that is unknown.
    excluded : array of str, shape (n,)
        Why a well takes no part; empty where it does.
    quantity : str
        What was measured, for axes and messages.
    zero : float or None
        Signal of no cells at all where that is known exactly.
    simulated : bool
        True where no instrument measured this.
    """

    concentration: Array
    signal: Array
    role: Text
    well: Text
    plate: Text
    excluded: Text
    compound: str = ""
    cell_line: str = ""
    experiment: str = ""
    time_s: float = float("nan")
    quantity: str = "signal"
    signal_unit: str = ""
    concentration_unit: str = "M"
    zero: float | None = None
    simulated: bool = False
    notes: tuple[str, ...] = field(default=())

    @classmethod
    def of(
        cls,
        concentration: ArrayLike,
        signal: ArrayLike,
        *,
        role: Sequence[str] | str = "",
        well: Sequence[str] | str = "",
        plate: Sequence[str] | str = "",
        excluded: Sequence[str] | str = "",
        **labels: object,
    ) -> Response:
        """Response from plain sequences; a single text stands for all wells.

        Without `role`, wells of concentration 0 are vehicle and all others samples.

        Raises
        ------
        TableError
            If a concentration is negative or infinite, a signal infinite, or the lengths differ.

        Examples
        --------
        >>> response = Response.of([0, 1e-6], [1.0, 0.5], compound="CM572")
        >>> response.role.tolist()
        ['vehicle', 'sample']
        """
        x = np.asarray(concentration, dtype=float).ravel()
        y = np.asarray(signal, dtype=float).ravel()
        if x.size != y.size:
            raise TableError(f"{x.size} concentrations but {y.size} signals: there must be one signal a well.")
        if not isinstance(role, str):
            roles = np.asarray(role, dtype=str)
        else:
            roles = np.full(x.size, role) if role else np.where(x == 0, "vehicle", "sample")
        texts = [
            np.full(x.size, t) if isinstance(t, str) else np.asarray(t, dtype=str) for t in (well, plate, excluded)
        ]
        return cls(x, y, roles, texts[0], texts[1], texts[2], **labels)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        n = self.concentration.size
        for name in ("signal", "role", "well", "plate", "excluded"):
            if getattr(self, name).size != n:
                raise TableError(f"{self.label}: {n} concentrations but {getattr(self, name).size} of {name}.")
        bad = np.flatnonzero((self.concentration < 0) | np.isinf(self.concentration))
        if bad.size:
            raise TableError(
                f"{self.label}{self._at(bad[0])}: concentration must be a finite number ≥ 0, "
                f"found {self.concentration[bad[0]]:g}."
            )
        silent = np.flatnonzero((self.role == "sample") & np.isnan(self.concentration))
        if silent.size:
            raise TableError(f"{self.label}{self._at(silent[0])}: a sample well has no concentration.")
        bad = np.flatnonzero(np.isinf(self.signal))
        if bad.size:
            raise TableError(
                f"{self.label}{self._at(bad[0])}: signal is infinite. A saturated well is missing, with a flag."
            )

    def _at(self, index: int) -> str:
        well = str(self.well[index])
        return f", well {well}" if well else f", row {index + 1}"

    @property
    def label(self) -> str:
        """Who, in what, when: for messages and headings."""
        who = " in ".join(part for part in (self.compound, self.cell_line) if part) or self.quantity
        return f"{who}, experiment {self.experiment}" if self.experiment else who

    @property
    def used(self) -> NDArray[np.bool_]:
        """Wells that take part: measured and not excluded."""
        return np.asarray(np.isfinite(self.signal) & (self.excluded == ""))

    def doses(self) -> Array:
        """Distinct concentrations of the samples that take part, ascending, without 0."""
        keep = self.used & (self.role == "sample") & (self.concentration > 0)
        return np.unique(self.concentration[keep])

    def excluding(self, wells: Sequence[str], reason: str, *, plate: str | None = None) -> Response:
        """Same response with some wells excluded for a reason."""
        if not reason.strip():
            raise TableError(f"{self.label}: an exclusion needs a reason.")
        hit = np.isin(self.well, list(wells))
        if plate is not None:
            hit &= self.plate == plate
        return replace(self, excluded=np.where(hit & (self.excluded == ""), reason, self.excluded))
