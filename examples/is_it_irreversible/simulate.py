"""Write the raw counts and the wash-out of this study. No instrument measured them."""

from pathlib import Path

import numpy as np

from halfmax import apparent_ki
from halfmax.curves.binding import occupancy, occupancy_competition

HERE = Path(__file__).resolve().parent
MARK = "SIMULATED by halfmax"
DOSES = np.r_[0.0, 10.0 ** np.arange(-9.5, -4.4, 0.5)]


def competition(name, ki, kd, radioligand, rng):
    """A counter's text and the layout of its tubes: three tubes a dose, four without specific binding, two empty."""
    doses = np.repeat(DOSES, 3)
    share = occupancy_competition(radioligand, doses, kd=kd, ki=ki) / occupancy(radioligand, kd=kd)
    mean = 30 + np.r_[350 + 2600 * share, np.full(4, 350.0), np.zeros(2)]
    cpm = rng.poisson(mean * rng.normal(1, 0.03, mean.size) * 2) / 2
    tubes = [f"total,{radioligand * 1e9:g},{'CM572' if x else ''},{f'{x * 1e9:.4g}' if x else ''}" for x in doses]
    tubes += [f"nonspecific,{radioligand * 1e9:g},haloperidol,10000"] * 4 + ["background,,,"] * 2
    rows = "".join(f"{i},2.00,{value:.1f}\n" for i, value in enumerate(cpm, 1))
    (HERE / f"{name}.csv").write_text(f"{MARK}\n\nS#,Count Time,CPMA\n{rows}", encoding="utf-8")
    lines = "".join(f"{i},{line}\n" for i, line in enumerate(tubes, 1))
    head = "tube,role,radioligand_nM,compound,concentration_nM\n"
    (HERE / f"{name}_tubes.csv").write_text(head + lines, encoding="utf-8")


def washout(rng):
    """Sites after 1 h with 1 µM and a wash, 1 h and 24 h later."""
    rows = [("control", "", 1000.0)] * 4 + [("kept", "", 40.0)] * 4
    rows += [("washed", hours, 60.0) for hours in (1, 24) for _ in range(4)]
    lines = [f"{arm},{hours},{mean + rng.normal(0, 40):.0f}" for arm, hours, mean in rows]
    (HERE / "washout.csv").write_text("\n".join([f"# {MARK}", "arm,hours,fmol/mg", *lines]) + "\n", encoding="utf-8")


def main():
    """All files; the Ki at sigma-2 is that of a covalent ligand after two hours."""
    rng = np.random.default_rng(572)
    kinact = 0.393 / 60
    ki = apparent_ki(k_inact_half=1e-6, kinact=kinact, incubation_time=7200.0, radioligand=5e-9, kd=20e-9)
    competition("sigma2", float(ki), 20e-9, 5e-9, rng)
    competition("sigma1", 2e-3, 5e-9, 3e-9, rng)
    washout(rng)


if __name__ == "__main__":
    main()
