"""Published facts: they load, they agree with each other, they are found, and they are shown as printed."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections import Counter
from dataclasses import FrozenInstanceError, replace
from importlib.resources import files
from pathlib import Path

import pytest

from halfmax import reference
from halfmax.errors import FileError, HalfmaxError, RangeError
from halfmax.reference.entry import ERROR_KINDS, OPERATORS, QUANTITIES, SOURCE_KINDS, Value, molar_mass, published_ratio
from halfmax.reference.loader import Library, fold, library, load

STEMS = ("citations", "targets", "cell_lines", "ligands", "values", "discrepancies")
VALUES = library().values


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the packaged data that a test may spoil."""
    for stem in STEMS:
        text = files("halfmax.reference").joinpath(f"{stem}.yaml").read_text(encoding="utf-8")
        (tmp_path / f"{stem}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def spoil(folder: Path, stem: str, old: str, new: str) -> Path:
    path = folder / f"{stem}.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is no longer in {stem}.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return folder


# --- the data agree with each other ---------------------------------------------


def test_every_name_in_the_data_is_defined():
    read = library()
    keys = {entry.key for entry in read.citations}
    names = {entry.name for entry in read.ligands}
    targets = {entry.name for entry in read.targets} | {None}
    lines = {entry.name for entry in read.cell_lines} | {None}
    ids = {entry.id for entry in read.values}
    for entry in (*read.targets, *read.cell_lines, *read.ligands, *read.discrepancies):
        assert set(entry.citations) <= keys
    for ligand in read.ligands:
        assert ligand.target in targets
    for value in read.values:
        assert value.ligand in names
        assert value.target in targets
        assert value.cell_line in lines
        assert value.citation in keys | {None}
        assert set(value.derived_from) <= ids
    for doubt in read.discrepancies:
        assert set(doubt.ligands) <= names
        assert set(doubt.targets) <= targets
        assert set(doubt.values) <= ids


def test_every_citation_is_used():
    read = library()
    used = {value.citation for value in read.values}
    used |= {
        key
        for entry in (*read.targets, *read.cell_lines, *read.ligands, *read.discrepancies)
        for key in entry.citations
    }
    assert {entry.key for entry in read.citations} <= used


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.id)
def test_every_value_is_a_complete_number_or_a_statement(value: Value):
    assert value.source_kind in SOURCE_KINDS
    if value.kind == "qualitative":
        assert value.statement
        assert value.text() == value.statement
        return
    assert value.operator in OPERATORS
    assert value.error_kind in {*ERROR_KINDS, None}
    number, unit = value.value.split(" ")
    assert float(number) > 0
    if QUANTITIES[value.quantity][1] == "concentration":
        assert 1e-12 < value.value_M < 1e-3
        assert value.low_M <= value.value_M <= value.high_M
    else:
        assert unit in ("fmol/mg", "fold")


def test_a_published_value_always_has_a_citation():
    assert all(value.citation for value in VALUES if value.source_kind in ("published", "vendor guide"))


def test_nothing_from_the_guide_is_called_published():
    for value in VALUES:
        assert (value.citation == "cm572_guide") == (value.source_kind == "vendor guide"), value.id


def test_the_files_are_read_only_once():
    assert library() is library()


def test_entries_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        reference.ligand("CM572").name = "CM573"


