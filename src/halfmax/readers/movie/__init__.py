"""Recordings of cells, read frame by frame: `open_movie` decides by content and never holds more than a page.

A `halfmax.movie.Movie` lives only between its reader and `halfmax.assays.calcium`, which turns it into traces.
"""

from __future__ import annotations

from halfmax.readers.movie.opening import open_movie

__all__ = ["open_movie"]
