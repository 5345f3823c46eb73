"""What a calcium experiment is to be: dye, concentrations, dishes, days, controls, times, volumes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from halfmax import units
from halfmax.errors import RangeError
from halfmax.plan.design import among, names, solvent_fraction, whole_number

__all__ = ["DYES", "Bench", "Controls", "Dye", "ImagingDesign", "Timing"]


@dataclass(frozen=True)
class Dye:
    """A calcium dye, loaded as its acetoxymethyl ester.

    Parameters
    ----------
    name : str
    molar_mass : float, g/mol
        Of the ester.
    excitation : tuple of int, nm
        Two wavelengths of a dye that is read as a ratio, the one that rises with calcium first.
    emission : int, nm
    """

    name: str
    molar_mass: float
    excitation: tuple[int, ...]
    emission: int

    @property
    def ratiometric(self) -> bool:
        """Whether its signal is a ratio; else it is ΔF/F0."""
        return len(self.excitation) == 2


#: Molar masses are those of the formulas C44H47N3O24 and C50H50N2O23.
DYES = {"fura2": Dye("Fura-2", 1001.86, (340, 380), 510), "fluo8": Dye("Fluo-8", 1046.93, (490,), 520)}


@dataclass(frozen=True)
class Controls:
    """What stands beside the compound, every day.

    Parameters
    ----------
    vehicle : int
        Dishes that get the solvent only.
    reference, reference_concentration, reference_stock : str
        An agonist to which the line is known to respond.
    reference_dishes : int
        Dishes that get the reference agonist alone.
    reference_after : bool
        Whether every dish gets it at its end: it shows that the cells are alive and loaded.
    calibration : int, optional
        Dishes for ionomycin with EGTA, then with saturating calcium. By default 1 with a ratiometric
        dye, which they calibrate, and none with others.
    """

    vehicle: int = 2
    reference: str = "ATP"
    reference_concentration: str = "100 µM"
    reference_stock: str = "10 mM"
    reference_dishes: int = 1
    reference_after: bool = True
    calibration: int | None = None

    def __post_init__(self) -> None:
        names("reference agonist", [self.reference])
        for name in ("vehicle", "reference_dishes"):
            whole_number(name, getattr(self, name), 0)
        if self.calibration is not None:
            whole_number("calibration", self.calibration, 0)
        final, stock = (units.concentration(text) for text in (self.reference_concentration, self.reference_stock))
        if not 0 < final < stock:
            raise RangeError(
                f"reference_concentration must be > 0 and below reference_stock, found {self.reference_concentration} "
                f"and {self.reference_stock}. Take a stronger stock."
            )


@dataclass(frozen=True)
class Timing:
    """Times of a recording and of the work around it, as text.

    Parameters
    ----------
    baseline, response, settle : str
        The windows of the analysis: before the addition, after it, and between the two.
    interval : str
        From frame to frame; of a ratiometric dye, from pair to pair.
    dead_time : str
        From the valve, or the pipette, to the cells.
    follow : str
        Least time from the addition to the next one, or to the end.
    loading, rest : str
        With dye at 37 °C; without it, while the ester is cleaved.
    between : str
        From the end of a recording to the start of the next.
    """

    baseline: str = "60 s"
    response: str = "60 s"
    settle: str = "0 s"
    interval: str = "2 s"
    dead_time: str = "15 s"
    follow: str = "4 min"
    loading: str = "45 min"
    rest: str = "20 min"
    between: str = "5 min"

    def __post_init__(self) -> None:
        from halfmax.assays.calcium.responders import LEAST_READS

        for name in self.__dataclass_fields__:
            if self.seconds(name) <= 0 and name not in ("settle", "dead_time", "between"):
                raise RangeError(f'{name} must be longer than nothing, found "{getattr(self, name)}". Write "60 s".')
        for name in ("baseline", "response"):
            if self.seconds(name) < LEAST_READS * self.seconds("interval"):
                raise RangeError(
                    f"{name} must hold at least {LEAST_READS} frames, found {getattr(self, name)} with a frame every "
                    f"{self.interval}. Take a longer window or a shorter interval."
                )

    def seconds(self, name: str) -> float:
        """One of the times, s."""
        return units.duration(getattr(self, name))


@dataclass(frozen=True)
class Bench:
    """How solutions reach the cells, and how much of everything there is.

    Parameters
    ----------
    delivery : str
        ``"perfusion"`` changes the solution; ``"pipette"`` adds a stronger one to the bath.
    flow : str
        Of the perfusion.
    bath : str
        Volume in a dish.
    stock, solvent, solvent_limit : str
        Of the compound, and the largest share of solvent that the cells shall see.
    dye_stock, dye_final, loading_volume : str
        In DMSO; while loading; of loading solution on a dish.
    cells : int
        Seeded into a dish.
    excess : float
        Share prepared above what is needed.
    smallest_volume : str
        That is pipetted by hand.
    """

    delivery: str = "perfusion"
    flow: str = "2 mL/min"
    bath: str = "1.5 mL"
    stock: str = "20 mM"
    solvent: str = "DMSO"
    solvent_limit: str = "0.5 %"
    dye_stock: str = "1 mM"
    dye_final: str = "2 µM"
    loading_volume: str = "1 mL"
    cells: int = 150_000
    excess: float = 0.15
    smallest_volume: str = "2 µL"

    def __post_init__(self) -> None:
        among("delivery", self.delivery, ("perfusion", "pipette"))
        whole_number("cells", self.cells, 1)
        if not 0.05 <= self.excess <= 0.5:
            raise RangeError(f"excess must lie in 0.05…0.5, found {self.excess:g}.")
        if self.flow_ml_s <= 0:
            raise RangeError(f'flow must be > 0, found "{self.flow}". Write it as "2 mL/min".')
        final, stock = units.concentration(self.dye_final), units.concentration(self.dye_stock)
        if not 0 < final <= stock / 100:
            raise RangeError(
                f"dye_final must be > 0 and at most a hundredth of dye_stock, found {self.dye_final} and "
                f"{self.dye_stock}. Take a stronger stock, or the cells see more than 1 % {self.solvent}."
            )

    @property
    def flow_ml_s(self) -> float:
        """Flow, mL/s."""
        return 1000 * units.convert(self.flow, "liter/second", what="flow")

    @property
    def fold(self) -> float:
        """How many times stronger than final a solution is that goes into the dish."""
        return 1.0 if self.delivery == "perfusion" else 5.0


@dataclass(frozen=True)
class ImagingDesign:
    """A calcium experiment: one concentration a dish, dishes in days.

    One concentration a dish keeps doses independent, and is the only way with a compound that does not
    wash out. Days are the sample; dishes of a day make a day better known.

    Parameters
    ----------
    compound, cell_line : str
    concentrations : tuple of str
        Final, at the cells.
    dye : {"fura2", "fluo8"}
    dishes : int
        Of one concentration on one day.
    days : int
        Independent experiments.
    controls : Controls
    timing : Timing
    bench : Bench
    seed : int
        Of the order of the dishes.

    Raises
    ------
    RangeError
        If a number has no meaning, or the highest concentration needs more solvent than allowed.

    Examples
    --------
    >>> design = ImagingDesign("CM572", "MCF-7", ("1 µM", "10 µM"), days=3)
    >>> design.title
    'Calcium (Fura-2) in MCF-7 under CM572'
    >>> design.doses, f"{design.solvent_fraction:.2%}"
    ((1e-06, 1e-05), '0.10%')
    """

    compound: str
    cell_line: str
    concentrations: tuple[str, ...] = ("0.1 µM", "1 µM", "3 µM", "10 µM", "100 µM")
    dye: str = "fura2"
    dishes: int = 2
    days: int = 3
    controls: Controls = field(default_factory=Controls)
    timing: Timing = field(default_factory=Timing)
    bench: Bench = field(default_factory=Bench)
    seed: int = 0

    def __post_init__(self) -> None:
        among("dye", self.dye, tuple(DYES))
        names("compound", [self.compound])
        names("cell line", [self.cell_line])
        whole_number("dishes", self.dishes, 1)
        whole_number("days", self.days, 1)
        if self.compound.strip().casefold() == self.controls.reference.strip().casefold():
            raise RangeError(f'the reference agonist is the compound itself, "{self.compound}". Name another.')
        doses = self.doses
        if not doses or doses[0] <= 0 or any(low == high for low, high in itertools.pairwise(doses)):
            raise RangeError(
                f"concentrations must be > 0 and each there once, found {', '.join(self.concentrations) or 'none'}. "
                "Vehicle dishes are controls."
            )
        _ = self.solvent_fraction

    @property
    def doses(self) -> tuple[float, ...]:
        """Concentrations in M, ascending."""
        return tuple(sorted(units.concentration(text) for text in self.concentrations))

    @property
    def dye_facts(self) -> Dye:
        """The dye."""
        return DYES[self.dye]

    @property
    def title(self) -> str:
        """What this is, in one line."""
        return f"Calcium ({self.dye_facts.name}) in {self.cell_line} under {self.compound}"

    @property
    def calibration_dishes(self) -> int:
        """Dishes of a day for the calibration."""
        given = self.controls.calibration
        return int(self.dye_facts.ratiometric) if given is None else given

    @property
    def dishes_a_day(self) -> int:
        """All dishes of a day."""
        controls = self.controls.vehicle + self.controls.reference_dishes + self.calibration_dishes
        return len(self.doses) * self.dishes + controls

    @property
    def solvent_fraction(self) -> float:
        """Share of solvent that the cells see, with the compound or as vehicle (0.001 is 0.1 %)."""
        stock = units.concentration(self.bench.stock)
        return solvent_fraction(self.doses[-1], stock, self.bench.solvent_limit, self.bench.solvent)
