"""How fast does it bind? Sites left after several times with a covalent ligand, and what one Ki leaves open.

All data are simulated.
"""

import numpy as np

from halfmax import apparent_ki
from halfmax.curves.inactivation import inactivated_fraction, ridge
from halfmax.estimate import fit_inactivation

MINUTE = 60.0
TRUTH = {"kinact": 0.39 / MINUTE, "k_inact_half": 1e-6}


def main():
    """Fit two designs, then read the same pairs off a Ki."""
    rng = np.random.default_rng(7)
    for name, doses in {"far below K_I": [0, 3e-9, 1e-8, 3e-8], "around K_I": [0, 3e-7, 1e-6, 3e-6]}.items():
        dose, time = (x.ravel() for x in np.meshgrid(doses, MINUTE * np.array([0, 2, 5, 10, 20, 40])))
        left = 100 * (1 - inactivated_fraction(dose, time, **TRUTH))
        found = fit_inactivation(dose, time, left + rng.normal(0, 3, dose.size))
        print(f"simulated, doses {name}: kinact/K_I {found['k_inact_ratio'].scaled(60e-6, '/µM/min').text()}")
        print(f"    {found.sentence}")
    half, kinact = ridge(14.6e-9, incubation_time=120 * MINUTE, radioligand=5e-9, kd=20e-9, k_inact_half=[2e-8, 1e-6])
    for one, rate in zip(half, kinact, strict=True):
        assay = {"k_inact_half": one, "kinact": rate, "radioligand": 5e-9, "kd": 20e-9}
        early = apparent_ki(incubation_time=10 * MINUTE, **assay)
        print(
            f"K_I {1e9 * one:.0f} nM with kinact {MINUTE * rate:.4f} /min: Ki 14.6 nM after 120 min, "
            f"{1e9 * float(early):.0f} nM after 10"
        )


if __name__ == "__main__":
    main()
