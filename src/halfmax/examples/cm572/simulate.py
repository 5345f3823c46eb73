"""Simulate the plates of this study: MTT after CM572, round published EC50s.

No raw data of CM572 are public.  These are **simulated**: the published EC50 of each
line (PANC-1 has none; 12 µM is assumed), independent experiments that scatter by
0.08 decades, wells that scatter round a log-logistic curve, written as the files that
plate readers write.  Run this script to write them again; the seed fixes every byte.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from halfmax.curves import hill

SEED = 572
EXPERIMENTS = 3
BETWEEN_SD = 0.08  # decades
DOSES = np.array([0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]) * 1e-6
NOTE = "SIMULATED by halfmax: no instrument measured these data"
BLANK, READ_NOISE, CELL_NOISE, COLOUR = 0.085, 0.003, 0.035, 250.0  # OD, OD, OD, OD per M


@dataclass(frozen=True)
class Line:
    """A cell line as simulated; `published` is False where the EC50 is an assumption."""

    name: str
    ec50: float  # M
    hours: int
    signal: float  # OD of untreated cells above the blank
    published: bool = True


LINES = (
    Line("MCF-7", 4.9e-6, 48, 0.95),
    Line("HMEC", 32.3e-6, 48, 0.72),
    Line("SK-N-SH", 7.6e-6, 24, 0.81),
    Line("PANC-1", 12.0e-6, 48, 1.05, published=False),
)


def plate(line: Line, ec50: float, level: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Absorbance at 570 and 660 nm of one plate, shape (8, 12)."""
    top = line.signal * level
    above = np.zeros((8, 12))  # OD above the blank
    cells = np.zeros((8, 12), dtype=bool)
    survival = hill(DOSES, ec50=ec50, hill_slope=-1.9, top=1.0, bottom=0.02)
    above[1:4, 1:11], cells[1:4, 1:11] = top * survival, True
    above[1:5, 1:11] += COLOUR * DOSES  # rows B to E hold the compound
    above[5, 1:11], cells[5, 1:11] = top, True
    above[6, 1:7], cells[6, 1:7] = 0.02 * top, True
    share = np.clip(above / top, 0.15, 1.0)
    above += cells * rng.normal(0, CELL_NOISE, above.shape) * np.sqrt(share)
    reference = 0.042 + 0.02 * np.maximum(above, 0) + rng.normal(0, READ_NOISE / 2, above.shape)
    signal = BLANK + np.maximum(above, -0.02) + rng.normal(0, READ_NOISE, above.shape) + (reference - 0.042)
    return signal, reference


def softmax(name: str, signal: np.ndarray, reference: np.ndarray) -> bytes:
    """SoftMax Pro export, two wavelengths side by side, UTF-16."""
    head = [name, "1.3", "PlateFormat", "Endpoint", "Absorbance", "Raw", "FALSE", "1", "", "", "", "", "", "2"]
    columns = [str(number) for number in range(1, 13)]
    rows = [["##BLOCKS= 2"], ["Note:"], [NOTE], ["~End"],
            ["Plate:", *head, "570 660", "1", "12", "96", "1", "8", "None"],
            ["", "Temperature(°C)", *columns, "", *columns]]  # fmt: skip
    for row in range(8):
        values = [[f"{value:.4f}" for value in grid[row]] for grid in (signal, reference)]
        rows.append(["", "37.00" if row == 0 else "", *values[0], "", *values[1]])
    rows += [[], ["~End"], [f"Original Filename: {name} (simulated); Date Last Saved: Unsaved"]]
    return ("\ufeff" + "\r\n".join("\t".join(row) for row in rows) + "\r\n").encode("utf-16-le")


def gen5(name: str, signal: np.ndarray, reference: np.ndarray) -> bytes:
    """Gen5 text export, two reads a well in a matrix."""
    rows = [[], ["Software Version", "3.12.08"], [], ["Experiment File Path:", NOTE], ["Protocol File Path:", ""], [],
            ["Plate Number", name], ["Date", "1/1/2024"], ["Time", "12:00:00 PM"], ["Reader Type:", "simulated"],
            ["Reader Serial Number:", "simulated"], ["Reading Type", "Simulation"], [], ["Procedure Details"], [],
            ["Plate Type", "96 WELL PLATE"], ["Read", "MTT"], ["", "Absorbance Endpoint"], ["", "Full Plate"],
            ["", "Wavelengths:  570, 660"], [], ["Results"],
            ["", *(str(number) for number in range(1, 13))]]  # fmt: skip
    for row in range(8):
        rows.append(["ABCDEFGH"[row], *(f"{value:.3f}" for value in signal[row]), "MTT:570"])
        rows.append(["", *(f"{value:.3f}" for value in reference[row]), "MTT:660"])
    return ("\r\n".join("\t".join(row) for row in rows) + "\r\n").encode("ascii")


def main(folder: Path) -> None:
    """Write all plates, and the truth beside them."""
    rng = np.random.default_rng(SEED)
    truth = [["cell_line", "experiment", "time_h", "ec50_M", "line_ec50_M", "hill_slope", "published", "simulated"]]
    (folder / "plates").mkdir(exist_ok=True)
    for line in LINES:
        for experiment in range(1, EXPERIMENTS + 1):
            ec50 = line.ec50 * 10 ** rng.normal(0, BETWEEN_SD)
            signal, reference = plate(line, ec50, rng.uniform(0.9, 1.1), rng)
            if (line.name, experiment) == ("MCF-7", 2):
                signal[2, 6] -= 0.25  # C7: a blocked tip, excluded in study.toml
            name = f"{line.name}_{line.hours}h_{experiment}"
            write = gen5 if line.name in ("SK-N-SH", "PANC-1") else softmax
            (folder / "plates" / f"{name}.txt").write_bytes(write(f"simulated {name}", signal, reference))
            truth.append([line.name, str(experiment), str(line.hours), f"{ec50:.6g}", f"{line.ec50:.6g}", "-1.9",
                          str(line.published).lower(), "true"])  # fmt: skip
    with open(folder / "truth.csv", "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(truth)


if __name__ == "__main__":
    main(Path(__file__).parent)
