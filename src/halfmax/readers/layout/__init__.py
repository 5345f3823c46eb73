"""Plate maps as scientists draw them: wellmap-style TOML, a grid a layer, or one well a row.

The data go through three forms.  A *saying* is one value that one section, cell
or row of the file gives to one well, with the place where it stands, so that
two sayings can contradict each other and the message can name both.  A *map* is
what remains for each well of each plate after precedence.  A `Layout` is that
map as a table, and guarantees: known roles, wells inside the plate, every well
of a plate once, concentrations in M and times in s to 15 significant digits,
a compound and a dose > 0 for every sample, and no dose for any control without
compound.

The TOML follows the public wellmap format [1]_: ``[expt]``, ``[plate.NAME]``,
``[well.A1]``, ``[block.WxH.A1]``, ``[row.A]``, ``[col.1]``, ``[irow.A]``,
``[icol.1]``, and the patterns ``A1,B2``, ``A-D`` and ``A1,A3,...,A11``.  A
smaller group of wells wins over a larger: well, block (the smaller area first),
row, column, interleaved row, interleaved column, plate, experiment; the same
section inside ``[plate.NAME]`` wins over the one outside.  The drawn grids
follow plater [2]_.

References
----------
.. [1] Kundert (2021), BMC Res Notes 14:164, doi:10.1186/s13104-021-05573-0.
.. [2] Hughes (2016), J Open Source Softw 1(7):106, doi:10.21105/joss.00106.
"""

from __future__ import annotations

from halfmax.readers.layout.model import COLUMNS, Layout
from halfmax.readers.layout.reading import read_layout
from halfmax.readers.layout.saying import ROLE_SYNONYMS
from halfmax.readers.layout.writing import layout_toml, toml_string, toml_value, write_layout

__all__ = [
    "COLUMNS",
    "ROLE_SYNONYMS",
    "Layout",
    "layout_toml",
    "read_layout",
    "toml_string",
    "toml_value",
    "write_layout",
]