# --- the numbers ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identity", "printed", "molar", "error"),
    [
        ("cm572-ki-sigma2", "14.6 ± 6.9 nM", 14.6e-9, 6.9e-9),
        ("cm572-ki-sigma1", "≥ 10 µM", 10e-6, None),
        ("cm572-ec50-sknsh", "7.6 ± 1.7 µM", 7.6e-6, 1.7e-6),
        ("cm572-ec50-mcf7", "4.9 ± 1.17 µM", 4.9e-6, 1.17e-6),
        ("cm572-ec50-hmec", "32.3 ± 1.7 µM", 32.3e-6, 1.7e-6),
        ("cb64d-ki-sigma2", "16.5 nM", 16.5e-9, None),
        ("cb64d-ki-sigma1", "3063 nM", 3.063e-6, None),
        ("cm764-ki-sigma2", "3.5 ± 0.9 nM", 3.5e-9, 0.9e-9),
        ("cm764-ki-sigma1", "86.6 ± 2.8 nM", 86.6e-9, 2.8e-9),
        ("sn79-ki-sigma2", "~ 7 nM", 7e-9, None),
        ("sn79-ki-sigma1", "~ 27 nM", 27e-9, None),
        ("siramesine-kd-sigma2", "0.12 nM", 0.12e-9, None),
        ("siramesine-kd-sigma1", "17 nM", 17e-9, None),
        ("dtg-kd-sigma2-rt4", "8.3 ± 2.0 nM", 8.3e-9, 2e-9),
        ("pentazocine-concentration-assay", "100–300 nM", 100e-9, None),
        ("cm572-antagonism-dose", "100 nM – 1 µM", 100e-9, None),
    ],
)
def test_a_value_is_printed_as_in_its_source_and_converted_to_molar(identity, printed, molar, error):
    value = reference.value(identity)
    assert value.text() == printed
    assert value.value_M == pytest.approx(molar, rel=1e-12)
    assert value.error_M == (None if error is None else pytest.approx(error, rel=1e-12))


def test_trailing_zeros_of_a_source_are_kept():
    assert "2.0 nM" in reference.value("dtg-kd-sigma2-rt4").text()


def test_numbers_that_are_no_concentrations_keep_their_unit():
    assert reference.value("dtg-bmax-sigma2-rt4").text() == "2108 ± 162 fmol/mg"
    assert reference.value("cm572-selectivity-hmec-mcf7").text() == "6.4-fold"
    with pytest.raises(RangeError, match="no concentration"):
        _ = reference.value("dtg-bmax-sigma2-rt4").value_M


def test_an_observation_in_words_has_no_number():
    with pytest.raises(RangeError, match="observation in words"):
        _ = reference.value("cm572-bid").value_M


def test_the_operator_says_what_a_censored_value_and_a_range_allow():
    censored, span = reference.value("cm572-ki-sigma1"), reference.value("dtg-concentration-assay")
    assert (censored.low_M, censored.high_M) == (1e-5, math.inf)
    assert (span.low_M, span.high_M) == (pytest.approx(3e-9), pytest.approx(5e-9))
    below = replace(censored, operator="<")
    assert (below.low_M, below.high_M) == (0.0, 1e-5)


def test_the_meaning_of_every_printed_error_is_left_open():
    assert {value.error_kind for value in VALUES if value.error} == {"undefined"}
    assert ERROR_KINDS["undefined"] == "± undefined: SD or SEM, n unknown"


def test_the_times_of_the_three_potencies_are_those_of_the_sources():
    times = {found.cell_line: found.time_s for found in reference.values("CM572", quantity="ec50")}
    assert times == {"SK-N-SH": 86400.0, "MCF-7": 172800.0, "HMEC": 172800.0}


# --- ratios -------------------------------------------------------------------------


def test_the_printed_ec50s_give_a_ratio_of_6_59_with_an_error_of_1_6():
    ratio, error = published_ratio(reference.value("cm572-ec50-hmec"), reference.value("cm572-ec50-mcf7"))
    assert ratio == pytest.approx(6.592, abs=5e-4)
    assert error == pytest.approx(1.61, abs=5e-3)


def test_the_error_of_a_ratio_is_that_of_its_simulated_logarithm():
    import numpy as np

    top, bottom = reference.value("cm572-ec50-hmec"), reference.value("cm572-ec50-mcf7")
    random = np.random.default_rng(20150518)
    small = 0.1  # the delta method is first order: small errors, where it must agree
    draws = [random.normal(one.value_M, small * one.error_M, 400_000) for one in (top, bottom)]
    spread = float(np.std(np.log(draws[0] / draws[1]))) / small
    ratio, error = published_ratio(top, bottom)
    assert error / ratio == pytest.approx(spread, rel=0.01)


def test_a_ratio_does_not_depend_on_the_units():
    top, bottom = reference.value("cm572-ec50-hmec"), reference.value("cm572-ec50-mcf7")
    rewritten = replace(bottom, value="4900 nM", error="1170 nM")
    assert published_ratio(top, rewritten) == pytest.approx(published_ratio(top, bottom))


