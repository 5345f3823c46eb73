"""The pictures of the imaging sheet, as SVG text: a dish from the side at each step, and the course of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Span", "course_svg", "dish_svg"]

_INK, _SOFT, _LINE = "#1b1f24", "#5c6670", "#dcdcd7"
_MEDIUM, _BUFFER, _DYE, _DRUG = "#f8dcd8", "#dbe9f4", "#f7dc6f", "#d55e00"
_CELL, _NUCLEUS, _GLOW = "#8fb3d9", "#3f6ea5", "#f0c419"
_EXCITE, _EMIT = "#7b4fb0", "#2e9e5b"


# ── A dish from the side ────────────────────────────────────────────────────────────────────────────


def dish_svg(step: str, title: str) -> str:
    """One step: plate, load, wash, baseline, perfuse, pipette or record."""
    body = {
        "plate": _liquid(_MEDIUM) + _cells(_CELL) + _tip(_MEDIUM),
        "load": _liquid("#fbeeb0") + _cells(_DYE) + _drops(_DYE) + _clock(),
        "wash": _liquid(_BUFFER) + _cells(_DYE) + _swirl(),
        "baseline": _liquid(_BUFFER) + _cells(_DYE) + _objective() + _trace("M20 34 l14 -1 l14 2 l14 -2 l14 1 l14 0"),
        "perfuse": _liquid(_BUFFER) + _cells(_DYE) + _drops(_DRUG) + _tubes() + _objective(),
        "pipette": _liquid(_BUFFER) + _cells(_DYE) + _drops(_DRUG) + _tip(_DRUG) + _objective(),
        "record": _liquid(_BUFFER)
        + _cells(_GLOW, lit=True)
        + _objective()
        + _trace("M20 40 l18 0 l6 -1 C50 4 54 4 62 18 C70 32 80 36 120 37"),
    }[step]
    wall = (
        f'<path d="M14 56 L14 100 L126 100 L126 56" fill="none" stroke="{_INK}" stroke-width="2.5" '
        f'stroke-linecap="round"/><path d="M38 100 L102 100" stroke="#9fc4d8" stroke-width="4"/>'
    )
    return f'<svg class="step" viewBox="0 0 140 140" role="img" aria-label="{escape(title)}">{body}{wall}</svg>'


def _liquid(fill: str) -> str:
    return f'<rect x="15" y="68" width="110" height="31" fill="{fill}"/>'


def _cells(fill: str, *, lit: bool = False) -> str:
    parts = []
    for x in (46, 62, 79, 95):
        ring = f'<circle cx="{x}" cy="93" r="11" fill="{_GLOW}" opacity="0.35"/>' if lit else ""
        parts.append(
            f'{ring}<path d="M{x - 8} 99 Q{x} 84 {x + 8} 99 Z" fill="{fill}" stroke="{_NUCLEUS}"/>'
            f'<circle cx="{x}" cy="94.5" r="1.9" fill="{_NUCLEUS}"/>'
        )
    return "".join(parts)


def _tip(fill: str) -> str:
    return (
        f'<path d="M60 14 L80 14 L73 44 L67 44 Z" fill="#ffffff" stroke="{_INK}" stroke-width="2"/>'
        f'<path d="M63.5 28 L76.5 28 L73 43 L67 43 Z" fill="{fill}"/>'
        f'<path d="M70 50 q5 7 0 9 q-5 -2 0 -9" fill="{fill}" stroke="{_INK}" stroke-width="1"/>'
    )


def _drops(fill: str) -> str:
    places = ((28, 76), (44, 80), (58, 74), (72, 80), (88, 75), (103, 81), (114, 75), (30, 90), (112, 91))
    return "".join(f'<circle cx="{x}" cy="{y}" r="2.6" fill="{fill}" stroke="{_INK}" stroke-width="0.6"/>'
                   for x, y in places)  # fmt: skip


def _clock() -> str:
    return (
        f'<circle cx="70" cy="32" r="15" fill="#ffffff" stroke="{_INK}" stroke-width="2"/>'
        f'<path d="M70 32 L70 22 M70 32 L77 36" stroke="{_INK}" stroke-width="2.2" stroke-linecap="round"/>'
    )


def _swirl() -> str:
    return (
        f'<path d="M46 40 q24 -18 48 0" fill="none" stroke="{_INK}" stroke-width="2" stroke-linecap="round"/>'
        f'<path d="M94 40 l-2 -8 M94 40 l-8 0" stroke="{_INK}" stroke-width="2" stroke-linecap="round"/>'
        '<path d="M24 77 q8 -6 16 0 t16 0 t16 0 t16 0 t16 0" fill="none" stroke="#8fb3d9" stroke-width="2"/>'
    )


def _objective() -> str:
    return (
        f'<path d="M66 104 L74 104 L62 116 L52 116 Z" fill="{_EXCITE}" opacity="0.55"/>'
        f'<path d="M66 104 L74 104 L88 116 L78 116 Z" fill="{_EMIT}" opacity="0.55"/>'
        f'<path d="M50 116 L90 116 L96 124 L96 136 L44 136 L44 124 Z" fill="#ffffff" stroke="{_INK}" '
        'stroke-width="2" stroke-linejoin="round"/>'
    )


def _tubes() -> str:
    return (
        f'<path d="M4 40 L24 40 Q30 40 30 46 L30 72" fill="none" stroke="{_INK}" stroke-width="7"/>'
        f'<path d="M4 40 L24 40 Q30 40 30 46 L30 72" fill="none" stroke="{_DRUG}" stroke-width="3.6"/>'
        f'<path d="M136 40 L116 40 Q110 40 110 46 L110 68" fill="none" stroke="{_INK}" stroke-width="7"/>'
        '<path d="M136 40 L116 40 Q110 40 110 46 L110 68" fill="none" stroke="#ffffff" stroke-width="3.6"/>'
        f'<path d="M56 34 l24 0 m-6 -5 l6 5 l-6 5" fill="none" stroke="{_INK}" stroke-width="2" '
        'stroke-linecap="round" stroke-linejoin="round"/>'
    )


def _trace(path: str) -> str:
    return (
        f'<path d="M14 6 L14 46 L128 46" fill="none" stroke="{_SOFT}" stroke-width="1.4"/>'
        f'<path d="{path}" fill="none" stroke="{_INK}" stroke-width="2" stroke-linejoin="round"/>'
    )


# ── The course of a recording ───────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Span:
    """A stretch of a recording.

    Parameters
    ----------
    kind : str
        ``"sham"``, ``"baseline"``, ``"dead"``, ``"response"``, ``"compound"``, ``"reference"``, ``"zero"``.
    start_s, end_s : float, s
    text : str
    """

    kind: str
    start_s: float
    end_s: float
    text: str = ""


_FILL = {
    "sham": "#f0f0ec", "baseline": "#cfd6dd", "dead": "#ffffff", "response": "#f7c9a3", "compound": _DRUG,
    "reference": "#223b6b", "zero": "#8d8f94",
}  # fmt: skip
_LIGHT = ("compound", "reference", "zero")
_LEFT, _WIDTH = 118.0, 760.0


def course_svg(rows: Sequence[tuple[str, Sequence[Span], Sequence[Span], float]]) -> str:
    """Dishes over time: what flows above, what the analysis looks at below.

    Parameters
    ----------
    rows : sequence of (name, solutions, windows, seconds)
    """
    last = max(seconds for *_, seconds in rows)
    scale, height = _WIDTH / last, 66 * len(rows) + 48
    parts = [
        f'<svg class="course" viewBox="0 0 {_LEFT + _WIDTH + 22:g} {height}" role="img" '
        'aria-label="Course of a recording of each kind of dish">'
        "<title>Course of a recording of each kind of dish</title>"
    ]
    bottom = height - 34
    for minute in range(0, int(last // 60) + 1, 1 if last <= 900 else 2):
        x = _LEFT + 60 * minute * scale
        parts.append(f'<path d="M{x:.1f} 4 L{x:.1f} {bottom}" stroke="{_LINE}" stroke-width="1"/>')
        parts.append(_text(x, height - 18, str(minute), "middle", _SOFT))
    parts.append(_text(_LEFT + _WIDTH / 2, height - 3, "time from the first frame (min)", "middle", _SOFT))
    for k, (name, solutions, windows, seconds) in enumerate(rows):
        top = 66 * k + 8
        parts += [_text(_LEFT - 12, top + 15 + 14 * n, line, "end", _INK, bold=n == 0)
                  for n, line in enumerate(name.split("\n"))]  # fmt: skip
        end = seconds * scale
        parts.append(
            f'<rect x="{_LEFT}" y="{top}" width="{end:.1f}" height="24" fill="#dbe9f4"/>'
            f'<rect x="{_LEFT}" y="{top + 26}" width="{end:.1f}" height="20" fill="#ffffff" stroke="{_LINE}"/>'
        )
        parts += [_bar(span, seconds, top, 24, scale) for span in solutions]
        parts += [_bar(span, seconds, top + 26, 20, scale) for span in windows]
    return "".join([*parts, "</svg>"])


def _bar(span: Span, seconds: float, top: float, height: float, scale: float) -> str:
    x, width = _LEFT + span.start_s * scale, (min(span.end_s, seconds) - span.start_s) * scale
    edge = f' stroke="{_SOFT}" stroke-width="1"' if span.kind in ("sham", "baseline", "response", "dead") else ""
    dash = ' stroke-dasharray="3 2"' if span.kind == "dead" else ""
    ink = "#ffffff" if span.kind in _LIGHT and span.kind != "compound" else _INK
    ink = "#000000" if span.kind == "compound" else ink
    words = (span.text, span.text.rpartition(" ")[2])
    word = next((word for word in words if 6.4 * len(word) < width - 4), "")
    return (
        f'<rect x="{x:.1f}" y="{top:g}" width="{width:.1f}" height="{height:g}" fill="{_FILL[span.kind]}"{edge}{dash}/>'
        + (_text(x + width / 2, top + height / 2 + 4, word, "middle", ink) if word else "")
    )


def _text(x: float, y: float, text: str, anchor: str, fill: str, *, bold: bool = False) -> str:
    weight = ' font-weight="700"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:g}" font-size="12" text-anchor="{anchor}" fill="{fill}"{weight}>{escape(text)}</text>'
    )
