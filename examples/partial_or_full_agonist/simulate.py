"""Write the four experiments of this study. No instrument measured them."""

from pathlib import Path

import numpy as np

from halfmax.curves import receptor

HERE = Path(__file__).resolve().parent
DOSES = np.geomspace(1e-10, 1e-4, 13)
NOISE = 3.0
#: tau and KA (M): the full agonist has receptors to spare, the partial one has not.
CB64D, PARTIAL = {"tau": 60.0, "ka": 1e-6, "em": 100.0}, {"tau": 1.2, "ka": 2e-7, "em": 100.0}
PA2, LEFT = 7.5, {"none": 1.0, "low dose": 0.1, "high dose": 0.01}
#: Of CM572: receptors that hold it after an hour and a wash have the efficacy of the partial agonist.
CM572 = {"kinact": 0.393 / 60, "k_inact_half": 1e-6, "residual_efficacy": PARTIAL["tau"] / CB64D["tau"]}


def write(name, rng, columns, clean):
    """A table in nM with two wells a condition, marked as simulated."""
    columns = {key: np.tile(values, 2) for key, values in columns.items()}
    signal = np.tile(clean, 2) + rng.normal(0, NOISE, 2 * clean.size)
    cells = [[text(value) for value in row] for row in zip(*columns.values(), signal, strict=True)]
    lines = ["# SIMULATED by halfmax", ",".join([*columns, "response"]), *map(",".join, cells)]
    (HERE / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def text(value):
    """A name as it is, a number short."""
    return str(value) if isinstance(value, str) else f"{value:.5g}"


def crossed(first, second):
    """Each of the first beside each of the second."""
    return (np.tile(first, len(second)), np.repeat(second, len(first)))


def main():
    """All files: two agonists, an antagonist, inactivation, and an irreversible partial agonist before."""
    rng = np.random.default_rng(64)
    dose, name = crossed(DOSES, ["CB-64D", "partial"])
    clean = np.concatenate([receptor.operational(DOSES, **of) for of in (CB64D, PARTIAL)])
    write("agonists", rng, {"dose_nM": dose * 1e9, "agonist": name}, clean)

    dose, antagonist = crossed(DOSES, [0.0, 3e-8, 1e-7, 3e-7, 1e-6])
    clean = receptor.gaddum(dose, antagonist, ec50=2e-8, pa2=PA2, emax=98.0)
    write("antagonist", rng, {"CB64D_nM": dose * 1e9, "SN79_nM": antagonist * 1e9}, clean)

    dose, name = crossed(DOSES, list(LEFT))
    left = np.array([LEFT[one] for one in name])
    clean = receptor.response_after_inactivation(dose, q=left, **CB64D)
    write("inactivation", rng, {"CB64D_nM": dose * 1e9, "treatment": name}, clean)

    dose, before = crossed(np.r_[0.0, DOSES], [0.0, 1e-8, 3e-8, 1e-7, 1e-6])
    clean = receptor.response_after_pretreatment(dose, before, 3600.0, **CM572, **CB64D)
    write("pretreatment", rng, {"CB64D_nM": dose * 1e9, "CM572_nM": before * 1e9}, clean)


if __name__ == "__main__":
    main()