def test_swapping_a_ratio_inverts_it_and_keeps_its_relative_error():
    top, bottom = reference.value("cm572-ec50-hmec"), reference.value("cm572-ec50-mcf7")
    (ratio, error), (inverse, inverse_error) = published_ratio(top, bottom), published_ratio(bottom, top)
    assert ratio * inverse == pytest.approx(1.0)
    assert error / ratio == pytest.approx(inverse_error / inverse)


def test_the_sigma_selectivity_follows_from_the_two_affinities():
    ratio, error = published_ratio(reference.value("cm572-ki-sigma1"), reference.value("cm572-ki-sigma2"))
    assert round(ratio) == 685
    assert error is None, "a bound has no standard error"
    assert reference.value("cm572-selectivity-sigma").text() == "≥ 685-fold"


def test_a_ratio_of_values_without_an_error_has_none():
    assert (
        published_ratio(reference.value("cb64d-ki-sigma1"), reference.value("cb64d-ki-sigma2")).standard_error is None
    )


def test_a_ratio_of_densities_works_like_one_of_concentrations():
    ratio, error = published_ratio(
        reference.value("dtg-bmax-sigma2-rt4"), reference.value("pentazocine-bmax-sigma1-rt4")
    )
    assert ratio == pytest.approx(2108 / 279)
    assert error == pytest.approx(2108 / 279 * math.hypot(162 / 2108, 40 / 279))


@pytest.mark.parametrize(
    ("numerator", "denominator", "message"),
    [
        ("dtg-bmax-sigma2-rt4", "dtg-kd-sigma2-rt4", "density and dtg-kd-sigma2-rt4 a concentration"),
        ("cm572-bid", "cm572-ki-sigma2", "no single number"),
        ("dtg-concentration-assay", "cm572-ki-sigma2", "no single number"),
        ("cm572-ki-sigma1", "cm572-ki-sigma1", "both bounds"),
    ],
)
def test_a_ratio_that_means_nothing_is_refused(numerator, denominator, message):
    with pytest.raises(RangeError, match=message):
        published_ratio(reference.value(numerator), reference.value(denominator))


# --- structures -----------------------------------------------------------------------


def atoms(smiles: str) -> Counter[str]:
    """Atoms of a SMILES without charges or stereochemistry, implicit hydrogens counted by valence."""
    valence = {"C": 4, "N": 3, "O": 2, "S": 2, "F": 1, "Cl": 1}
    symbols: list[str] = []
    bonds: list[int] = []
    stack: list[int] = []
    rings: dict[str, tuple[int, int]] = {}
    previous, order = -1, 1
    for token in re.findall(r"Cl|[A-Za-z]|[()=#]|\d", smiles):
        if token == "(":
            stack.append(previous)
        elif token == ")":
            previous = stack.pop()
        elif token in "=#":
            order = {"=": 2, "#": 3}[token]
        elif token.isdigit():
            other, ring_order = rings.pop(token, (-1, 1))
            if other < 0:
                rings[token] = (previous, order)
            else:
                for end in (other, previous):
                    bonds[end] += max(order, ring_order)
            order = 1
        else:
            symbols.append(token)
            bonds.append(order if previous >= 0 else 0)
            if previous >= 0:
                bonds[previous] += order
            previous, order = len(symbols) - 1, 1
    assert not rings
    assert not stack
    count = Counter(symbol.capitalize() for symbol in symbols)
    for symbol, used in zip(symbols, bonds, strict=True):
        count["H"] += max(0, valence[symbol.capitalize()] - used - symbol.islower())
    return count


def test_the_atom_counter_of_these_tests_counts_known_molecules():
    assert atoms("c1ccccc1") == Counter(C=6, H=6)
    assert atoms("CC(=O)O") == Counter(C=2, H=4, O=2)
    assert atoms("c1ccc2occc2c1") == Counter(C=8, H=6, O=1)


