"""How fast does it bind? What one Ki of a covalent ligand leaves open, and what an early reading would tell.

The pairs of kinact and K_I that give a Ki of 14.6 nM after two hours. Nothing is measured here.
"""

from halfmax import apparent_ki
from halfmax.curves.inactivation import ridge

MINUTE = 60.0
ASSAY = {"radioligand": 5e-9, "kd": 20e-9}


def main():
    """Each pair of the ridge with the Ki that it gives after ten minutes."""
    half, kinact = ridge(14.6e-9, incubation_time=120 * MINUTE, k_inact_half=[2e-8, 5e-8, 2e-7, 1e-6, 5e-6], **ASSAY)
    early = apparent_ki(k_inact_half=half, kinact=kinact, incubation_time=10 * MINUTE, **ASSAY)
    print("simulated, radioligand 5 nM with a Kd of 20 nM:")
    for one, rate, ki in zip(half, kinact, early, strict=True):
        print(
            f"K_I {1e9 * one:.0f} nM with kinact {MINUTE * rate:.4f} /min: "
            f"Ki 14.6 nM after 120 min, {1e9 * ki:.0f} nM after 10"
        )


if __name__ == "__main__":
    main()
