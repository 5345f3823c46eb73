"""Every family has a page that names its parameters, and stands in the table of all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from halfmax.curves import MODELS

PAGES = Path(__file__).parent.parent.parent / "docs/curves"


@pytest.mark.parametrize("name", list(MODELS))
def test_a_family_has_its_page(name):
    family = MODELS[name]
    text = (PAGES / f"{family.page}.md").read_text(encoding="utf-8")
    assert f"`{name}`" in text
    for parameter in family.outside_names:
        assert f"`{parameter}`" in text, parameter
    for doi in re.findall(r"10\.\d{4}/\S+", family.reference):
        assert doi in text


@pytest.mark.parametrize("name", list(MODELS))
def test_a_family_stands_in_the_table_of_all(name):
    text = (PAGES / "index.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("|") and f"`{name}`" in line)
    assert f"({MODELS[name].page}.md)" in row


def test_every_picture_is_there():
    for page in PAGES.glob("*.md"):
        for picture in re.findall(r"\]\((\.\./images/\S+\.svg)\)", page.read_text(encoding="utf-8")):
            assert (PAGES / picture).is_file()
