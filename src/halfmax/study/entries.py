"""The sections of a study document: what each entry of `study.toml` may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from halfmax.errors import RangeError
from halfmax.units import concentration, concentration_factor, convert, duration, split
from halfmax.wells import PLATE_SHAPES, parse_well

__all__ = [
    "AnalysisEntry",
    "BindingEntry",
    "CalciumSection",
    "Compare",
    "Exclude",
    "FunctionEntry",
    "InactivationEntry",
    "KineticPlateEntry",
    "MovieEntry",
    "PlateEntry",
    "Section",
    "SelectivityEntry",
    "StudySection",
    "TableEntry",
    "TimeCourseEntry",
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


class AnalysisEntry(Section):
    """An analysis that is made from one table."""

    name: str = Field(min_length=1, description="Title of the analysis.")
    file: str = Field(
        description="Table with one observation (well, tube, reading, rate) a row, relative to study.toml."
    )

    @property
    def files(self) -> tuple[str, ...]:
        """Files that the analysis is made from."""
        return (self.file,)


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
    receptor: str | None = Field(None, description="Sites in a tube where known, for depletion with counts.")
    covalent: list[str] = Field(
        default_factory=list, description="Compounds that may bind irreversibly: what their Ki leaves open is shown."
    )
    incubation_time: _Time = Field(None, description='Of the competition, such as "120 min"; for covalent compounds.')
    off_half_life: _Time = Field(None, description="Of the radioligand; where not given, it equilibrates at once.")

    @property
    def files(self) -> tuple[str, ...]:
        """Files that the analysis is made from."""
        return (self.counts, self.layout)

    @model_validator(mode="after")
    def _has_kd(self) -> BindingEntry:
        if self.analysis == "competition" and self.kd is None:
            raise RangeError('Ki needs the Kd of the radioligand. Add kd = "20 nM".')
        for amount in (self.kd, self.receptor):
            if amount is not None:
                concentration(amount)
        if self.covalent and self.incubation_time is None:
            raise RangeError('the Ki of a covalent ligand depends on the time. Add incubation_time = "120 min".')
        return self


class SelectivityEntry(Section):
    """A Ki at one receptor over that at another, or over a published one."""

    name: str = Field("selectivity", min_length=1, description="Title of the analysis.")
    compound: str = Field(description="Compound, as the layouts write it.")
    target: str = Field(description="Name of the [[binding]] of the receptor that is meant.")
    other: str | None = Field(None, description="Name of the [[binding]] of the other receptor.")
    other_ki: str | None = Field(None, description='Or a published Ki there, such as "> 10 µM".')

    @model_validator(mode="after")
    def _has_one_other(self) -> SelectivityEntry:
        if (self.other is None) == (self.other_ki is None):
            raise RangeError('give either other (a [[binding]]) or other_ki (such as "> 10 µM").')
        return self


class _Keys(NamedTuple):
    """Keys of one analysis: what it needs, with an example of each, and what it may have besides."""

    needs: Mapping[str, str]
    may: tuple[str, ...] = ()


def _has_its_keys(entry: Section, analysis: str, known: Mapping[str, _Keys]) -> None:
    """Refuse an entry that lacks a key of its analysis, or has one of another."""
    for name, example in known[analysis].needs.items():
        if getattr(entry, name) in ("", None):
            others = ", ".join(f'"{other}"' for other in known if other != analysis)
            raise RangeError(
                f'analysis = "{analysis}" needs {name}. Add {name} = {example}, or choose another analysis: {others}.'
            )
    for name in sorted(entry.model_fields_set):
        owners = [other for other, keys in known.items() if name in keys.needs or name in keys.may]
        if owners and analysis not in owners:
            raise RangeError(
                f'{name} has no meaning for analysis = "{analysis}". Remove it, or set analysis = "{owners[0]}".'
            )


def _is_concentration_unit(value: str) -> str:
    if value:
        concentration_factor(value)
    return value


def _is_time_unit(value: str) -> str:
    duration(1, unit=value)
    return value


def _is_concentration(value: str) -> str:
    if value and not concentration(value) > 0:
        raise RangeError(f'a concentration above 0 was expected, found "{value}". Write it as "5 nM".')
    return value


def _rate(value: str, target: str, example: str) -> float:
    """A rate constant in the unit `target`; it may be written ``0.12 /min``."""
    try:
        number, unit = split(value)
        rate = convert(number, target, unit=f"1{unit}" if unit.startswith("/") else unit)
    except RangeError:
        rate = 0.0
    if not rate > 0:
        raise RangeError(f'a rate constant above 0 was expected, found "{value}". Write it as "{example}".')
    return rate


def _kon(value: str) -> float:
    return _rate(value, "1/molar/second", "0.006 /nM/min")


def _koff(value: str) -> float:
    return _rate(value, "1/second", "0.12 /min")


_ConcentrationUnit = Annotated[str, AfterValidator(_is_concentration_unit)]
_TimeUnit = Annotated[str, AfterValidator(_is_time_unit)]
_Concentration = Annotated[str, AfterValidator(_is_concentration)]

_INACTIVATION = {
    "endpoint": _Keys(
        {"preincubation_column": '"preincubation"', "incubation_column": '"incubation"', "substrate": '"1.4 µM"',
         "km": '"2.9 µM"', "kcat": "11", "enzyme": '"0.2 nM"'},
        ("volume_before", "volume_after", "reversible", "fit_control", "quantity"),
    ),
    "sites": _Keys({"time_column": '"minutes"'}, ("quantity",)),
    "rates": _Keys({}),
}  # fmt: skip


class InactivationEntry(AnalysisEntry):
    """Inactivation by a covalent ligand: kinact, K_I and their ratio."""

    analysis: Literal["endpoint", "sites", "rates"] = Field(
        "endpoint",
        description="What was read: product once after several pre-incubations; sites or activity left after several "
        "times with the ligand; or rates of inactivation (k_obs).",
    )
    concentration_column: str = Field(description="Column of the ligand's concentrations; 0 is the control.")
    unit: _ConcentrationUnit = Field(description='Unit of the concentrations, such as "µM".')
    signal_column: str = Field(
        description="Column of the product (percent of the control), of the sites or activity left, or of k_obs by "
        "the time unit."
    )
    time_unit: _TimeUnit = Field("min", description="Unit of all times, and of k_obs and kcat.")
    quantity: str = Field("", description='What was read, for the axis, such as "sites left (%)". Not for "rates".')
    noise: Literal["constant", "proportional", "power"] = Field(
        "constant", description="Whether wells scatter alike, or as the signal, or as a power of it that is fitted."
    )
    time_column: str = Field("", description='For "sites": column of the times with the ligand.')
    preincubation_column: str = Field("", description='For "endpoint": column of the times of ligand and enzyme alone.')
    incubation_column: str = Field("", description='For "endpoint": column of the times with substrate.')
    substrate: _Concentration = Field("", description='For "endpoint": after its addition, such as "1.43 µM".')
    km: _Concentration = Field("", description='For "endpoint": Michaelis constant of the substrate.')
    kcat: float | None = Field(None, gt=0, description='For "endpoint": turnover of the substrate, by the time unit.')
    enzyme: _Concentration = Field("", description='For "endpoint": during the pre-incubation.')
    volume_before: float = Field(
        1.0, gt=0, description='For "endpoint": volume before the substrate is added, in any unit.'
    )
    volume_after: float = Field(1.0, gt=0, description='For "endpoint": volume after it, in the same unit.')
    reversible: bool = Field(
        False,
        description='For "endpoint": whether the covalent bond opens again, at k6; kinact is then the k5 of EPIC-CoRe.',
    )
    fit_control: bool = Field(
        False, description='For "endpoint": whether the signal without ligand is fitted; else the signal is percent.'
    )

    @model_validator(mode="after")
    def _is_complete(self) -> InactivationEntry:
        _has_its_keys(self, self.analysis, _INACTIVATION)
        return self


_TIME_COURSE = {
    "radioligand": _Keys({"concentration_column": '"radioligand"', "unit": '"nM"'}),
    "competitor": _Keys(
        {"concentration_column": '"competitor"', "unit": '"nM"', "radioligand_kon": '"0.006 /nM/min"',
         "radioligand_koff": '"0.12 /min"'},
        ("radioligand_concentration", "radioligand_column"),
    ),
    "single": _Keys({}, ("model", "concentration_column", "unit")),
}  # fmt: skip


class TimeCourseEntry(AnalysisEntry):
    """Binding in time: k_on and k_off of a radioligand, of a competitor beside it, or one course alone."""

    analysis: Literal["radioligand", "competitor", "single"] = Field(
        "radioligand",
        description="What is fitted: association of a radioligand at several concentrations; a radioligand beside an "
        "unlabelled competitor (Motulsky and Mahan); or each course alone.",
    )
    time_column: str = Field(description="Column of the times since binding, or unbinding, began.")
    time_unit: _TimeUnit = Field("min", description="Its unit.")
    signal_column: str = Field(description="Column of specific binding; negative values stay.")
    quantity: str = Field("specific binding", description="What was read, for the axis, with its unit.")
    concentration_column: str = Field(
        "",
        description='Column of the concentrations of the radioligand, or of the competitor (0 is none). For "single", '
        "where there is one, each concentration is a course of its own.",
    )
    unit: _ConcentrationUnit = Field("", description='Unit of these, and of radioligand_column, such as "nM".')
    radioligand_concentration: _Concentration = Field(
        "", description='For "competitor": the radioligand in all tubes, such as "5 nM".'
    )
    radioligand_column: str = Field(
        "", description='For "competitor": column of the radioligand, where it is not the same in all tubes.'
    )
    radioligand_kon: str = Field("", description='For "competitor": k_on of the radioligand, such as "0.006 /nM/min".')
    radioligand_koff: str = Field("", description='For "competitor": k_off of the radioligand, such as "0.12 /min".')
    model: Literal["association", "dissociation"] = Field(
        "association", description='For "single": whether binding rises to its plateau or falls to it.'
    )

    @property
    def radioligand_rates(self) -> tuple[float, float]:
        """k_on in 1/(M s) and k_off in 1/s of the radioligand."""
        return _kon(self.radioligand_kon), _koff(self.radioligand_koff)

    @field_validator("radioligand_kon")
    @classmethod
    def _is_kon(cls, value: str) -> str:
        _kon(value)
        return value

    @field_validator("radioligand_koff")
    @classmethod
    def _is_koff(cls, value: str) -> str:
        _koff(value)
        return value

    @model_validator(mode="after")
    def _is_complete(self) -> TimeCourseEntry:
        _has_its_keys(self, self.analysis, _TIME_COURSE)
        if self.concentration_column and not self.unit:
            raise RangeError('concentration_column has no unit. Add unit = "nM".')
        if self.analysis == "competitor" and bool(self.radioligand_concentration) == bool(self.radioligand_column):
            raise RangeError(
                'a competition needs the radioligand once. Add either radioligand_concentration = "5 nM", or '
                'radioligand_column = "radioligand".'
            )
        return self


class WashoutEntry(AnalysisEntry):
    """Binding after a wash: are the sites lost, or do they come back?"""

    arm_column: str = Field(description="Column that says control, washed or kept.")
    time_column: str = Field(description="Column of the times from the wash to the binding.")
    time_unit: str = Field("h", description="Its unit.")
    signal_column: str = Field(description="Column of specific binding.")
    rival_half_life: _Time = Field(None, description='Of the reversible ligand to be excluded, such as "6 h".')


_FUNCTION = {
    "antagonist": _Keys({"antagonist_column": '"SN79"'}, ("ligand",)),
    "agonists": _Keys({"ligand_column": '"ligand"', "full": '"CB-64D"'}, ("hill_form",)),
    "inactivation": _Keys({"treatment_column": '"treatment"', "control": '"none"'}),
    "pretreatment": _Keys({"irreversible_column": '"CM572"'}, ("time", "time_column", "time_unit", "ligand")),
    "together": _Keys({"irreversible_column": '"CM572"'}, ("time", "time_column", "time_unit", "ligand")),
}  # fmt: skip


class FunctionEntry(AnalysisEntry):
    """Curves of agonists: beside each other, beside an antagonist, after receptors were inactivated."""

    analysis: Literal["antagonist", "agonists", "inactivation", "pretreatment", "together"] = Field(
        "antagonist", description="What is fitted."
    )
    agonist_column: str = Field(description="Column of the agonist's concentrations; 0 is none.")
    unit: _ConcentrationUnit = Field(description='Unit of all concentrations, such as "µM".')
    signal_column: str = Field(description="Column of the responses.")
    quantity: str = Field("response", description="What was measured, for the axes.")
    antagonist_column: str | None = Field(
        None, description="For antagonist: column of the antagonist's concentrations; 0 is none."
    )
    ligand_column: str | None = Field(None, description="For agonists: column of the agonists' names.")
    full: str | None = Field(None, description='For agonists: the one that is taken to be full, such as "CB-64D".')
    hill_form: bool = Field(False, description="For agonists: the Hill form of the operational model.")
    treatment_column: str | None = Field(None, description="For inactivation: column of the treatments' names.")
    control: str | None = Field(
        None, description='For inactivation: the treatment that inactivates nothing, such as "none".'
    )
    irreversible_column: str | None = Field(
        None,
        description="For pretreatment and together: column of the irreversible ligand's concentrations; 0 is none.",
    )
    time: _Time = Field(
        None,
        description='How long the pretreatment was, or from adding both to reading, such as "60 min". A pretreatment '
        "may go without: then each dose has its share of receptors left.",
    )
    time_column: str | None = Field(None, description="Column of these times, where there are several.")
    time_unit: _TimeUnit = Field("min", description="Unit of that column.")
    agonist: str = Field("", description='Name of the agonist, for axes and words, such as "CB-64D".')
    ligand: str = Field("", description="Name of the antagonist or of the irreversible ligand, for legends and words.")
    hold: list[str] = Field(
        [],
        description='What is known and not fitted, such as ["transducer_slope = 1", "ka = 250 nM"]; without a unit in '
        "that of estimates.csv.",
    )

    @property
    def held(self) -> dict[str, float]:
        """Value of each parameter that is not fitted; concentrations in M."""
        return dict(map(self._read_held, self.hold))

    @staticmethod
    def _read_held(text: str) -> tuple[str, float]:
        name, _, value = (part.strip() for part in text.partition("="))
        if not (name and value):
            raise RangeError(f'expected a name and its value, found "{text}". Write "transducer_slope = 1".')
        number, unit = split(value)
        return name, concentration(value) if unit else number

    @field_validator("hold")
    @classmethod
    def _is_held_once(cls, value: list[str]) -> list[str]:
        names = [cls._read_held(text)[0] for text in value]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise RangeError(f"{twice[0]} is held twice. Keep one of them.")
        return value

    @model_validator(mode="after")
    def _is_complete(self) -> FunctionEntry:
        _has_its_keys(self, self.analysis, _FUNCTION)
        if self.time and self.time_column:
            raise RangeError("time and time_column both say it. Keep one of them.")
        if self.analysis == "together" and not (self.time or self.time_column):
            raise RangeError('analysis = "together" needs time or time_column. Add time = "60 min".')
        return self


class KineticPlateEntry(Section):
    """A kinetic plate (FLIPR, FlexStation): calcium in each well before and after an addition."""

    name: str = Field(
        min_length=1, description="Title of the analysis. Entries of one name are its experiments and their plates."
    )
    file: str = Field(description="The reader's kinetic export, relative to study.toml.")
    layout: str = Field(description="The plate map, relative to study.toml.")
    plate: str | None = Field(None, description="Name of the plate in the file, where only one of several is meant.")
    experiment: _Name = Field("1", description="Name of the independent experiment (a day, a passage).")
    cell_line: str = Field("", description="Cell line, where the layout does not say.")
    mode: Literal["agonist", "antagonist"] = Field(
        "agonist", description="Whether the compound raises the signal, or lowers that of a fixed agonist."
    )
    quantity: Literal["peak", "area", "plateau"] = Field(
        "peak", description="What of a trace, above its own baseline, is the response of a well."
    )
    channel: str | None = Field(
        None, description="Channel, where the file holds several that are no pair of 340 and 380 nm."
    )
    background: list[str] = Field(
        [], description='Light without cells for each channel, such as ["340 = 20", "380 = 35"]; else of blank wells.'
    )
    addition: _Time = Field(None, description='When it was added, such as "20 s"; else it is found on each plate.')
    quiet: Literal["none", "vehicle", "untreated"] = Field(
        "none", description="Role of wells that do not respond: they tell when the artefact of the addition is over."
    )
    window_start: _Time = Field(
        None, description="Start of the response after the addition; else the end of its artefact."
    )
    window_end: _Time = Field(None, description="End of the response after the addition; else that of the recording.")
    baseline: _Time = Field(None, description="How long before the addition the baseline is; else from the first read.")
    reference: str = Field(
        "", description="Compound whose highest dose is 100 %, such as ionomycin; for the eye, fits are on raw signals."
    )
    agonist: str = Field("", description='For antagonist: what is added to all wells, such as "ATP 10 µM"; for words.')
    exclude: list[str] = Field([], description='Wells left out, such as ["D6"]; with their reason.')
    reason: str = Field("", description="Why these wells are left out. Stands in the report.")

    @property
    def files(self) -> tuple[str, ...]:
        """Files that the analysis is made from."""
        return (self.file, self.layout)

    @property
    def where(self) -> str:
        """Entry and file, for a message."""
        return f"kinetic_plate {self.name} ({self.file})"

    @property
    def dark(self) -> dict[str, float]:
        """Light without cells by channel."""
        return dict(map(self._read_dark, self.background))

    @staticmethod
    def _read_dark(text: str) -> tuple[str, float]:
        channel, _, value = (part.strip() for part in text.partition("="))
        try:
            return channel, float(value)
        except ValueError:
            raise RangeError(f'expected a channel and its light, found "{text}". Write "340 = 20".') from None

    @field_validator("background")
    @classmethod
    def _is_dark(cls, value: list[str]) -> list[str]:
        for text in value:
            cls._read_dark(text)
        return value

    @field_validator("exclude")
    @classmethod
    def _are_wells(cls, value: list[str]) -> list[str]:
        return [parse_well(well) for well in value]

    @model_validator(mode="after")
    def _is_complete(self) -> KineticPlateEntry:
        if bool(self.exclude) != (len(self.reason) > 2):
            raise RangeError('wells are left out with a reason. Write exclude = ["D6"] and reason = "…", or neither.')
        if self.agonist and self.mode == "agonist":
            raise RangeError('agonist names what an antagonist works against. Remove it, or set mode = "antagonist".')
        if self.window_end and duration(self.window_end) <= duration(self.window_start or "0 s"):
            raise RangeError(
                f"the window must end after it starts, found {self.window_start or '0 s'} to {self.window_end}. "
                "Both are counted from the addition."
            )
        return self


class CalciumSection(Section):
    """How recordings of calcium are analysed."""

    baseline: str = Field("60 s", description="Length of the window before a stimulus.")
    response: str = Field("60 s", description="Length of the window after it.")
    settle: str = Field("0 s", description="Time from the addition to the window.")
    bleaching: bool = Field(True, description="Whether bleaching is made good.")
    quantity: Literal["peak", "area", "sustained"] = Field("peak", description="What is measured of a cell.")
    summary: Literal["mean", "fraction", "fraction_amplitude"] = Field(
        "mean",
        description="What a dish is worth: the mean of all its cells, the share that responds, or that share times "
        "the mean of those that do.",
    )
    rmin: float | None = Field(None, gt=0, description="Ratio without calcium; with rmax it gives [Ca²⁺].")
    rmax: float | None = Field(None, gt=0, description="Ratio with saturating calcium.")
    beta: float = Field(1.0, gt=0, description="Light of the second channel without calcium over that with it.")
    kd: str = Field("224 nM", description="Of the dye.")
    rmin_error: float = Field(0.0, ge=0, description="Standard error of ln rmin; 0.05 is 5 %.")
    rmax_error: float = Field(0.0, ge=0, description="Of ln rmax.")
    beta_error: float = Field(0.0, ge=0, description="Of ln beta.")
    kd_error: float = Field(0.0, ge=0, description="Of ln kd.")
    gain: float | None = Field(None, gt=0, description="Of the camera, ADU per electron; measured where not given.")
    read_noise: float = Field(0.0, ge=0, description="SD of a pixel in the dark, ADU.")
    offset: float = Field(0.0, description="What the camera writes in the dark, ADU.")

    @model_validator(mode="after")
    def _is_calibrated_or_not(self) -> CalciumSection:
        if (self.rmin is None) != (self.rmax is None):
            raise RangeError("rmin and rmax go together. Give both, or neither.")
        if self.rmin is not None and self.rmax is not None and self.rmax <= self.rmin:
            raise RangeError(f"rmax must be above rmin, found {self.rmax:g} and {self.rmin:g}. Exchange them.")
        for time in (self.baseline, self.response, self.settle):
            duration(time)
        concentration(self.kd)
        return self


class MovieEntry(Section):
    """A recording of one dish."""

    file: str = Field(description="The recording, relative to study.toml.")
    more_files: list[str] = Field(default_factory=list, description="Further files, where each channel has its own.")
    stimuli: str | None = Field(None, description="What was added and when: a table, relative to study.toml.")
    masks: str | None = Field(None, description="Label image or ROIs of the first frame; found where not given.")
    channels: list[str] | None = Field(None, description='Where the file does not say, such as ["340", "380"].')
    order: Literal["interleaved", "planar"] | None = Field(None, description="Of the pages of a plain stack.")
    interval: _Time = Field(None, description='From frame to frame, where the file does not say, such as "2 s".')
    diameter: float | None = Field(None, gt=0, description="Of a cell, pixels, where cells are to be found.")
    frames: int | None = Field(None, gt=1, description="Only so many from the start, as of a file that was cut off.")
    cell_line: str = Field("", description="Cell line.")
    dish: _Name = Field("", description="Name of the dish; that of the file where not given.")
    experiment: _Name = Field("1", description="Name of the independent experiment: the day.")

    @property
    def files(self) -> tuple[str, ...]:
        """Files that the analysis is made from."""
        return (self.file, *self.more_files, *(name for name in (self.stimuli, self.masks) if name))


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