@pytest.mark.parametrize("ligand", [one for one in library().ligands if one.smiles], ids=lambda one: one.name)
def test_a_structure_has_the_atoms_of_its_formula(ligand):
    formula = Counter({symbol: int(count or 1) for symbol, count in re.findall(r"([A-Z][a-z]?)(\d*)", ligand.formula)})
    assert atoms(ligand.smiles) == formula


@pytest.mark.parametrize(
    ("name", "grams_per_mol"),
    [
        # 22 C, 23 H, F, 4 N, 2 O, S: 264.242 + 23.184 + 18.998 + 56.028 + 31.998 + 32.06, summed by hand
        ("CM572", 426.51),
        ("haloperidol", 375.87),
        ("DTG", 239.32),
        ("siramesine", 454.59),
        ("(+)-pentazocine", 285.43),
    ],
)
def test_molar_masses_are_those_of_the_formula(name, grams_per_mol):
    assert reference.ligand(name).molar_mass == pytest.approx(grams_per_mol, abs=0.01)


def test_cm572_is_sn79_with_an_isothiocyanate_for_the_acetyl():
    warhead, acetyl = atoms("S=C=N"), atoms("CC=O")
    warhead.subtract({"H": 1})  # the hydrogen that the bond to the ring replaces
    acetyl.subtract({"H": 1})
    parent = atoms(reference.ligand("SN79").smiles)
    parent.subtract(acetyl)
    parent.update(warhead)
    assert +parent == atoms(reference.ligand("CM572").smiles)


def test_only_cm572_is_covalent():
    assert [one.name for one in reference.ligands() if one.covalent] == ["CM572"]


@pytest.mark.parametrize(
    ("formula", "message"), [("C6H6Xx", "no atomic weight for Xx"), ("c6h6", "not a molecular"), ("", "not a")]
)
def test_a_formula_that_cannot_be_weighed_is_refused(formula, message):
    with pytest.raises(RangeError, match=message):
        molar_mass(formula)


# --- looking up -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sigma-2", "Sigma2", "σ2", "σ₂", "TMEM97", "tmem97", "sigma-2 receptor", "S2R"])
def test_every_spelling_of_the_sigma_2_receptor_is_one_target(name):
    assert reference.target(name).uniprot == "Q5BJF2"


@pytest.mark.parametrize(
    ("spelling", "name"),
    [("MCF7", "MCF-7"), ("mcf 7", "MCF-7"), ("SKNSH", "SK-N-SH"), ("panc1", "PANC-1"), ("RT4", "RT-4")],
)
def test_cell_lines_are_found_without_their_hyphens(spelling, name):
    assert reference.cell_line(spelling).name == name


@pytest.mark.parametrize(
    ("spelling", "name"), [("cm572", "CM572"), ("[³H]DTG", "DTG"), ("Lu 28-179", "siramesine"), ("cb64d", "CB-64D")]
)
def test_ligands_are_found_by_any_of_their_names(spelling, name):
    assert reference.ligand(spelling).name == name


def test_a_ligand_is_found_by_its_chemical_name():
    assert reference.ligand(reference.ligand("CM572").chemical_name).name == "CM572"


@pytest.mark.parametrize("name", ["pentazocine", "(-)-pentazocine", "(±)-pentazocine"])
def test_another_form_of_pentazocine_is_not_the_plus_enantiomer(name):
    with pytest.raises(RangeError, match=r'Did you mean "(\(\+\)|d)-pentazocine"\?'):
        reference.ligand(name)


