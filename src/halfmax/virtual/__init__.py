"""The virtual lab: the files that instruments write, simulated from a seed, with the truth beside them."""

from halfmax.virtual.movie import MovieTruth, simulate_movie, write_stimuli
from halfmax.virtual.movie_design import (
    Addition,
    Background,
    Calcium,
    Camera,
    Cells,
    Drift,
    Fluo,
    Fura2,
    MovieDesign,
    small_design,
)

__all__ = [
    "Addition",
    "Background",
    "Calcium",
    "Camera",
    "Cells",
    "Drift",
    "Fluo",
    "Fura2",
    "MovieDesign",
    "MovieTruth",
    "simulate_movie",
    "small_design",
    "write_stimuli",
]
