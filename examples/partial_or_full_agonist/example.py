"""Partial or full agonist? Curves of two agonists at one receptor; and how the answer is drawn.

All data are simulated.
"""

from pathlib import Path

import numpy as np

from halfmax.curves.receptor import operational
from halfmax.estimate import fit_agonists
from halfmax.report import dual_activity, save_figure

#: tau and KA (M): the full agonist has receptors to spare, the partial one has not.
TRUTH = {"CB-64D": (60.0, 1e-6), "partial": (1.2, 2e-7)}


def main(folder=Path()):
    """Fit both curves together, and draw the dual activity of CM572."""
    rng = np.random.default_rng(3)
    doses = np.geomspace(1e-10, 1e-4, 13)
    concentration = np.tile(doses, 4)
    ligand = [name for name in TRUTH for _ in range(2 * doses.size)]
    clean = [operational(doses, tau=tau, ka=ka, em=100.0) for tau, ka in TRUTH.values() for _ in range(2)]
    signal = np.concatenate(clean) + rng.normal(0, 3, concentration.size)
    found = fit_agonists(concentration, ligand, signal, full="CB-64D")
    for name in ("tau_partial", "ka_partial", "em"):
        print(f"simulated: {name} {found[name].text()}")
    most = found["tau_partial"].best / (1 + found["tau_partial"].best)
    print(f"the partial agonist reaches {100 * most:.0f} % of the greatest response")
    save_figure(dual_activity(), Path(folder) / "dual_activity.svg")


if __name__ == "__main__":
    main()
