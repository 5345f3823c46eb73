"""NIST's certified nonlinear regressions, each from both of its starting points and in two ways.

Once with the parameters that enter linearly declared as such, so that they are solved for
exactly; once with all of them searched for, from the starts that NIST gives, near and far.

References
----------
.. [1] NIST Statistical Reference Datasets, https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfmax.curves import Curve, own_curve
from halfmax.errors import FileError
from halfmax.estimate import Estimate, fit
from halfmax.response import Response
from halfmax.verify.check import Check

__all__ = ["FROM_FOLDER", "SHIPPED", "Certified", "certified", "checks", "estimates", "read_dat", "shipped"]

Array = NDArray[np.float64]
#: Digits that parameters, their standard deviations and the residual sum of squares must share with NIST's.
REQUIRED = {"parameters": 6.0, "standard deviations": 5.0, "residual sum of squares": 9.0}
#: Sets that are part of the package, and those that are read from a folder of NIST's own files.
SHIPPED = ("Misra1a", "Misra1b", "Lanczos3", "MGH09", "Thurber", "Rat43")
FROM_FOLDER = ("Chwirut1", "Nelson", "Hahn1")
_SOURCE = "NIST Statistical Reference Datasets"
_PARAMETER = re.compile(r"\s*(b\d+) =\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)")


def _cubic_ratio(x, b1, b2, b3, b4, b5, b6, b7):  # type: ignore[no-untyped-def]
    return (b1 + b2 * x + b3 * x**2 + b4 * x**3) / (1 + b5 * x + b6 * x**2 + b7 * x**3)


#: Curve of each set, and its linear parameters.
_CURVES: dict[str, tuple[Callable[..., Array], tuple[str, ...]]] = {
    "Misra1a": (lambda x, b1, b2: b1 * (1 - np.exp(-b2 * x)), ("b1",)),
    "Misra1b": (lambda x, b1, b2: b1 * (1 - 1 / (1 + b2 * x / 2) ** 2), ("b1",)),
    "Chwirut1": (lambda x, b1, b2, b3: np.exp(-b1 * x) / (b2 + b3 * x), ()),
    "Lanczos3": (
        lambda x, b1, b2, b3, b4, b5, b6: b1 * np.exp(-b2 * x) + b3 * np.exp(-b4 * x) + b5 * np.exp(-b6 * x),
        ("b1", "b3", "b5"),
    ),
    "Nelson": (lambda x, b1, b2, b3: b1 - b2 * x[..., 0] * np.exp(-b3 * x[..., 1]), ("b1", "b2")),
    "MGH09": (lambda x, b1, b2, b3, b4: b1 * (x**2 + b2 * x) / (x**2 + b3 * x + b4), ("b1",)),
    "Thurber": (_cubic_ratio, ("b1", "b2", "b3", "b4")),
    "Hahn1": (_cubic_ratio, ("b1", "b2", "b3", "b4")),
    "Rat43": (lambda x, b1, b2, b3, b4: b1 / (1 + np.exp(b2 - b3 * x)) ** (1 / b4), ("b1",)),
}


@dataclass(frozen=True, eq=False)
class Certified:
    """Observations with certified answers.

    Parameters
    ----------
    name : str
    x : array, shape (n,) or (n, predictors)
    y : array, shape (n,)
    parameters : dict
        Name → certified value, its standard deviation, the two starts.
    squares : float
        Certified residual sum of squares.
    """

    name: str
    x: Array
    y: Array
    parameters: dict[str, tuple[float, float, tuple[float, float]]]
    squares: float

    @property
    def response(self) -> Response:
        """Signals against what `curve` takes: the predictor, moved so that none is negative, or the row's number."""
        return Response.of(self._abscissa, self.y, quantity=self.name)

    def curve(self, start: int, *, linear: bool) -> Curve:
        """Curve from one of the two starts, its linear parameters declared or not."""
        function, eliminated = _CURVES[self.name]
        held = eliminated if linear else ()
        starts = {name: given[2][start] for name, given in self.parameters.items() if name not in held}
        return own_curve(self._moved(function), starts=starts, linear=held, name=f"NIST {self.name}")

    @property
    def _abscissa(self) -> Array:
        return np.arange(self.y.size, dtype=float) if self.x.ndim > 1 else self.x - min(self.x.min(), 0.0)

    def _moved(self, function: Callable[..., Array]) -> Callable[..., Array]:
        """The set's function of `_abscissa`."""
        rows, offset = self.x, min(self.x.min(), 0.0)

        def moved(x: Array, **values: Array) -> Array:
            if rows.ndim == 1:
                return function(x + offset, **values)
            return function(rows[np.clip(np.rint(x), 0, len(rows) - 1).astype(int)], **values)

        names = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("x", *self.parameters)]
        moved.__signature__ = inspect.Signature(names)  # type: ignore[attr-defined]
        return moved


