"""The sections of a study document: what each entry of `study.toml` may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from halfmax.errors import RangeError
from halfmax.units import concentration, concentration_factor, duration
from halfmax.wells import PLATE_SHAPES, parse_well

__all__ = [
    "BindingEntry",
    "Compare",
    "Exclude",
    "FunctionEntry",
    "InactivationEntry",
    "PlateEntry",
    "Section",
    "StudySection",
    "TableEntry",
    "Viability",
    "WashoutEntry",
]


def _timed(value: str | None) -> str | None:
    if value is not None:
        duration(value)
    return value


#: A name that may be written as a number.
_Name = Annotated[str, BeforeValidator(str)]
_Time = Annotated[str | None, AfterValidator(_timed)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class StudySection(Section):
    """What the study is."""

    title: str = Field(min_length=1, description="Title of the report.")
    description: str = Field("", description="A sentence or two under the title.")
    simulated: bool = Field(False, description="True where no instrument measured the data; said wherever they appear.")
    level: float = Field(0.95, gt=0.5, lt=1, description="Level of all intervals.")
    seed: int | None = Field(None, description="Seed of what is random, for the provenance.")


class Viability(Section):
    """How viability plates are analysed."""

    signal: str | None = Field(None, description='Channel of the signal, such as "570".')
    background: str | None = Field(None, description='Channel to subtract, such as "660".')
    quantity: str = Field("absorbance", description="What was measured, for the axes.")
    model: Literal["hill4", "hill3"] = Field("hill4", description="Curve to fit.")
    direction: Literal["falling", "rising", "either"] = Field(
        "falling", description="What the drug can do to the signal."
    )
    zero: float | None = Field(None, description="Signal of no cells, where it is known and no blanks were plated.")

    @field_validator("signal", "background", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value


class PlateEntry(Section):
    """A file of readings and what was on its plates."""

    file: str = Field(description="The reader's export, relative to study.toml.")
    layout: str = Field(description="The plate map, relative to study.toml.")
    plate: str | None = Field(None, description="Name of the plate in the file, where the file holds several.")
    cell_line: str = Field("", description="Cell line, where the layout does not say.")
    time: _Time = Field(None, description='Time of exposure, such as "48 h".')
    experiment: _Name = Field("1", description="Name of the independent experiment (a day, a passage).")

    @field_validator("cell_line")
    @classmethod
    def _is_filled_in(cls, value: str) -> str:
        if value == "?":
            raise RangeError('"?" waits to be filled in.')
        return value


class TableEntry(Section):
    """A long table, one well a row, and what its columns mean."""

    file: str = Field(description="CSV or Parquet with one well a row, relative to study.toml.")
    concentration_column: str = Field(description="Column of the concentrations; 0 is vehicle.")
    unit: str = Field(description='Unit of the concentrations, such as "µM".')
    signal_column: str = Field(description="Column of the raw signals.")
    compound: str = Field("", description="Compound, where it is the same in all rows.")
    compound_column: str | None = Field(None, description="Column of the compounds.")
    cell_line: str = Field("", description="Cell line, where it is the same in all rows.")
    cell_line_column: str | None = Field(None, description="Column of the cell lines.")
    experiment: _Name = Field("1", description="Independent experiment, where it is the same in all rows.")
    experiment_column: str | None = Field(None, description="Column of the independent experiments, such as the day.")
    plate_column: str | None = Field(None, description="Column of the plates, where there are several.")
    plates: Literal["apart", "together"] = Field(
        "apart", description="Whether plates of one experiment are fitted apart and averaged, or their wells together."
    )
    well_column: str | None = Field(None, description='Column of the wells ("C7", or numbers).')
    well_numbers: Literal["none", "down", "across"] = Field(
        "none", description="How numbered wells are counted: down the columns (A1, B1, …) or across (A1, A2, …)."
    )
    plate_wells: int = Field(96, description="Wells of a plate, for numbered wells.")
    role_column: str | None = Field(None, description="Column of the roles: sample, vehicle, kill, blank.")
    time: _Time = Field(None, description='Time of exposure, such as "48 h".')

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Columns of texts that the table must have, each once."""
        named = (
            self.experiment_column, self.plate_column, self.well_column, self.role_column, self.compound_column,
            self.cell_line_column,
        )  # fmt: skip
        return tuple(dict.fromkeys(column for column in named if column is not None))

    @field_validator("unit")
    @classmethod
    def _is_unit(cls, value: str) -> str:
        concentration_factor(value)
        return value

    @field_validator("plate_wells")
    @classmethod
    def _is_plate(cls, value: int) -> int:
        if value not in PLATE_SHAPES:
            raise RangeError(f"no plate has {value} wells. Known: {', '.join(map(str, PLATE_SHAPES))}.")
        return value

    @model_validator(mode="after")
    def _says_things_once(self) -> TableEntry:
        for name in ("compound", "cell_line", "experiment"):
            if name in self.model_fields_set and getattr(self, name) and getattr(self, f"{name}_column") is not None:
                raise RangeError(f"{name} and {name}_column both say it. Keep one of them.")
        if not self.compound and self.compound_column is None:
            raise RangeError('an EC50 is of a compound. Add compound = "…" or compound_column = "…".')
        return self