@pytest.mark.parametrize(
    ("look_up", "wrong", "hint"),
    [
        (reference.ligand, "CM57", 'no ligand is called "CM57" .* Did you mean "CM572"'),
        (reference.target, "TMEM79", 'Did you mean "TMEM97"'),
        (reference.cell_line, "MCF-70", 'Did you mean "MCF-7"'),
        (reference.citation, "nicholson205", 'Did you mean "nicholson2015"'),
        (reference.value, "cm572-ki-sigma3", 'Did you mean "cm572-ki-sigma'),
        (reference.summary, "siramesin", 'Did you mean "siramesine"'),
        (reference.as_dict, "HMEK", 'Did you mean "HMEC"'),
        (reference.discrepancies, "CM57", 'Did you mean "CM572"'),
        (lambda name: reference.values(quantity=name), "ec51", 'Did you mean "ec50"'),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(look_up, wrong, hint):
    with pytest.raises(HalfmaxError, match=hint):
        look_up(wrong)


def test_an_empty_name_finds_nothing():
    with pytest.raises(RangeError):
        reference.ligand("")


def test_values_are_narrowed_by_each_of_their_arguments():
    assert [found.id for found in reference.values("cm572", "mcf7", "ec50")] == ["cm572-ec50-mcf7"]
    assert {found.ligand for found in reference.values(target="σ1", quantity="ki")} == {
        "CM572",
        "CB-64D",
        "CM764",
        "SN79",
    }
    assert reference.values("siramesine", "MCF-7") == ()
    assert reference.values() == VALUES


def test_folding_keeps_different_names_apart():
    assert fold("sigma-1") != fold("sigma-2")
    assert fold("(+)-pentazocine") != fold("(-)-pentazocine")


# --- discrepancies ----------------------------------------------------------------------


def test_the_figures_of_a_discrepancy_are_computed_from_the_values():
    doubt = next(found for found in reference.discrepancies("CM572") if found.id == "selectivity-ratio")
    assert "6.59" in doubt.statement
    assert "6.6 ± 1.6" in doubt.statement
    assert "prints 6.4-fold" in doubt.statement
    assert dict(doubt.ratios)["lines"].ratio == pytest.approx(32.3 / 4.9)
    stored = files("halfmax.reference").joinpath("discrepancies.yaml").read_text(encoding="utf-8")
    assert "6.59" not in stored


def test_a_changed_value_changes_the_statement_of_its_discrepancy(folder):
    spoil(folder, "values", "value: 32.3 µM", "value: 49 µM")
    doubt = next(found for found in load(folder).discrepancies if found.id == "selectivity-ratio")
    assert "is 10.00" in doubt.statement


def test_the_gap_between_affinity_and_potency_is_several_hundred_fold():
    doubt = next(found for found in reference.discrepancies("CM572") if found.id == "affinity-potency-gap")
    assert {name: round(ratio.ratio) for name, ratio in doubt.ratios} == {"mcf7": 336, "sknsh": 521}


def test_all_nine_discrepancies_of_cm572_are_told():
    assert {found.id for found in reference.discrepancies("CM572")} == {
        "selectivity-ratio",
        "undefined-error",
        "line-and-time",
        "calcium-duration",
        "bid-proteases",
        "mtt-is-reduction",
        "no-raw-data",
        "affinity-potency-gap",
        "tmem97-knockout",
    }
    assert reference.discrepancies("siramesine") == ()


def test_no_statement_keeps_an_unfilled_figure():
    assert not any(re.search(r"[{}]", found.statement + found.consequence) for found in reference.discrepancies())


# --- showing ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["CM572", "DTG", "sigma-2", "SK-N-SH", "siramesine", "melanocytes"])
@pytest.mark.parametrize("width", [80, 88, 100])
def test_a_card_fits_its_width(name, width):
    assert max(len(line) for line in reference.summary(name, width=width).splitlines()) <= width


def test_the_card_of_cm572_shows_every_value_with_operator_error_and_source():
    card = reference.summary("CM572")
    flat = " ".join(card.split())
    for found in reference.values("CM572"):
        assert found.text() in flat, found.id
    assert re.search(r"EC50 \(cell death\), 48 h +4\.9 ± 1\.17 µM \(± undefined\) +vendor guide \[\d\]", card)
    assert re.search(r"Ki +≥ 10 µM +published \[\d\]", card)
    assert "± undefined: SD or SEM, n unknown" in card
    assert "C22H23FN4O2S, 426.51 g/mol" in card
    assert all(found.statement in flat for found in reference.discrepancies("CM572"))
    assert "PMC4518069" in card


def test_a_card_groups_the_values_by_target_and_cell_line():
    lines = reference.summary("CM572").splitlines()
    assert lines.index("sigma-2 receptor") < lines.index("SK-N-SH") < lines.index("MCF-7") < lines.index("HMEC")
    after = lines[lines.index("HMEC") + 1]
    assert "32.3 ± 1.7 µM" in after


def test_every_mark_on_a_card_has_its_source():
    for entry in (*library().ligands, *library().targets, *library().cell_lines):
        body, _, sources = reference.summary(entry.name).partition("\nSources\n")
        marks = {int(mark) for mark in re.findall(r"\[(\d)\]", body)}
        listed = [int(mark) for mark in re.findall(r"^  \[(\d+)\]", sources, flags=re.M)]
        assert listed == list(range(1, len(listed) + 1))
        assert marks <= set(listed), entry.name


def test_the_card_of_a_target_shows_the_ligands_that_bind_it():
    card = reference.summary("σ2")
    assert all(name in card for name in ("CM572", "CB-64D", "siramesine", "Q5BJF2", "Without TMEM97"))


@pytest.mark.parametrize("name", ["CM572", "σ2", "SK-N-SH", "(+)-pentazocine"])
def test_a_card_is_valid_json(name):
    card = reference.as_dict(name)
    assert json.loads(json.dumps(card, allow_nan=False, ensure_ascii=False))["kind"] == card["kind"]


def test_the_mapping_of_cm572_holds_numbers_in_molar_and_text_as_printed():
    card = reference.as_dict("cm-572")
    by_id = {found["id"]: found for found in card["values"]}
    assert card["ligand"]["molar_mass"] == pytest.approx(426.51, abs=0.01)
    assert by_id["cm572-ec50-mcf7"]["value_M"] == pytest.approx(4.9e-6)
    assert by_id["cm572-ec50-mcf7"]["text"] == "4.9 ± 1.17 µM"
    assert by_id["cm572-ki-sigma1"]["operator"] == ">="
    assert by_id["cm572-ki-sigma1"]["high_M"] is None
    assert card["discrepancies"][0]["ratios"]["lines"]["ratio"] == pytest.approx(6.592, abs=5e-4)
    used = {found["citation"] for found in card["values"]} - {None}
    assert used <= {entry["key"] for entry in card["citations"]}


def test_a_citation_shows_only_what_is_known():
    assert reference.citation("nicholson2015").text() == (
        "Nicholson and others (2015). J Pharmacol Exp Ther 354:203. PMC4518069."
    )
    assert reference.citation("cm572_guide").text() == "Technical guide on CM572."


def test_the_room_opens_without_heavy_libraries():
    code = "import sys, halfmax.reference; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["numpy", "scipy", "pandas", "yaml", "pint"]
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- reading is strict ----------------------------------------------------------------------


def test_the_packaged_files_load_from_any_folder(folder):
    assert load(folder) == library()
    assert isinstance(load(folder), Library)


@pytest.mark.parametrize(
    ("stem", "old", "new", "message"),
    [
        ("values", "citation: nicholson2015", "citation: nicholson15", 'no citation .* Did you mean "nicholson2015"'),
        ("values", "ligand: CM572", "ligand: CM57", 'entry "cm572-ki-sigma2": no ligand .* Did you mean "CM572"'),
        ("values", "target: sigma-2 receptor", "target: sigma-3 receptor", "no target is called"),
        ("values", "cell_line: MCF-7", "cell_line: MCF7", 'no cell line .* Did you mean "MCF-7"'),
        ("values", "quantity: ec50", "quantity: ec60", 'quantity "ec60" is not known. Did you mean "ec50"'),
        ("values", 'operator: ">="', 'operator: "=>"', 'operator "=>" is not known'),
        ("values", "value: 14.6 nM", 'value: "14.6"', "a number, one space and a unit"),
        ("values", "value: 14.6 nM", "value: 14.6 furlong", "14.6 furlong"),
        ("values", "value: 14.6 nM", "value: 0 nM", "must be > 0"),
        ("values", "value: 14.6 nM", "value: 14.6", '"value" must be text, found 14.6'),
        ("values", "value: 2108 fmol/mg", "value: 2108 nM", "a density is given in fmol/mg"),
        ("values", "error_kind: undefined", "error_kind: range", 'error_kind "range" is not known'),
        ("values", "  error_kind: undefined\n", "", "error and error_kind belong together"),
        ("values", "upper: 5 nM", "upper: 2 nM", r"upper \(2 nM\) must exceed value \(3 nM\)"),
        ("values", "  upper: 5 nM\n", "", 'upper belongs to the operator "range"'),
        ("values", "time: 24 h", "time: 24", '"time" must be text'),
        ("values", "time: 24 h", "time: 24 kg", "24 kg"),
        ("values", "source_kind: published\n", "source_kind: rumour\n", 'source_kind "rumour" is not known'),
        ("values", "  citation: nicholson2015\n", "", '"published" without a citation'),
        ("values", "value: 685 fold", "value: 700 fold", "700 is written, 684.9 follows from"),
        ("values", "source_kind: calculated", "source_kind: general knowledge", "belong together"),
        ("values", "id: cm572-ki-sigma1", "id: cm572-ki-sigma2", "already taken"),
        ("values", "statement: Cytotoxic.", "value: 3 µM", "is told in words"),
        ("values", "id: cm572-bid", "identity: cm572-bid", 'unknown key "identity"'),
        ("ligands", "role: partial agonist", "role: partial", 'role "partial" is not known'),
        ("ligands", "  formula: C22H23FN4O2S\n", "", "a SMILES stands without a formula"),
        ("ligands", "formula: C22H23FN4O2S", "formula: C22H23FN4O2Q", "no atomic weight for Q"),
        ("ligands", "synonyms: [CM-572]", "synonyms: [SN-79]", 'the name "SN79" is already taken by "CM572"'),
        ("ligands", "synonyms: [CM-572]", "synonyms: CM-572", '"synonyms" must be a list of words'),
        ("targets", "uniprot: Q5BJF2", "uniprot: TMEM97", '"TMEM97" is not a UniProt accession'),
        ("targets", "transmembrane_passes: 4", "transmembrane_passes: four", "must be a whole number"),
        ("targets", "  gene: TMEM97\n", "", 'the key "gene" is missing'),
        ("cell_lines", "category: normal", "category: healthy", 'category "healthy" is not known'),
        ("cell_lines", "doubling_time: 44 h", "doubling_time: 44 µM", "44 µM"),
        ("citations", "pmc: PMC4518069", "pmc: '4518069'", '"4518069" is not a PMC'),
        ("citations", "doi: 10.1038/s41420-019-0141-2", "doi: 1038/s41420", "is not a DOI"),
        ("citations", "  title: Technical guide on CM572\n", "", "nobody could find it"),
        ("discrepancies", "{lines.ratio:.2f}", "{line.ratio:.2f}", "a figure that is not there"),
        ("discrepancies", "lines: [cm572-ec50-hmec,", "lines: [cm572-ec50-hmek,", "no value is called"),
        ("discrepancies", "citations: [cm572_guide]", "citations: [guide]", "no citation is called"),
        ("discrepancies", "mcf7: [cm572-ec50-mcf7, cm572-ki-sigma2]", "mcf7: [cm572-ec50-mcf7]", "two ids"),
    ],
)
def test_an_entry_that_breaks_a_rule_is_named_with_its_file(folder, stem, old, new, message):
    with pytest.raises(FileError, match=message) as caught:
        load(spoil(folder, stem, old, new))
    assert str(caught.value).startswith(f"reference/{stem}.yaml")


def test_a_file_that_is_missing_or_not_yaml_is_named(folder):
    (folder / "ligands.yaml").write_text("- name: [", encoding="utf-8")
    with pytest.raises(FileError, match=r"reference/ligands\.yaml cannot be read"):
        load(folder)
    (folder / "ligands.yaml").unlink()
    with pytest.raises(FileError, match=r"reference/ligands\.yaml cannot be read"):
        load(folder)


@pytest.mark.parametrize(
    ("text", "message"), [("name: CM572\n", "a list of entries"), ("- CM572\n", "keys and values")]
)
def test_a_file_of_the_wrong_shape_is_named(folder, text, message):
    (folder / "ligands.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(FileError, match=message):
        load(folder)
