"""Exports of instruments that `halfmax.readers.plate` does not read, through allotropy where it is installed.

allotropy turns an export into an Allotrope document (ASM).  `table_of_document`
takes the plate readings out of one.  A well that the instrument could not read
carries a number there all the same (``-0.0``); only its error document tells, so
that is asked first and the number beside it never believed.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from halfmax.errors import FileError, RangeError, nearest
from halfmax.readers.cell import Reading, signal
from halfmax.readers.grid import Distinct
from halfmax.readers.plate import table_of
from halfmax.readers.sheet import check_there
from halfmax.table import AssayTable, Source
from halfmax.wells import parse_well

__all__ = ["read_vendor", "readings_of_document"]

_QUANTITIES = ("absorbance", "fluorescence", "luminescence")
_Document = dict[str, Any]


def read_vendor(path: str | Path, vendor: str | None = None) -> AssayTable:
    """Table of a plate reader's export, by way of allotropy.

    Parameters
    ----------
    path : str or Path
        The export.
    vendor : str, optional
        allotropy's name of the instrument's software, such as ``"AGILENT_GEN5"``;
        without it, allotropy guesses.

    Raises
    ------
    FileError
        If allotropy is not installed, does not know the vendor, cannot read the
        file, or finds no plate readings in it.
    """
    path = Path(path)
    check_there(path)
    if importlib.util.find_spec("allotropy") is None:
        raise FileError(
            f'{path.name}: reading it needs allotropy, which is not installed. Run `pip install "halfmax[vendor]"`.'
        )
    document = _document(path, vendor)
    readings = readings_of_document(document, path.stem)
    if not readings:
        found = ", ".join(key for key in document if not key.startswith("$")) or "nothing"
        raise FileError(f"{path.name}: expected the readings of a plate, found {found}. Give a plate reader's export.")
    return table_of(readings, Source.of(path, reader=f"allotropy {vendor}" if vendor else "allotropy"))


def _document(path: Path, vendor: str | None) -> _Document:
    """Allotrope document of a file; whatever allotropy raises becomes a FileError."""
    from allotropy.parser_factory import Vendor
    from allotropy.to_allotrope import allotrope_from_file

    chosen = None
    if vendor is not None:
        names = {name: member for member in Vendor for name in (member.name, str(member.value))}
        if vendor not in names:
            hint = nearest(vendor, [member.name for member in Vendor])
            raise FileError(f'{path.name}: allotropy has no vendor "{vendor}". {hint}')
        chosen = names[vendor]
    try:
        document: _Document = allotrope_from_file(str(path), chosen)
    except Exception as error:  # a parser of another code base may raise anything; nothing is hidden
        raise FileError(f"{path.name}: allotropy could not read it ({type(error).__name__}: {error}).") from error
    return document


def readings_of_document(document: _Document, plate: str) -> list[Reading]:
    """Plate readings of an Allotrope document; `plate` names the plates that have no name in it.

    Examples
    --------
    >>> measured = {"sample document": {"location identifier": "A1"}, "absorbance": {"value": 0.5, "unit": "mAU"}}
    >>> group = {"measurement aggregate document": {"measurement document": [measured]}}
    >>> document = {"plate reader aggregate document": {"plate reader document": [group]}}
    >>> [(r.plate, r.well, r.signal) for r in readings_of_document(document, "p1")]
    [('p1', 'A1', 0.5)]
    """
    distinct = Distinct()
    readings = []
    for measurement in _measurements(document):
        for reading in _readings(measurement, plate):
            place = reading._replace(channel="").place
            readings.append(reading._replace(channel=distinct(reading.channel, place)))
    return readings


def _measurements(document: _Document) -> Iterator[_Document]:
    """All measurement documents of all plate readers' documents."""
    aggregate = document.get("plate reader aggregate document", {})
    for group in aggregate.get("plate reader document", []):
        yield from group.get("measurement aggregate document", {}).get("measurement document", [])


def _readings(measurement: _Document, plate: str) -> Iterator[Reading]:
    """Readings of one well in one channel: one value, or the course of a data cube."""
    sample = measurement.get("sample document", {})
    location = str(sample.get("location identifier") or sample.get("well location identifier") or "")
    try:
        well = parse_well(location)
    except RangeError as error:
        raise FileError(f"{plate}: the document names a well that is none: {error}") from error
    name = str(sample.get("well plate identifier") or plate)
    for quantity in _QUANTITIES:
        if quantity in measurement:
            value, flag = _value(measurement[quantity].get("value"), _errors(measurement, quantity))
            yield Reading(name, well, _channel(measurement, quantity), math.nan, value, flag)
    for key, cube in measurement.items():
        if key.endswith("data cube"):
            yield from _course(measurement, cube, name, well)


def _course(measurement: _Document, cube: _Document, plate: str, well: str) -> Iterator[Reading]:
    """Readings of a data cube over time; other cubes (spectra) are no plate readings."""
    structure = cube.get("cube-structure", {})
    dimensions = [part.get("concept") for part in structure.get("dimensions", [])]
    measures = [part.get("concept") for part in structure.get("measures", [])]
    if dimensions != ["elapsed time"] or len(measures) != 1 or measures[0] not in _QUANTITIES:
        return
    times, values = cube["data"]["dimensions"][0], cube["data"]["measures"][0]
    errors = _errors(measurement, measures[0])
    channel = _channel(measurement, measures[0])
    for time_s, value in zip(times, values, strict=True):
        # In a course that had an error, the points it stands for are -0.0 or null; the others were read.
        doubtful = value is None or (value == 0 and math.copysign(1.0, value) < 0)
        found, flag = _value(value, errors if doubtful else [])
        yield Reading(plate, well, channel, float(time_s), found, flag)


def _errors(measurement: _Document, quantity: str) -> list[str]:
    """Errors that a measurement reports of a quantity, or of no quantity in particular."""
    documents = measurement.get("error aggregate document", {}).get("error document", [])
    return [
        str(document.get("error", ""))
        for document in documents
        if str(document.get("error feature", quantity)).casefold() in (quantity, "", "n/a")
    ]


def _value(value: Any, errors: list[str]) -> tuple[float, str]:
    """Signal and flag: the error where there is one, whatever the number beside it."""
    for text in errors:
        known = signal(text)
        return math.nan, known[1] if known and known[1] else "error"
    if value is None or not math.isfinite(float(value)):
        return math.nan, "empty"
    return float(value), ""


def _channel(measurement: _Document, quantity: str) -> str:
    """Wavelength of an absorbance, excitation/emission of a fluorescence, else the quantity."""
    controls = measurement.get("device control aggregate document", {}).get("device control document", [])
    settings = controls[0] if controls else {}
    detector = _wavelength(settings, "detector wavelength setting")
    excitation = _wavelength(settings, "excitation wavelength setting")
    if quantity == "fluorescence" and detector and excitation:
        return f"{excitation}/{detector}"
    return detector if detector and quantity != "luminescence" else quantity


def _wavelength(settings: _Document, key: str) -> str:
    value = settings.get(key, {}).get("value")
    return f"{float(value):g}" if value is not None else ""