class BindingEntry(Section):
    """A radioligand binding experiment: a counter's file, and what stood in its tubes."""

    name: str = Field(min_length=1, description="Title of the analysis.")
    counts: str = Field(description="The counter's file, relative to study.toml.")
    layout: str = Field(description="What stood in each tube, relative to study.toml.")
    radioligand: str = Field(description='Such as "[3H]DTG".')
    analysis: Literal["competition", "saturation"] = Field("competition", description="What is fitted.")
    kd: str | None = Field(None, description='Kd of the radioligand, for a competition, such as "20 nM".')
    kd_se_log: float = Field(0.0, ge=0, description="Standard error of ln Kd; it widens the interval of Ki.")
    sites: Literal[1, 2] = Field(1, description="Number of classes of sites.")
    depletion: bool = Field(False, description="Whether bound radioligand is taken off what is free.")
    unit: Literal["cpm", "M", "fmol/mg"] = Field("cpm", description="What bound is given in.")
    specific_activity: str = Field("", description='Such as "80 Ci/mmol".')
    calibrated: str = Field("", description="Date of the specific activity, such as 2026-01-10.")
    counted: str = Field("", description="Date of counting.")
    efficiency: float | None = Field(None, description="Counts for each disintegration, above 0 and at most 1.")
    volume: str = Field("", description='Of a tube, such as "0.5 mL".')
    protein: str = Field("", description='In a tube, such as "50 µg", or "0.1 mg/mL".')
    target: str = Field("", description='Such as "sigma-2".')
    masking: str = Field("", description='What masks another site, such as "100 nM (+)-pentazocine".')

    @property
    def files(self) -> tuple[str, ...]:
        """Files that the analysis is made from."""
        return (self.counts, self.layout)

    @model_validator(mode="after")
    def _has_kd(self) -> BindingEntry:
        if self.analysis == "competition" and self.kd is None:
            raise RangeError('Ki needs the Kd of the radioligand. Add kd = "20 nM".')
        if self.kd is not None:
            concentration(self.kd)
        return self


class InactivationEntry(Section):
    """Inhibition after several pre-incubations with a covalent ligand, read once: kinact and K_I."""

    name: str = Field(min_length=1, description="Title of the analysis.")
    file: str = Field(description="Table with one well a row, relative to study.toml.")
    concentration_column: str = Field(description="Column of the inhibitor's concentrations; 0 is the control.")
    unit: str = Field(description='Unit of the concentrations, such as "µM".')
    preincubation_column: str = Field(description="Column of the times of inhibitor and enzyme alone.")
    incubation_column: str = Field(description="Column of the times with substrate.")
    time_unit: str = Field("min", description="Unit of both times.")
    signal_column: str = Field(description="Column of the product, as percent of the control.")
    substrate: str = Field(description='After its addition, such as "1.43 µM".')
    km: str = Field(description="Michaelis constant of the substrate.")
    kcat: float = Field(gt=0, description="Turnover of the substrate, by the time unit.")
    enzyme: str = Field(description="During the pre-incubation.")
    volume_before: float = Field(1.0, gt=0, description="Before the substrate is added, in any unit.")
    volume_after: float = Field(1.0, gt=0, description="After it, in the same unit.")

    @property
    def files(self) -> tuple[str, ...]:
        """Files that the analysis is made from."""
        return (self.file,)


class WashoutEntry(Section):
    """Binding after a wash: are the sites lost, or do they come back?"""

    name: str = Field(min_length=1, description="Title of the analysis.")
    file: str = Field(description="Table with one tube a row, relative to study.toml.")
    arm_column: str = Field(description="Column that says control, washed or kept.")
    time_column: str = Field(description="Column of the times from the wash to the binding.")
    time_unit: str = Field("h", description="Its unit.")
    signal_column: str = Field(description="Column of specific binding.")
    rival_half_life: _Time = Field(None, description='Of the reversible ligand to be excluded, such as "6 h".')

    @property
    def files(self) -> tuple[str, ...]:
        """Files that the analysis is made from."""
        return (self.file,)


class FunctionEntry(Section):
    """Agonist curves beside several concentrations of an antagonist: pA2."""

    name: str = Field(min_length=1, description="Title of the analysis.")
    file: str = Field(description="Table with one well a row, relative to study.toml.")
    agonist_column: str = Field(description="Column of the agonist's concentrations.")
    antagonist_column: str = Field(description="Column of the antagonist's concentrations; 0 is none.")
    unit: str = Field(description='Unit of both, such as "µM".')
    signal_column: str = Field(description="Column of the responses.")
    quantity: str = Field("response", description="What was measured, for the axes.")

    @property
    def files(self) -> tuple[str, ...]:
        """Files that the analysis is made from."""
        return (self.file,)


class Exclude(Section):
    """Wells left out, with the reason."""

    plate: str = Field(description="Name of the plate as the report shows it.")
    wells: list[str] = Field(min_length=1, description='Such as ["C7", "C8"].')
    reason: str = Field(min_length=3, description="Why. Stands in the report.")
    experiment: str | None = Field(None, description="Only where two experiments have a plate of the same name.")

    @field_validator("wells")
    @classmethod
    def _are_wells(cls, value: list[str]) -> list[str]:
        return [parse_well(well) for well in value]


class Compare(Section):
    """A ratio of two EC50s of one compound: that in the spared cells over that in the target cells."""

    compound: str = Field(description="Compound.")
    target: str = Field(description="Line that the compound is meant to kill.")
    spared: str = Field(description="Line that it is meant to spare.")
    name: str = Field("selectivity index", description="Name of the ratio.")
