"""Growth-rate values: what a drug does to the rate of division, not to the number of cells that is left.

A viability relative to the vehicle depends on how often the vehicle's cells divided
meanwhile.  The growth-rate value does not: 1 is no effect, 0 no growth (stasis), below
0 a loss of cells.  Where dead cells are counted too, it is split into what division
has lost (static) and what death has gained (toxic).

`GrowthCounts` holds the counts of one curve with the wells that they are compared
with; `growth_counts` makes them from tables; `halfmax.estimate.fit_growth` fits them.
"""

from halfmax.assays.growth.counts import GrowthCounts, Measure
from halfmax.assays.growth.table import CountColumns, growth_counts
from halfmax.assays.growth.value import gr_components, gr_value, growth_rates

__all__ = ["CountColumns", "GrowthCounts", "Measure", "gr_components", "gr_value", "growth_counts", "growth_rates"]
