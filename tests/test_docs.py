"""The documentation is true: its code runs, its commands print what it says, it names every key and option."""

from __future__ import annotations

import contextlib
import glob
import importlib.util
import inspect
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import halfmax
from halfmax.readers.layout import read_layout
from halfmax.study.document import StudyDocument

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))
SOURCES = [path for path in [*PAGES, ROOT / "README.md"] if "_build" not in path.parts]
FENCE = re.compile(r"^```(?:\{code-block\} )?(?P<kind>[a-z]+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
CAPTION = re.compile(r"\A:caption: (?P<file>\S+?)(?P<more>, added at the end)?\n\n")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, its text, the file that its caption names, whether it adds to it."""

    kind: str
    body: str
    file: str = ""
    adds: bool = False
    follows: bool = False


def blocks(path: Path) -> list[Block]:
    found, end, text = [], -1, path.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        body, follows = match["body"], not text[max(end, 0) : match.start()].strip() and end >= 0
        caption = CAPTION.match(body)
        file = caption["file"] if caption else ""
        body = body[caption.end() :] if caption else body
        found.append(Block(match["kind"], body, file, bool(caption and caption["more"]), follows))
        end = match.end()
    return found


def same(said: str, expected: str) -> bool:
    """Whether a text is the expected one, in which … stands for anything."""
    pattern = ".*".join(re.escape(part) for part in expected.strip().split("…"))
    return re.fullmatch(pattern, said.strip(), re.DOTALL) is not None


def run_commands(body: str) -> list[str]:
    """Run the commands of a console block; what of the lines below each is not printed, in that order."""
    faults = []
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, *expected = part.strip("\n").split("\n")
        words = [name for word in shlex.split(command) for name in (sorted(glob.glob(word)) or [word])]
        if words[0] != "halfmax":
            faults.append(f"only halfmax is run here: {command}")
            continue
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "error", "COLUMNS": "100"}
        done = subprocess.run(
            [sys.executable, "-m", *words], capture_output=True, encoding="utf-8", env=environment, check=False
        )
        printed = iter((done.stdout + done.stderr).splitlines())
        faults += [
            f"`{command}` does not print\n{line}\nbut\n{done.stdout}{done.stderr}"
            for line in filter(str.strip, expected)
            if line.strip() != "…" and not any(same(found, line) for found in printed)
        ]
    return faults


def run_page(path: Path) -> list[str]:
    """Run a page from top to bottom (its Python in one namespace, its commands, its files written): what is not so."""
    space: dict[str, object] = {"__name__": "docs"}
    printed, faults = "", []
    for block in blocks(path):
        if block.kind == "python":
            stream = io.StringIO()
            with contextlib.redirect_stdout(stream):
                exec(compile(block.body, f"{path.name}", "exec"), space)
            printed = stream.getvalue()
        elif block.kind == "console":
            faults += run_commands(block.body)
        elif block.kind == "text" and block.follows and printed:
            if not same(printed, block.body):
                faults.append(f"{path.name} says\n{block.body}\nbut the code prints\n{printed}")
        elif block.file:
            with open(block.file, "a" if block.adds else "w", encoding="utf-8") as stream:
                stream.write(("\n" if block.adds else "") + block.body)
        printed = printed if block.kind == "python" else ""
    return faults


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_page_does_what_it_says(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    faults = run_page(path)
    assert not faults, "\n".join(faults)


def test_a_page_that_says_what_is_not_so_is_caught(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nprint(1)\n```\n\n```text\n2\n```\n\n```console\n$ halfmax --version\nno such line\n$ rm x\n```\n",
        encoding="utf-8",
    )
    said, missing, foreign = run_page(page)
    assert said == "page.md says\n2\n\nbut the code prints\n1\n"
    assert missing.startswith("`halfmax --version` does not print\nno such line\nbut\n")
    assert foreign == "only halfmax is run here: rm x"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_toml_on_a_page_is_valid(path):
    for block in blocks(path):
        if block.kind == "toml":
            assert tomllib.loads(block.body)


def test_every_example_of_a_layout_is_read(tmp_path):
    examples = [block for block in blocks(ROOT / "docs/methods/layouts.md") if block.kind in ("toml", "csv")]
    assert len(examples) >= 3
    for index, block in enumerate(examples):
        path = tmp_path / f"map_{index}.{block.kind}"
        path.write_text(block.body, encoding="utf-8")
        assert len(read_layout(path).frame)


def test_every_example_of_a_study_document_is_valid():
    examples = [block for block in blocks(ROOT / "docs/study.md") if block.kind == "toml"]
    assert examples
    for block in examples:
        StudyDocument.model_validate({"study": {"title": "t"}, **tomllib.loads(block.body)})


def test_every_section_of_the_study_document_has_its_table():
    text = (ROOT / "docs/study.md").read_text(encoding="utf-8")
    for section in StudyDocument.model_fields:
        assert f"```{{study-keys}} {section}\n" in text


def test_every_command_and_option_is_described():
    from typer.main import get_command

    from halfmax.cli import app

    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    for name, command in get_command(app).commands.items():
        _, _, section = text.partition(f"## `halfmax {name}`")
        assert section, f"docs/cli.md has no section on halfmax {name}"
        section = section.partition("\n## ")[0]
        for parameter in command.params:
            for option in getattr(parameter, "opts", []):
                if option.startswith("--"):
                    assert f"`{option}" in section, f"docs/cli.md does not describe {option} of halfmax {name}"


def test_every_name_of_the_package_is_in_the_reference():
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    for name in halfmax._PUBLIC:
        module = getattr(halfmax, name).__module__
        assert f"autofunction:: halfmax.{name}\n" in text or f"automodule:: {module}\n" in text, (
            f"docs/api.md does not mention {name}"
        )


@pytest.mark.parametrize(
    "room", ["halfmax.assays.growth", "halfmax.curves", "halfmax.estimate", "halfmax.readers.long"]
)
def test_every_function_and_class_of_a_room_is_in_the_reference(room):
    """By itself, or among the members of its module or its room."""
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    members = dict(re.findall(r"^\.\. automodule:: (\S+)\n   :members: (.+)$", text, re.MULTILINE))
    said = {f"{module}.{name}" for module, names in members.items() for name in names.split(", ")}
    said |= set(re.findall(r"^\.\. auto(?:function|class):: (\S+)$", text, re.MULTILINE))
    public = {name: getattr(importlib.import_module(room), name) for name in importlib.import_module(room).__all__}
    missing = {
        name
        for name, one in public.items()
        if (inspect.isfunction(one) or inspect.isclass(one))
        and not said & {f"{where}.{name}" for where in (room, one.__module__, "halfmax")}
    }
    assert not missing


def test_citation_file_is_valid_and_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (cited["cff-version"], cited["type"], cited["license"]) == ("1.2.0", "software", "BSD-3-Clause")
    assert cited["version"] == halfmax.__version__
    assert {"message", "title", "authors"} <= set(cited)


def test_changelog_names_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{halfmax.__version__}]" in text


def test_tables_of_the_study_document_come_from_the_schema():
    pytest.importorskip("docutils")
    specification = importlib.util.spec_from_file_location("docs_conf", ROOT / "docs/conf.py")
    conf = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(conf)
    assert conf.kind(StudyDocument.model_fields["study"].annotation.model_fields["level"].annotation) == "number"
