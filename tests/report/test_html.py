"""The HTML report: complete, closed to the network, safe, and fit for a phone."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace

import pytest

from halfmax.errors import FileError
from halfmax.report import write_html
from halfmax.report.html import html_of

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "microsoft-edge",
)
#: Chromium's own services must not speak while a page is tested for silence.
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync")  # fmt: skip


@pytest.fixture(scope="session")
def text(html) -> str:
    return html.read_text(encoding="utf-8")


def test_the_answer_stands_before_the_evidence_and_the_evidence_before_the_methods(text):
    order = ["answer", "table-summary", "curves", "plates", "quality", "open", "methods", "record", "provenance"]
    places = [text.index(f'id="{name}"') for name in order]
    assert places == sorted(places)


def test_the_report_says_simulated_in_words_before_anything_else(text):
    assert text.index("Simulated data: no instrument") < text.index('id="answer"')


def test_an_open_ec50_is_printed_as_a_bound(text):
    assert re.search(r"<td[^>]*>&gt; \d+ µM</td>", text)


def test_nothing_in_the_page_is_loaded_from_elsewhere(text):
    loads = re.findall(r'\b(?:src|srcset|data|action|xlink:href)="([^"]*)"', text) + re.findall(r"url\(([^)]*)\)", text)
    assert not [target for target in loads if not target.startswith(("#", "data:"))]
    assert not re.search(r"<link[^>]*href=\"(?!data:)", text)
    assert "@import" not in text


def test_every_table_has_its_csv_and_every_figure_its_words(text):
    assert text.count("<table") == text.count('href="data:text/csv')
    assert text.count("<figure") == text.count('role="img" aria-label="')


def test_the_page_is_small(html):
    assert html.stat().st_size < 3_000_000


def test_the_same_report_gives_the_same_page(report, text):
    assert html_of(report) == text


def test_research_use_only_is_said_in_the_foot(text):
    assert "Research use only." in text[text.index("<footer>") :]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '#panic("x")', "=1+1", "a\\b'c\"d & ${e} {{ 7*7 }}"])
def test_text_from_files_stays_text(report, name):
    curve = report.curves[0]
    response = replace(curve.fits[0].response, compound=name)
    hostile = replace(curve, compound=name, fits=(replace(curve.fits[0], response=response), *curve.fits[1:]))
    plate = replace(report.plates[0], name=name)
    page = html_of(replace(report, title=name, description=name, curves=(hostile,), plates=(plate,), comparisons=()))
    assert "<script>alert" not in page
    assert page.count("<script>") == 1


def test_a_report_with_nothing_but_a_title_is_still_a_page(report):
    empty = replace(report, curves=(), plates=(), comparisons=(), exclusions=(), discrepancies=())
    assert "None: every measured well took part." in html_of(empty)


def test_a_folder_that_is_not_there_is_named(report, tmp_path):
    path = tmp_path / "nowhere" / "report.html"
    with pytest.raises(FileError, match="nowhere"):
        write_html(replace(report, curves=(), plates=()), path)


def test_a_failure_leaves_what_was_there(report, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(FileError, match="No space left"):
        write_html(replace(report, curves=(), plates=()), path)
    assert path.read_text(encoding="utf-8") == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say(f"no browser is installed; looked for {', '.join(BROWSERS)}")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as session:
        opened = session.chromium.launch(executable_path=found, args=list(QUIET))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def opened(browser, html):
    """The page on a phone, with all that it asked for and all that it complained of."""
    page = browser.new_page(viewport={"width": 390, "height": 844})
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(html.as_uri())
    page.wait_for_load_state("networkidle")
    yield page, asked, said
    page.close()


@pytest.mark.browser
def test_the_page_asks_for_nothing_but_itself(opened, html):
    _, asked, _ = opened
    assert [url for url in asked if url != html.as_uri() and not url.startswith("data:")] == []


@pytest.mark.browser
def test_the_page_has_nothing_to_complain_of(opened):
    assert opened[2] == []


@pytest.mark.browser
def test_nothing_is_wider_than_a_phone(opened):
    page = opened[0]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(
        "[...document.querySelectorAll('figure svg')].every(e => e.getBoundingClientRect().right <= innerWidth)"
    )


@pytest.mark.browser
@pytest.mark.parametrize(("kind", "start"), [("svg", b"<svg"), ("png", b"\x89PNG")])
def test_a_figure_can_be_saved_from_the_page(opened, kind, start):
    page = opened[0]
    with page.expect_download() as download:
        page.locator(f'figure.forest [data-save="{kind}"]').first.click()
    assert download.value.suggested_filename == f"forest-1.{kind}"
    with open(download.value.path(), "rb") as stream:
        assert stream.read().startswith(start)
