"""How the documentation is built: Sphinx, MyST Markdown, furo; offline, nothing from the network."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, get_args

from docutils import nodes
from docutils.parsers.rst import Directive
from pygments.lexers.special import TextLexer

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

import halfmax
from halfmax.study.document import StudyDocument

project = "halfmax"
author = project_copyright = "The halfmax developers"
release = version = halfmax.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nitpicky = False
exclude_patterns = ["_build"]

autodoc_default_options = {"members": True, "member-order": "bysource", "exclude-members": "__init__, __new__"}
autodoc_typehints = "none"
autodoc_class_signature = "mixed"
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_ivar = True
python_maximum_signature_line_length = 88

#: Curve is a family in one room and a line of a report in another: which one a type means is said by its page.
suppress_warnings = ["ref.python"]
smartquotes = False
html_theme = "furo"
html_title = f"halfmax {release}"
html_static_path = ["_static"]
html_css_files = ["halfmax.css"]
html_show_sourcelink = False
html_copy_source = False
pygments_style = "friendly"

#: Words for the types of the study document.
TYPES = {"str": "text", "bool": "true or false", "float": "number", "int": "whole number", "list[str]": "list of texts"}


def cell(text: str) -> nodes.entry:
    """Cell of a table; what stands between backquotes is code."""
    paragraph = nodes.paragraph()
    for index, part in enumerate(text.split("`")):
        paragraph += nodes.literal(part, part) if index % 2 else nodes.Text(part)
    return nodes.entry("", paragraph)


def table(header: tuple[str, ...], rows: list[tuple[str, ...]], widths: tuple[int, ...]) -> nodes.table:
    """Table of texts."""
    group = nodes.tgroup(cols=len(header))
    group += [nodes.colspec(colwidth=width) for width in widths]
    group += nodes.thead("", nodes.row("", *map(cell, header)))
    group += nodes.tbody("", *(nodes.row("", *map(cell, row)) for row in rows))
    return nodes.table("", group)


def kind(annotation: Any) -> str:
    """Type of a key in words: ``text``, or the texts it may be."""
    if type(None) in get_args(annotation):
        (annotation,) = (one for one in get_args(annotation) if one is not type(None))
    name = str(annotation).replace("<class '", "").replace("'>", "")
    if name.startswith("typing.Literal"):
        return ", ".join(f"`{choice}`" for choice in annotation.__args__)
    return TYPES[name]


class StudyKeys(Directive):
    """The keys of one section of `study.toml`, from the schema itself: ``{study-keys} viability``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Table of key, type, default and meaning."""
        annotation = StudyDocument.model_fields[self.arguments[0]].annotation
        section = getattr(annotation, "__args__", (annotation,))[0]
        rows = []
        for name, field in section.model_fields.items():
            default = "required" if field.is_required() else "none" if field.default is None else f"`{field.default}`"
            default = {"`True`": "`true`", "`False`": "`false`", "``": "empty"}.get(default, default)
            rows.append((f"`{name}`", kind(field.annotation), default, field.description or ""))
        return [table(("key", "type", "default", "meaning"), rows, (14, 18, 18, 50))]


class Registry(Directive):
    """A dictionary of names and meanings, from the code itself: ``{registry} halfmax.table ROLES``."""

    required_arguments = 2
    option_spec: ClassVar[dict[str, Any]] = {"header": str}

    def run(self) -> list[nodes.Node]:
        """Table of name and meaning."""
        known = getattr(import_module(self.arguments[0]), self.arguments[1])
        header = tuple(part.strip() for part in self.options.get("header", "name, meaning").split(","))
        return [table(header, [(f"`{name}`", str(meaning)) for name, meaning in known.items()], (25, 75))]


def plain_references(_app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """References of a docstring as a list: numbers may repeat on a page, footnotes may not."""
    for index, line in enumerate(lines):
        lines[index] = re.sub(r"^\.\. \[(\d+)\] ", r"\1. ", re.sub(r" \[(\d+)\]_", r" [\1]", line))


def setup(app: Any) -> None:
    """Directives of this documentation."""
    app.add_directive("study-keys", StudyKeys)
    app.add_directive("registry", Registry)
    app.add_lexer("csv", TextLexer)
    app.connect("autodoc-process-docstring", plain_references, priority=400)
