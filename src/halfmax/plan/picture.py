"""The pictures of the protocol sheet, as SVG text: a plate from above, and a well from the side at each step."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from halfmax import units
from halfmax.wells import row_column, row_label, well_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from halfmax.readers.layout import Layout

__all__ = ["dose_colour", "plate_svg", "step_svg"]

#: Cividis at equal steps: readable with every colour vision, and in grey.
_CIVIDIS = ("#00204d", "#223b6b", "#46536b", "#666970", "#848279", "#a59c74", "#c9b769", "#edd655", "#ffea46")

#: Letter and fill of each control; the outline is the same for all.
CONTROLS = {
    "vehicle": ("V", "#c9c9c9", "vehicle: cells with the solvent only"),
    "untreated": ("U", "#ffffff", "untreated: cells, nothing added"),
    "kill": ("K", "#ffffff", "kill: cells killed completely"),
    "blank": ("B", "#ffffff", "blank: medium, no cells"),
}
_INK, _FAINT = "#1b1f24", "#d8d8d4"


# ── A plate from above ──────────────────────────────────────────────────────────────────────────────


def dose_colour(dose: float, doses: Sequence[float]) -> tuple[str, str]:
    """Fill of a dose, dark for the lowest, and the colour of text that can be read on it.

    Examples
    --------
    >>> dose_colour(1e-7, [1e-7, 1e-6, 1e-5]), dose_colour(1e-5, [1e-7, 1e-6, 1e-5])
    (('#00204d', '#ffffff'), ('#ffea46', '#000000'))
    """
    position = math.log(dose / doses[0]) / math.log(doses[-1] / doses[0]) * (len(_CIVIDIS) - 1)
    index = min(max(int(position), 0), len(_CIVIDIS) - 2)
    below, above = (_channels(_CIVIDIS[index + k]) for k in (0, 1))
    mixed = [low + (high - low) * (position - index) for low, high in zip(below, above, strict=True)]
    light = sum(
        weight * ((part / 255 + 0.055) / 1.055) ** 2.4
        for weight, part in zip((0.2126, 0.7152, 0.0722), mixed, strict=True)
    )
    # Black on this fill stands out more than white does (WCAG contrast) from here on.
    ink = "#000000" if (light + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"
    return "#" + "".join(f"{round(part):02x}" for part in mixed), ink


def _channels(colour: str) -> list[int]:
    return [int(colour[k : k + 2], 16) for k in (1, 3, 5)]


def common_unit(doses: Sequence[float]) -> tuple[float, str]:
    """The unit in which the wells of a plate are labelled, and its size in M.

    Examples
    --------
    >>> common_unit([1e-7, 1e-4]), common_unit([1e-11, 1e-8])
    ((1e-06, 'µM'), (1e-09, 'nM'))
    """
    unit = units.format_concentration(doses[-1]).split()[1]
    return units.concentration_factor(unit), unit


def plate_svg(layout: Layout, doses: Sequence[float], title: str) -> str:
    """A plate as a picture: doses in cividis, compound without cells as rings, controls outlined with their letter."""
    rows, columns = layout.shape
    pitch = 40.0 if rows <= 8 else 22.0
    width, height = columns * pitch + 34, rows * pitch + 30
    parts = [
        f'<svg class="plate" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        f'<rect x="26" y="22" width="{columns * pitch + 6:g}" height="{rows * pitch + 6:g}" rx="10" '
        f'fill="#ffffff" stroke="{_FAINT}" stroke-width="1.5"/>',
    ]
    size = 12 if rows <= 8 else 9
    for column in range(columns):
        parts.append(_text(29 + (column + 0.5) * pitch, 15, str(column + 1), size, "#5c6670"))
    for row in range(rows):
        parts.append(_text(13, 25 + (row + 0.5) * pitch, row_label(row), size, "#5c6670"))
    scale, _ = common_unit(doses)
    wells = {well["well"]: well for well in layout.frame.to_dict("records")}
    for name in well_names(layout.shape):
        row, column = row_column(name)
        well = wells.get(name, {"role": "unused", "concentration_M": 0.0})
        x, y = 29 + (column + 0.5) * pitch, 25 + (row + 0.5) * pitch
        label = f"{well['concentration_M'] / scale:.3g}" if well["role"] in ("sample", "compound_blank") else ""
        parts.append(_well(well["role"], well["concentration_M"], doses, (x, y), pitch, label))
    return "".join([*parts, "</svg>"])


def _well(role: str, dose: float, doses: Sequence[float], at: tuple[float, float], pitch: float, label: str) -> str:
    """One well; on plates of 384 only controls carry text."""
    (x, y), radius, small = at, pitch * 0.42, pitch < 30
    size = 13.0 if len(label) < 4 else 12.0 if len(label) == 4 else 10.5
    if role == "sample":
        fill, ink = dose_colour(dose, doses)
        return _circle(x, y, radius, fill, "none", 0) + ("" if small else _text(x, y, label, size, ink))
    if role == "compound_blank":
        fill, _ = dose_colour(dose, doses)
        ring = _circle(x, y, radius - 2, "#ffffff", fill, 2 if small else 4)
        return ring + ("" if small else _text(x, y, label, size - 2, _INK))
    if role in CONTROLS:
        letter, fill, _ = CONTROLS[role]
        outlined = _circle(x, y, radius - 1, fill, _INK, 1.2 if small else 2)
        return outlined + _text(x, y, letter, 10 if small else 15, _INK, bold=True)
    return _circle(x, y, radius * 0.28, "#ececea", "none", 0)


def swatch_svg(role: str, dose: float, doses: Sequence[float]) -> str:
    """One well alone, for a legend."""
    body = _well(role, dose, doses, (20, 20), 40, "")
    return f'<svg class="swatch" viewBox="0 0 40 40" aria-hidden="true">{body}</svg>'


def _circle(x: float, y: float, radius: float, fill: str, stroke: str, width: float) -> str:
    line = f' stroke="{stroke}" stroke-width="{width:g}"' if width else ""
    return f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{fill}"{line}/>'


def _text(x: float, y: float, text: str, size: float, fill: str, *, bold: bool = False) -> str:
    weight = ' font-weight="700"' if bold else ""
    return (
        f'<text x="{x:g}" y="{y + size * 0.35:g}" font-size="{size:g}" text-anchor="middle" fill="{fill}"{weight}>'
        f"{escape(text)}</text>"
    )


# ── A well from the side ────────────────────────────────────────────────────────────────────────────

_MEDIUM, _MTT, _FORMAZAN = "#f8dcd8", "#f7dc6f", "#5b3f92"
_CELL, _NUCLEUS, _DRUG = "#8fb3d9", "#3f6ea5", "#d55e00"
_WALL = "M26 40 L31 104 Q32 112 40 112 L100 112 Q108 112 109 104 L114 40"


def step_svg(step: str, title: str) -> str:
    """One step of an MTT assay, drawn as what happens in a well: seed, adhere, treat, stain, dissolve or read."""
    body = {
        "seed": _liquid(_MEDIUM) + _round_cells() + _tip(_MEDIUM),
        "adhere": _liquid(_MEDIUM) + _flat_cells(4) + _moon(),
        "treat": _liquid(_MEDIUM) + _flat_cells(4) + _drug() + _clock(),
        "stain": _liquid(_MTT) + _flat_cells(4, crystals=True) + _tip(_MTT),
        "dissolve": _liquid(_FORMAZAN, level=74) + _swirl(),
        "read": _liquid(_FORMAZAN, level=74) + _beam(),
    }[step]
    wall = f'<path d="{_WALL}" fill="none" stroke="{_INK}" stroke-width="2.5" stroke-linecap="round"/>'
    return f'<svg class="step" viewBox="0 0 140 140" role="img" aria-label="{escape(title)}">{body}{wall}</svg>'


def _liquid(fill: str, level: float = 56) -> str:
    """Liquid up to a level; the walls lean, so its surface is as wide as the well there."""
    left = 26 + (level - 40) * 5 / 64
    return (
        f'<path d="M{left:g} {level:g} L31 104 Q32 112 40 112 L100 112 Q108 112 109 104 L{140 - left:g} {level:g} Z" '
        f'fill="{fill}"/>'
    )


def _round_cells() -> str:
    places = ((48, 92), (64, 78), (82, 88), (58, 103), (95, 102), (75, 102), (88, 70), (44, 72))
    return "".join(_circle(x, y, 5.5, _CELL, _NUCLEUS, 1) + _circle(x, y, 2, _NUCLEUS, "none", 0) for x, y in places)


def _flat_cells(count: int, *, crystals: bool = False) -> str:
    parts = []
    for k in range(count):
        x = 70 + (k - (count - 1) / 2) * 15.5
        parts.append(f'<path d="M{x - 9:g} 111 Q{x:g} 97 {x + 9:g} 111 Z" fill="{_CELL}" stroke="{_NUCLEUS}"/>')
        parts.append(_circle(x, 107, 2.2, _NUCLEUS, "none", 0))
        if crystals:
            for dx, dy in ((-5, 102), (3, 99), (6, 104)):
                parts.append(
                    f'<path d="M{x + dx:g} {dy} l4 -5 M{x + dx - 1:g} {dy - 3} l5 2" stroke="{_FORMAZAN}" '
                    'stroke-width="1.8" stroke-linecap="round"/>'
                )
    return "".join(parts)


def _tip(fill: str) -> str:
    return (
        f'<path d="M60 4 L80 4 L73 34 L67 34 Z" fill="#ffffff" stroke="{_INK}" stroke-width="2"/>'
        f'<path d="M63.5 18 L76.5 18 L73 33 L67 33 Z" fill="{fill}"/>'
        f'<path d="M70 39 q5 7 0 9 q-5 -2 0 -9" fill="{fill}" stroke="{_INK}" stroke-width="1"/>'
    )


def _moon() -> str:
    return (
        '<path d="M76 6 a15 15 0 1 0 12 23 a12 12 0 1 1 -12 -23" fill="#e8c547" stroke="#1b1f24" stroke-width="1.5"/>'
        '<path d="M98 12 l0 6 M95 15 l6 0 M108 26 l0 4 M106 28 l4 0" stroke="#1b1f24" stroke-width="1.5"/>'
    )


def _drug() -> str:
    places = ((45, 70), (60, 84), (78, 72), (94, 86), (52, 92), (88, 64), (70, 94), (100, 72))
    return "".join(_circle(x, y, 2.6, _DRUG, "none", 0) for x, y in places)


def _clock() -> str:
    return (
        f'<circle cx="70" cy="20" r="15" fill="#ffffff" stroke="{_INK}" stroke-width="2"/>'
        f'<path d="M70 20 L70 10 M70 20 L77 24" stroke="{_INK}" stroke-width="2.2" stroke-linecap="round"/>'
    )


def _swirl() -> str:
    return (
        f'<path d="M46 22 q24 -18 48 0" fill="none" stroke="{_INK}" stroke-width="2" stroke-linecap="round"/>'
        f'<path d="M94 22 l-2 -8 M94 22 l-8 0" stroke="{_INK}" stroke-width="2" stroke-linecap="round"/>'
        '<path d="M50 90 q10 -8 20 0 t20 0" fill="none" stroke="#b9a6de" stroke-width="2.5" stroke-linecap="round"/>'
    )


def _beam() -> str:
    return (
        '<path d="M62 20 L78 20 L76 122 L64 122 Z" fill="#f0a830" opacity="0.75"/>'
        f'<rect x="54" y="4" width="32" height="16" rx="4" fill="{_INK}"/>'
        f'<rect x="50" y="122" width="40" height="12" rx="4" fill="#ffffff" stroke="{_INK}" stroke-width="2"/>'
        f'<path d="M58 128 l6 0 l4 -3 l5 5 l3 -2 l6 0" fill="none" stroke="{_INK}" stroke-width="1.5"/>'
    )