def shipped() -> list[Certified]:
    """The sets that are part of the package."""
    import yaml

    folder = resources.files("halfmax.verify").joinpath("nist")
    found = []
    for name in SHIPPED:
        entry = yaml.safe_load(folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8"))
        parameters = {
            key: (float(row["certified"]), float(row["deviation"]), (float(row["starts"][0]), float(row["starts"][1])))
            for key, row in entry["parameters"].items()
        }
        x, y = (np.array(entry[key], dtype=float) for key in ("x", "y"))
        found.append(Certified(name, x, y, parameters, float(entry["squares"])))
    return found


def read_dat(path: Path) -> Certified:
    """A set from NIST's own file.

    Raises
    ------
    FileError
        If it cannot be read, or is none of the sets that are known here.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        matches = [match.groups() for line in lines[40:60] if (match := _PARAMETER.match(line))]
        parameters = {key: (float(c), float(d), (float(a), float(b))) for key, a, b, c, d in matches}
        squares = next(float(line.split(":")[1]) for line in lines if line.startswith("Residual Sum of Squares"))
        table = np.array([[float(word) for word in line.split()] for line in lines[60:] if line.strip()])
    except (OSError, ValueError, StopIteration) as error:
        raise FileError(f"{path.name}: cannot be read as a set of NIST's: {error}.") from error
    if path.stem not in _CURVES:
        raise FileError(f"{path.name}: its curve is not known here. Known: {', '.join(_CURVES)}.")
    y = np.log(table[:, 0]) if path.stem == "Nelson" else table[:, 0]
    return Certified(path.stem, table[:, 1] if table.shape[1] == 2 else table[:, 1:], y, parameters, squares)


def certified(folder: Path | None) -> Iterator[Certified | Check]:
    """All sets, the larger ones from a folder of data, or what they would need."""
    yield from shipped()
    for name in FROM_FOLDER:
        place = f"dose_response/nist/{name}.dat"
        if folder is not None and (folder / place).is_file():
            yield read_dat(folder / place)
        else:
            yield Check(f"NIST {name}", "certified values", source=_SOURCE, missing=place)


def estimates(one: Certified) -> Iterator[tuple[str, Estimate]]:
    """Fits of a set from both starts in each way, with what they are called."""
    for way in (True, False):
        if way and not _CURVES[one.name][1]:
            continue
        for start in (0, 1):
            name = f"start {start + 1}, {'linear parameters eliminated' if way else 'all parameters searched for'}"
            yield name, fit(one.response, one.curve(start, linear=way))


def checks(folder: Path | None = None) -> Iterator[Check]:
    """Every certified number of every set, from every start, in every way."""
    for one in certified(folder):
        if isinstance(one, Check):
            yield one
            continue
        subject = f"NIST {one.name}"
        for way, estimate in estimates(one):
            for name, (value, deviation, _) in one.parameters.items():
                found = estimate[name]
                yield _check(subject, "parameters", name, value, found.best, way)
                yield _check(subject, "standard deviations", f"SD of {name}", deviation, found.se, way)
            yield _check(subject, "residual sum of squares", "RSS", one.squares, estimate.rss, way)


def _check(subject: str, part: str, quantity: str, expected: float, found: float, run: str) -> Check:
    return Check(subject, part, quantity, expected, found, REQUIRED[part], _SOURCE, run)
