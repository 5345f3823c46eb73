"""Traces of a recording as NWB: the light of each channel, and the ratio or ΔF/F0 that was made of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from halfmax.errors import FileError
from halfmax.study.analyses.dish import Recorded

__all__ = ["write_nwb"]

#: Excitation and emission of Fura-2; other dyes are written without.
_EMISSION_NM = 510.0
#: What a name in NWB may not hold.
_PLAIN = str.maketrans("/:", "__")


def write_nwb(one: Recorded, path: Path) -> None:
    """Write cells, traces and signal.

    Parameters
    ----------
    one : Recorded
    path : Path
        Ends in ``.nwb``.

    Raises
    ------
    FileError
        If pynwb is not installed.
    """
    try:
        import pynwb
    except ImportError:
        raise FileError('NWB needs pynwb. Install it with: pip install "halfmax[nwb]"') from None
    dish = one.dish
    file = pynwb.NWBFile(
        session_description=_described(one), identifier=one.sources[0].sha256 if one.sources else one.name,
        session_start_time=datetime(1970, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    regions = _regions(pynwb, file, one)
    module = file.create_processing_module("ophys", "Traces of cells, background taken off.")
    module.add(regions[0])
    fluorescence = pynwb.ophys.Fluorescence(name="Fluorescence")
    module.add(fluorescence)
    for channel, name in enumerate(dish.traces.channels):
        fluorescence.add_roi_response_series(
            pynwb.ophys.RoiResponseSeries(
                name=f"F{name or 'luorescence'}".translate(_PLAIN), data=dish.traces.signal[channel].T,
                rois=regions[1], unit="ADU", timestamps=dish.traces.time_s[:, channel],
                description="Mean of the cell's pixels less background.",
            )
        )  # fmt: skip
    derived = pynwb.ophys.DfOverF(name="Derived")
    module.add(derived)
    derived.add_roi_response_series(
        pynwb.ophys.RoiResponseSeries(
            name="ratio" if dish.unit == "ratio" else "dff", data=dish.signal.T, rois=regions[1], unit="a.u.",
            timestamps=dish.time_s, description=f"{dish.unit}, bleaching made good.",
        )
    )  # fmt: skip
    with pynwb.NWBHDF5IO(str(path), "w") as stream:
        stream.write(file)


def _described(one: Recorded) -> str:
    said = "SIMULATED by halfmax: no instrument measured this. " if one.movie.simulated else ""
    return f"{said}Calcium recording {one.name}. The time of its start is not known: 1970-01-01 stands for it."


def _regions(pynwb: Any, file: Any, one: Recorded) -> tuple[Any, Any]:
    """The cells as pixel masks, and the table region of all of them."""
    device = file.create_device(name="Microscope")
    names = one.dish.traces.channels
    channels = [
        pynwb.ophys.OpticalChannel(name=f"channel {name or 1}", description="emission", emission_lambda=_EMISSION_NM)
        for name in names
    ]
    plane = file.create_imaging_plane(
        name="ImagingPlane", optical_channel=channels, description="Cells of one dish.", device=device,
        excitation_lambda=float(names[0]) if names[0].isdigit() else float("nan"), indicator="calcium dye",
        location="dish", grid_spacing=[one.movie.pixel_um] * 2, grid_spacing_unit="micrometers",
    )  # fmt: skip
    segmentation = pynwb.ophys.ImageSegmentation(name="ImageSegmentation")
    table = segmentation.create_plane_segmentation(
        name="Cells", description="Cells of the first frame.", imaging_plane=plane
    )
    for label in one.dish.traces.labels.tolist():
        rows, columns = np.nonzero(one.dish.labels == label)
        table.add_roi(pixel_mask=[(int(x), int(y), 1.0) for y, x in zip(rows, columns, strict=True)])
    rois = table.create_roi_table_region("All cells.", region=list(range(one.dish.cells)))
    return segmentation, rois
