"""From counts to moles: efficiency, specific activity and its decay, volume, protein."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date

from halfmax import units
from halfmax.errors import RangeError, StudyError

__all__ = ["HALF_LIVES", "BindingAssay", "Radioligand"]

_DAY = 86400.0
_YEAR = 365.25 * _DAY
_AVOGADRO = 6.02214076e23
#: Half-lives, s.
HALF_LIVES = {"3H": 12.32 * _YEAR, "14C": 5700.0 * _YEAR, "35S": 87.4 * _DAY, "125I": 59.4 * _DAY}
#: Labels a molecule above which a specific activity can only be a mistake of units.
_MOST_LABELS = 20


@dataclass(frozen=True)
class Radioligand:
    """A radioactive ligand and how it is counted.

    The specific activity at the day of counting is that of the calibration day times
    ``2 ** (-t / half-life)``: a decayed molecule is taken to bind on, unseen. Where
    decay destroys the ligand (``decayed_binds=False``; carrier-free iodine), the specific
    activity stays and the concentration falls instead.

    Parameters
    ----------
    name : str
        Such as ``[3H]DTG``.
    isotope : str
        A key of `HALF_LIVES`, or empty where no decay is to be counted.
    specific_activity : float, Bq/mol
        At the calibration day; NaN where unknown.
    calibrated, counted : date or None
        Without both, the specific activity is taken as it stands.
    efficiency : float
        Counts a disintegration, 0 < efficiency <= 1; NaN where unknown.
    decayed_binds : bool

    Raises
    ------
    RangeError
        If the efficiency, the specific activity or the isotope is out of range.

    Examples
    --------
    >>> ligand = Radioligand.of("[3H]DTG", specific_activity="80 Ci/mmol", efficiency=0.5)
    >>> ligand.isotope, round(ligand.dpm_per_mol / 1e15, 1)
    ('3H', 177.6)
    """

    name: str
    isotope: str = ""
    specific_activity: float = math.nan
    calibrated: date | None = None
    counted: date | None = None
    efficiency: float = math.nan
    decayed_binds: bool = True

    @classmethod
    def of(
        cls,
        name: str,
        *,
        specific_activity: str = "",
        isotope: str = "",
        calibrated: str = "",
        counted: str = "",
        efficiency: float = math.nan,
        decayed_binds: bool = True,
    ) -> Radioligand:
        """Radioligand from text: ``"80 Ci/mmol"`` (or TBq/mmol, dpm/fmol), dates as ``2026-03-01``."""  # fmt: skip
        return cls(
            name, _isotope(isotope or name, required=bool(isotope)), _specific_activity(specific_activity, name),
            _date(calibrated, name, "calibrated"), _date(counted, name, "counted"), efficiency, decayed_binds,
        )  # fmt: skip

    def __post_init__(self) -> None:
        if not math.isnan(self.efficiency) and not 0 < self.efficiency <= 1:
            hint = " It is a fraction: write 45 % as 0.45." if self.efficiency > 1 else ""
            raise RangeError(
                f"radioligand {self.name}: efficiency must be > 0 and ≤ 1, found {self.efficiency:g}.{hint} "
                "Take it from the counter's standard."
            )
        if self.isotope and self.isotope not in HALF_LIVES:
            raise RangeError(
                f"radioligand {self.name}: isotope must be one of {', '.join(HALF_LIVES)}, found "
                f'"{self.isotope}". Leave it out to count no decay.'
            )
        if not math.isnan(self.specific_activity) and not 0 < self.specific_activity < self._most_active():
            raise RangeError(
                f"radioligand {self.name}: specific activity must be > 0 and < {self._most_active() / 3.7e13:.3g} "
                f"Ci/mmol, which is {_MOST_LABELS} atoms of {self.isotope or 'the label'} a molecule; found "
                f"{self.specific_activity / 3.7e13:.4g} Ci/mmol. Check its unit on the data sheet."
            )
        if (self.calibrated is not None or self.counted is not None) and not self.isotope:
            raise StudyError(
                f"radioligand {self.name}: dates are given but no isotope, so the decay cannot be counted. Expected "
                f"one of {', '.join(HALF_LIVES)}. Add isotope."
            )

    def _most_active(self) -> float:
        life = HALF_LIVES.get(self.isotope, 0.0)
        return _MOST_LABELS * _AVOGADRO * math.log(2) / life if life else math.inf

    @property
    def remaining(self) -> float:
        """Share of the label that has not decayed between calibration and counting; 1 where a date is missing."""
        if self.calibrated is None or self.counted is None:
            return 1.0
        return float(2.0 ** (-(self.counted - self.calibrated).days * _DAY / HALF_LIVES[self.isotope]))

    @property
    def dpm_per_mol(self) -> float:
        """Disintegrations per minute of a mole, on the day of counting."""
        if math.isnan(self.specific_activity):
            raise StudyError(
                f'radioligand {self.name}: specific_activity is missing; expected such as "80 Ci/mmol". It stands on '
                'the data sheet of the vial. Without it binding can be given in "cpm" or "dpm" only.'
            )
        return 60.0 * self.specific_activity * (self.remaining if self.decayed_binds else 1.0)

    @property
    def dpm_per_cpm(self) -> float:
        """What turns counts into disintegrations."""
        if math.isnan(self.efficiency):
            raise StudyError(
                f"radioligand {self.name}: efficiency is missing, and the counter gave no dpm of every tube. "
                'Expected a number > 0 and ≤ 1, such as 0.45. Without it binding can be given in "cpm" only.'
            )
        return 1.0 / self.efficiency


def _isotope(text: str, *, required: bool) -> str:
    """Isotope named by a text such as ``3H``, ``H-3``, ``[³H]DTG``."""
    plain = text.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789"))
    for isotope in HALF_LIVES:
        number, symbol = re.sub(r"\D", "", isotope), re.sub(r"\d", "", isotope)
        if re.search(rf"(?<![A-Za-z0-9]){number}-?{symbol}(?![a-z])|\b{symbol}-?{number}\b", plain):
            return isotope
    return text if required else ""


def _specific_activity(text: str, name: str) -> float:
    """Specific activity in Bq/mol; NaN where there is none."""
    if not text:
        return math.nan
    per_minute = "dpm" in text
    try:
        value = units.convert(text.replace("dpm", "Bq"), "Bq/mol", what="specific activity")
    except RangeError as error:
        said = str(error).replace("Bq/", "dpm/") if per_minute else str(error)
        raise RangeError(f'radioligand {name}: {said.partition(" Write it as")[0]} Write it as "80 Ci/mmol".') from None
    return value / 60.0 if per_minute else value


def _date(text: str, name: str, what: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise RangeError(
            f'radioligand {name}: {what} must be a date such as 2026-03-01 (year, month, day), found "{text}". Write '
            "it so."
        ) from None


@dataclass(frozen=True)
class BindingAssay:
    """What holds for all tubes of an assay.

    Parameters
    ----------
    radioligand : Radioligand
    volume : float, L
        Of one tube during the incubation; NaN where unknown.
    protein : float, mg
        In one tube; NaN where unknown. A layout may give it tube by tube.
    target : str
        Such as ``sigma-2``.
    masking : str
        What keeps the radioligand off another site, such as ``100 nM (+)-pentazocine``.
    background : float, cpm
        Of the counter, where no background tubes were counted; NaN where unknown.

    Examples
    --------
    >>> assay = BindingAssay.of(Radioligand.of("[3H]DTG"), volume="0.5 mL", protein="0.1 mg/mL")
    >>> round(assay.protein, 6)
    0.05
    """

    radioligand: Radioligand
    volume: float = math.nan
    protein: float = math.nan
    target: str = ""
    masking: str = ""
    background: float = math.nan

    @classmethod
    def of(
        cls,
        radioligand: Radioligand,
        *,
        volume: str = "",
        protein: str = "",
        target: str = "",
        masking: str = "",
        background: float = math.nan,
    ) -> BindingAssay:
        """Assay from text: ``"0.5 mL"``; protein ``"50 µg"`` in a tube, or ``"0.1 mg/mL"``."""  # fmt: skip
        litres = units.volume(volume) if volume else math.nan
        return cls(radioligand, litres, _protein(protein, litres), target, masking, background)

    def __post_init__(self) -> None:
        for name, value, unit in (("volume", self.volume, "L"), ("protein", self.protein, "mg")):
            if not math.isnan(value) and not (value > 0 and math.isfinite(value)):
                raise RangeError(f"assay: {name} must be a finite number > 0 {unit}, found {value:g}. Correct it.")
        if self.background < 0:
            raise RangeError(f"assay: background must be ≥ 0 cpm, found {self.background:g}. Correct it.")

    @property
    def litres(self) -> float:
        """Volume of one tube."""
        if math.isnan(self.volume):
            raise StudyError(
                'assay: volume is missing; expected such as "0.5 mL", the volume of one tube during the incubation. '
                "Concentrations and depletion cannot be computed without it. Add it."
            )
        return self.volume


def _protein(text: str, litres: float) -> float:
    """Protein of one tube in mg."""
    if not text:
        return math.nan
    try:
        return units.convert(text, "milligram", what="protein")
    except RangeError as error:
        try:
            value = units.convert(text, "mg/L", what="protein")
        except RangeError:
            raise RangeError(f'{error} Write it as "50 µg" or "0.1 mg/mL".') from None
    if math.isnan(litres):
        raise StudyError(
            f'assay: protein is given as "{text}", but volume is missing; expected such as "0.5 mL". Add the volume, '
            "or give the protein of one tube."
        )
    return value * litres
