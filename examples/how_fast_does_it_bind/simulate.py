"""Write the courses of this study. No instrument measured them; the constants of SN79 and CM572 are made up."""

from pathlib import Path

import numpy as np

from halfmax.curves.inactivation import competition_kinetics, inactivated_fraction

HERE = Path(__file__).resolve().parent
MARK = "# SIMULATED by halfmax"
MINUTE, NM = 60.0, 1e-9
DTG = {"radioligand_kon": 1e5, "radioligand_koff": 2e-3}
SN79 = {"kon": 4e5, "koff": 2.8e-3}
CM572 = {"kinact": 0.39 / MINUTE, "k_inact_half": 1e-6}
BMAX, NOISE = 2000.0, 40.0


def write(name, head, *columns):
    """A table with one reading a row."""
    rows = [",".join(f"{value:.4g}" for value in row) for row in zip(*columns, strict=True)]
    (HERE / f"{name}.csv").write_text("\n".join([MARK, head, *rows]) + "\n", encoding="utf-8")


def courses(minutes, doses, replicates=2):
    """Time in min and concentration of every tube."""
    time, dose = np.meshgrid(np.repeat(minutes, replicates), doses)
    return time.ravel().astype(float), dose.ravel().astype(float)


def association(rng):
    """Specific binding of [3H]DTG at five concentrations."""
    time, dose = courses([1, 2, 4, 7, 12, 20, 40], [2, 5, 10, 20, 40])
    bound = BMAX * competition_kinetics(time * MINUTE, radioligand=dose * NM, **DTG)
    write("association", "min,[3H]DTG nM,fmol/mg", time, dose, bound + rng.normal(0, NOISE, time.size))


def dissociation(rng):
    """10 nM [3H]DTG at equilibrium, chased with haloperidol."""
    time = np.repeat([0.0, 1, 2, 4, 7, 12, 20, 40], 3)
    bound = BMAX / 3 * np.exp(-DTG["radioligand_koff"] * time * MINUTE)
    write("dissociation", "min,fmol/mg", time, bound + rng.normal(0, NOISE, time.size))


def competition(rng):
    """5 nM [3H]DTG and SN79, added together."""
    time, dose = courses([1, 2, 4, 7, 12, 20, 40, 90], [0, 3, 10, 30])
    bound = BMAX * competition_kinetics(time * MINUTE, radioligand=5 * NM, competitor=dose * NM, **DTG, **SN79)
    write("competition", "min,SN79 nM,fmol/mg", time, dose, bound + rng.normal(0, NOISE / 4, time.size))


def sites(name, doses, rng):
    """Free sites after CM572, as percent of those before."""
    time, dose = courses([0, 2, 5, 10, 20, 40], doses, replicates=1)
    left = 100 * (1 - inactivated_fraction(dose * NM, time * MINUTE, **CM572))
    write(name, "min,CM572 nM,sites %", time, dose, left + rng.normal(0, 3, time.size))


def main():
    """All files."""
    rng = np.random.default_rng(7)
    association(rng)
    dissociation(rng)
    competition(rng)
    sites("sites_low_doses", [0, 3, 10, 30], rng)
    sites("sites", [0, 300, 1000, 3000], rng)


if __name__ == "__main__":
    main()
