"""The command line, as a person meets it: whole processes, exit codes, stdout apart from stderr."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from halfmax.cli import main
from halfmax.curves import MODELS, hill

COMMAND = [sys.executable, "-m", "halfmax"]
#: The command as a terminal starts it: where tests run in the background, their children inherit an ignored Ctrl-C.
INTERRUPTIBLE = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from halfmax.cli import main; main()",
]


def halfmax(*arguments, cwd=None):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, encoding="utf-8", cwd=cwd, check=False
    )


@pytest.fixture
def here(monkeypatch, capsys):
    """The command in this process: exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["halfmax", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo as a newcomer runs it."""
    folder = tmp_path_factory.mktemp("newcomer")
    return folder / "halfmax-demo", halfmax("demo", cwd=folder)


@pytest.fixture
def table(tmp_path):
    """A long table with two curves."""
    rng = np.random.default_rng(1)
    lines = ["compound,dose_uM,signal"]
    for name, ec50 in (("a", 2.0), ("b", 20.0)):
        for dose in np.repeat([0, 0.1, 0.3, 1, 3, 10, 30, 100], 3):
            level = hill(dose, ec50=ec50, hill_slope=-1.2, top=100, bottom=5) + rng.normal(0, 2)
            lines.append(f"{name},{dose},{level:.4f}")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_demo_ends_well_and_says_where_the_report_is(demo):
    folder, result = demo
    assert result.returncode == 0, result.stderr
    assert "Simulated data" in result.stdout
    assert re.search(r"CM572: calcium against concentration  EC50 .* µM \(.*\), n = 3 days", result.stdout)
    assert re.search(r"CB-64D after 1 µM CM572 reaches \d+ % of CB-64D alone", result.stdout)
    where = result.stdout.splitlines()[-1].removeprefix("Report: ")
    assert os.path.isfile(where)
    assert "reading plates" in result.stderr
    again = halfmax("demo", folder, "--no-pdf", "--name", "again")
    assert again.returncode == 0


def test_run_prints_records_for_a_program(demo):
    folder, _ = demo
    result = halfmax("run", folder, "--json", "--no-pdf", "--name", "json")
    records = json.loads(result.stdout)
    combined = {row["cell_line"]: row for row in records if row["kind"] == "combined" and "ec50" in row}
    assert combined["MCF-7"]["ec50_low"] < 4.9e-6 < combined["MCF-7"]["ec50_high"]
    assert combined["MCF-7"]["ec50_unit"] == "M"
    assert all(row["simulated"] for row in records)


def test_fit_gives_one_record_a_curve(table):
    result = halfmax("fit", table, "--concentration", "dose_uM", "--response", "signal", "--by", "compound", "--json")
    assert result.returncode == 0, result.stderr
    first, second = json.loads(result.stdout)
    assert (first["compound"], second["compound"]) == ("a", "b")
    assert first["ec50"] == pytest.approx(2.0, rel=0.2)
    assert first["ec50_unit"] == "unit of dose_uM"
    wanted = {
        "model",
        "ec50",
        "ec50_low",
        "ec50_high",
        "ec50_operator",
        "hill_slope",
        "top",
        "bottom",
        "rss",
        "df",
        "n",
    }
    assert wanted | {"top_low", "bottom_high", "hill_slope_low", "status"} <= set(first)


def test_fit_with_a_unit_answers_in_molar(table):
    result = halfmax("fit", table, "-x", "dose_uM", "-y", "signal", "--by", "compound", "--unit", "µM", "--json")
    first, _ = json.loads(result.stdout)
    assert first["ec50"] == pytest.approx(2e-6, rel=0.2)
    assert first["ec50_unit"] == "M"
    plain = halfmax("fit", table, "-x", "dose_uM", "-y", "signal", "--by", "compound", "--unit", "µM")
    assert "µM (" in plain.stdout


@pytest.mark.parametrize("model", MODELS)
def test_fit_prints_a_line_a_curve_of_every_model(table, here, model):
    _, out, err = here("fit", table, "-x", "dose_uM", "-y", "signal", "--by", "compound", "--model", model)
    lines = [line for line in out.splitlines() if not line.startswith("    ")]
    assert [line.split()[0] for line in lines] == ["a", "b"], err
    fitted = MODELS[model].parameters
    for name in ("ec50",) if "ec50" in fitted else fitted:
        assert all(f"  {name} " in text or f", {name} " in text for text in out.lower().splitlines() if "n = " in text)


def test_a_flat_line_has_its_mean_and_the_level_of_its_interval(table, here):
    _, out, _ = here("fit", table, "-x", "dose_uM", "-y", "signal", "--by", "compound", "--model", "flat", "--json")
    signal = np.loadtxt(table, delimiter=",", skiprows=1, usecols=2)
    assert {record["level"] for record in json.loads(out)} == {0.95}
    assert [record["mean"] for record in json.loads(out)] == pytest.approx([signal[:24].mean(), signal[24:].mean()])


@pytest.mark.parametrize(("model", "refused"), [("flat", 0), ("association", 0), ("two_sites", 4)])
def test_strict_is_about_the_status_whatever_the_model(table, here, model, refused):
    words = ("fit", table, "-x", "dose_uM", "-y", "signal", "--by", "compound", "--model", model)
    _, out, _ = here(*words, "--json")
    opened = [record["compound"] for record in json.loads(out) if not record["status"].startswith("ok")]
    code, _, err = here(*words, "--strict")
    assert code == refused
    assert (f"--strict: {len(opened)} estimates are open or refused: {', '.join(opened)}" in err) == bool(opened)


def test_fit_takes_what_is_held_bounded_weighed_and_asked_besides(table, here):
    words = ("fit", table, "-x", "dose_uM", "-y", "signal", "--by", "compound", "--unit", "µM")
    _, out, err = here(
        *words, "--fix", "hill_slope=-1.2", "--bound", "bottom=0:10", "--bound", "top=90:", "--noise", "0.5",
        "--also", "ec10, ec50_absolute", "--zero", "0", "--json",
    )  # fmt: skip
    assert err == ""
    first, second = json.loads(out)
    assert (first["hill_slope"], second["hill_slope"]) == (-1.2, -1.2)
    assert 0 <= first["bottom_low"] <= first["bottom_high"] <= 10
    assert first["ec10"] == pytest.approx(first["ec50"] / 9 ** (1 / 1.2))
    assert first["ec50_absolute_unit"] == first["ec10_unit"] == first["ec50_unit"] == "M"
    assert first["q_flat"] >= first["p_flat"]
    _, out, _ = here(*words, "--fix", "ec50=2e-6", "--also", "ec90")
    assert re.match(r"a  hill_slope -1\..*\), top .*\), bottom .*\), EC90 [\d.]+ µM \(", out)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fix", "bottom"], '--fix "bottom": expected a name and a value. Write it as bottom=0.'),
        (["--fix", "bottom=0 µM"], 'expected a number, found "0 µM". Write it without a unit, as in 2e-6.'),
        (["--fix", "bottom=inf"], 'expected a number, found "inf"'),
        (["--fix", "bottom=0", "--fix", "bottom=1"], '--fix "bottom=1": bottom is given twice. Leave one of them out.'),
        (["--fix", "botom=0"], 'hill4 has no parameter "botom". Did you mean "bottom"?'),
        (["--fix", "ec50=-1"], "ec50 is positive"),
        (["--fix", "top=1", "--bound", "top=0:2"], "top is held and has limits. Leave one of the two out."),
        (["--bound", "top=1"], '--bound "top=1": expected two limits, found one. Write it as top=low:high.'),
        (["--bound", "top=low:1"], '--bound "top=low:1": expected a number, found "low".'),
        (["--bound", "top=2:1"], "limits of top must be (low, high), found (2, 1)."),
        (["--noise", "loud"], 'unknown noise "loud". Known are constant, proportional, power, or a power between'),
        (["--noise", "3"], "the power of the noise must lie between 0 and 2, found 3."),
        (["--also", "ec11"], 'unknown quantity "ec11". Known are ec10,'),
        (["--also", "ec50_absolute"], "ec50_absolute needs the signal of wells without cells"),
        (["--zero", "nan"], "zero, the signal of no cells, must be a finite number, found nan."),
        (["--model", "hil4"], 'unknown model "hil4". Did you mean "hill4"?'),
        (["--model", "association", "--unit", "µM"], "association is a curve in time"),
        (["--level", "95"], "level must lie between 0 and 1, found 95"),
    ],
)
def test_an_option_of_fit_that_cannot_be_is_refused(table, tmp_path, here, options, message):
    code, out, err = here("fit", table, "-x", "dose_uM", "-y", "signal", "-o", tmp_path / "out.csv", *options)
    assert (code, out) == (3, "")
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_the_help_of_fit_and_the_shell_know_every_model(here, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    code, out, _ = here("fit", "--help")
    assert code == 0
    assert all(re.search(rf"\b{model}\b", out) for model in MODELS)
    asked = {"_HALFMAX_COMPLETE": "complete_bash", "COMP_WORDS": "halfmax fit t.csv --model ", "COMP_CWORD": "4"}
    script = [sys.executable, "-c", "from halfmax.cli import app; app(prog_name='halfmax')"]
    done = subprocess.run(
        script, env=os.environ | asked, capture_output=True, text=True, encoding="utf-8", check=False
    )  # fmt: skip
    assert done.stdout.split() == list(MODELS)


def test_fit_writes_a_table(table, tmp_path):
    target = tmp_path / "out.csv"
    result = halfmax("fit", table, "-x", "dose_uM", "-y", "signal", "--by", "compound", "-o", target)
    assert result.returncode == 0
    assert target.read_text(encoding="utf-8").startswith("compound,model,ec50,")
    lost = halfmax("fit", table, "-x", "dose_uM", "-y", "signal", "-o", tmp_path / "no" / "out.csv")
    assert lost.returncode == 3
    assert "out.csv: cannot be written" in lost.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("b,0.3,", "b,-0.3,"), r'row 32: column "dose_uM" must be a finite number ≥ 0, found -0.3'),
        (("b,0.3,", "b,inf,"), r'column "dose_uM" must be a finite number ≥ 0, found inf'),
        (("b,0.3,", "b,nan,"), r'column "dose_uM" must be a finite number ≥ 0, found nan'),
        (("b,0.3,", "b,0.3 uM,"), r'row 32: column "dose_uM" must hold numbers, found "0.3 uM"'),
        (("b,0.3,", "b,0.3,inf#"), r'row 32: column "signal" must hold numbers, found "inf#'),
        (("signal", "singal"), r'there is no column "signal". Did you mean "singal"?'),
    ],
)
def test_a_bad_cell_is_named_with_its_row(table, change, message):
    table.write_text(table.read_text(encoding="utf-8").replace(*change, 1), encoding="utf-8")
    result = halfmax("fit", table, "-x", "dose_uM", "-y", "signal", "--by", "compound", "--json")
    assert result.returncode == 3
    assert result.stdout == ""
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_an_infinite_signal_is_refused_and_an_empty_one_is_missing(table):
    text = table.read_text(encoding="utf-8").splitlines()
    lines = [line if number != 5 else line.rsplit(",", 1)[0] + "," for number, line in enumerate(text)]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = halfmax("fit", table, "-x", "dose_uM", "-y", "signal", "--by", "compound", "--json")
    assert "1 well is missing" in json.loads(result.stdout)[0]["notes"]
    lines[5] += "inf"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = halfmax("fit", table, "-x", "dose_uM", "-y", "signal", "--by", "compound")
    assert result.returncode == 3
    assert 'row 6: column "signal" must be finite' in result.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty. Expected a CSV with the columns dose, signal"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "is a binary file"),
        (b"dose,signal\n", "holds a header and no rows"),
        (b"dose,signal\n0,1\n1,0.5\n", "needs at least 3 doses above zero, found 1"),
    ],
)
def test_a_table_that_holds_no_curve_is_refused(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    result = halfmax("fit", path, "-x", "dose", "-y", "signal")
    assert result.returncode == 3
    assert message in result.stderr


def test_all_equal_signals_are_an_answer_and_refused_only_under_strict(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("dose;signal\n" + "".join(f"{d};1,5\n{d};1,5\n" for d in ("0", "0,1", "1", "10")), encoding="utf-8")
    result = halfmax("fit", path, "-x", "dose", "-y", "signal", "--json")
    (record,) = json.loads(result.stdout)
    assert result.returncode == 0
    assert record["ec50"] is None
    assert record["ec50_operator"] == "?"
    assert "all signals are equal" in record["status"]
    assert halfmax("fit", path, "-x", "dose", "-y", "signal", "--strict").returncode == 4


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the memory of a child process is measured with resource")
@pytest.mark.parametrize("command", [["fit", "-x", "dose", "-y", "signal"], ["read"]])
def test_a_table_of_200_mb_is_met_in_bounded_memory(tmp_path, command):
    """`fit` streams it; `read` refuses it without loading it. Either way below 1.2 GB."""
    path = tmp_path / "large.csv"
    wells = ((0, 1.01), (0.1, 0.91), (1, 0.51), (10, 0.11), (100, 0.06))
    block = "".join(f"{dose},{signal},some text that nobody asked for\n" for dose, signal in wells) * 4000
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("dose,signal,note\n")
        while stream.tell() < 200e6:
            stream.write(block)
    probe = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], capture_output=True, text=True)\n"
        "print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        "print(done.stdout[-300:], done.stderr[-300:])"
    )
    arguments = [command[0], str(path), *command[1:]]
    words = [sys.executable, "-c", probe, *COMMAND, *arguments]
    found = subprocess.run(words, capture_output=True, text=True, check=True)
    code, peak = found.stdout.splitlines()[0].split()
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(peak) * unit < 1.2e9, found.stdout
    assert code == ("0" if command[0] == "fit" else "3"), found.stdout


def test_read_says_what_a_file_holds(demo, tmp_path):
    folder, _ = demo
    export = folder / "plates" / "MCF-7_48h_1.txt"
    summary = json.loads(halfmax("read", export, "--json").stdout)
    assert summary["format"] == "softmax"
    assert summary["channels"] == ["570", "660"]
    assert (summary["wells"], summary["flagged"], len(summary["plates"])) == (96, 0, 1)
    assert "96, 0 flagged" in halfmax("read", export).stdout
    halfmax("read", export, "-o", tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").startswith("assay,compound,")


def test_reference_prints_what_is_published():
    text = halfmax("reference", "cm572").stdout
    assert "4.9 ± 1.17 µM" in text
    assert "≥ 10 µM" in text
    assert json.loads(halfmax("reference", "CM572", "--json").stdout)["ligand"]["name"] == "CM572"
    unknown = halfmax("reference", "CM573")
    assert unknown.returncode == 3
    assert 'Did you mean "CM572"' in unknown.stderr


def test_plan_writes_a_folder_that_waits_for_its_exports(tmp_path):
    result = halfmax("plan", tmp_path / "plan", "-l", "MCF-7", "-c", "CM572", "-t", "48 h", "--experiments", "1")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "plan" / "protocol.html").is_file()
    weak = halfmax("plan", tmp_path / "weak", "-l", "MCF-7", "-c", "CM572", "--stock", "1 mM")
    assert weak.returncode == 3
    assert "stock" in weak.stderr
    assert not (tmp_path / "weak").exists()


def test_init_writes_a_study(tmp_path, demo):
    folder, _ = demo
    assert halfmax("init", tmp_path / "empty").returncode == 0
    assert (tmp_path / "empty" / "study.toml").is_file()
    exports = sorted((folder / "plates").glob("HMEC*"))
    made = halfmax("init", tmp_path / "mine", "--from", *exports)
    assert made.returncode == 0, made.stderr
    assert len(list((tmp_path / "mine" / "plates").iterdir())) == 3


def test_schema_is_json():
    assert json.loads(halfmax("schema").stdout)["title"] == "halfmax study"


@pytest.mark.parametrize("arguments", [["fit"], ["nonsense"], ["run", "--bogus"]])
def test_wrong_words_exit_with_2(arguments):
    assert halfmax(*arguments).returncode == 2


def test_strict_exits_with_4_where_an_estimate_is_open(table):
    text = [
        line
        for line in table.read_text(encoding="utf-8").splitlines()
        if not line.startswith(("b,30", "b,100", "b,10"))
    ]
    table.write_text("\n".join(text) + "\n", encoding="utf-8")
    result = halfmax("fit", table, "-x", "dose_uM", "-y", "signal", "--by", "compound", "--strict")
    assert result.returncode == 4
    assert "--strict: 1 estimates are open or refused" in result.stderr


def test_a_study_that_is_not_there_exits_with_3(tmp_path):
    result = halfmax("run", tmp_path)
    assert result.returncode == 3
    assert "there is no such study" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT to another process")
def test_ctrl_c_exits_with_130_and_leaves_nothing_half_written(demo, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(demo[0], folder, ignore=shutil.ignore_patterns("results", "recordings"))
    text = (folder / "study.toml").read_text(encoding="utf-8")
    (folder / "study.toml").write_text(text[: text.index("# Calcium:")], encoding="utf-8")
    with subprocess.Popen(
        [*INTERRUPTIBLE, "run", str(folder)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        for line in run.stderr:
            if "writing the report" in line:
                break
        time.sleep(0.3)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=60)
    assert run.returncode == 130
    assert not any((folder / "results").glob("*")) if (folder / "results").exists() else True
