"""Calcium figures: intervals and stimuli over time, cells outlined on a picture, traces as a heat map."""

from __future__ import annotations

import base64
import io
import json
import re
import zlib
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from halfmax.estimate import Estimate, Parameter
from halfmax.report import figures, save_figure
from halfmax.report.analysis import analysis_alt, analysis_caption, analysis_figure
from halfmax.report.document import Analysis, Bar, HeatMap, Outlines, Plot, Provenance, Series, StudyReport
from halfmax.report.figure import svg_of
from halfmax.report.html import html_of
from halfmax.report.pdf import pdf_of
from halfmax.report.pictures import Stimuli, png_uri, time_unit, viridis

SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
NONE = np.array([])
CELLS, FRAMES, EDGE = 200, 600, 512
TIME = np.arange(FRAMES) * 2.0
BARS = (Bar(300.0, np.inf, "CM572 10 µM"), Bar(1080.0, np.inf, "ionomycin 2 µM"))


def traces(seed: int = 3) -> np.ndarray:
    """ΔF/F0 of responders above others, all answering to ionomycin; the last six cells were lost."""
    rng = np.random.default_rng(seed)
    height = np.sort(np.where(rng.random(CELLS) < 0.45, rng.lognormal(0.0, 0.5, CELLS), 0.0))[::-1]
    since = np.clip(TIME - 310.0, 0.0, None)
    shape = np.exp(-since / 120.0) - np.exp(-since / 8.0)
    values = height[:, None] * shape + 1.8 * (TIME > 1080) + rng.normal(0.0, 0.05, (CELLS, FRAMES))
    values[-6:] = np.nan
    return values


def picture(seed: int = 4) -> Outlines:
    """Camera noise, 200 cells, three groups."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:EDGE, 0:EDGE]
    image, around = np.full((EDGE, EDGE), 120.0), np.linspace(0, 2 * np.pi, 80)
    centres, outlines = rng.uniform(14, EDGE - 14, (CELLS, 2)), []
    for row, column in centres:
        image += rng.lognormal(5.6, 0.5) * np.exp(-((((rows - row) ** 2 + (columns - column) ** 2) / 60) ** 2))
        outlines.append(np.stack([row + 8 * np.sin(around), column + 8 * np.cos(around)], axis=1))
    groups = tuple("flagged" if k % 40 == 0 else ("responder", "other")[k % 2] for k in range(CELLS))
    noisy = rng.poisson(image) + rng.normal(0, 5, image.shape)
    return Outlines(noisy, tuple(outlines), groups, 0.65, "Mean image at 380 nm.", "Responders among 200 cells")


def mean_plot() -> Plot:
    values = traces()
    middle, others = values[:80].mean(axis=0), values[120:190].mean(axis=0)
    series = (
        Series("responders", NONE, NONE, TIME, middle, middle - 0.2, middle + 0.2),
        Series("others", NONE, NONE, TIME, others),
    )
    return Plot("time", "time", "ΔF/F0", series, "Mean of three dishes; band: 95 % interval.", bars=BARS)


def heat_map(**changes: object) -> HeatMap:
    values = traces()
    return replace(
        HeatMap(values, TIME, "time", "cells", "ΔF/F0", BARS, order_note="ordered by the peak after CM572"), **changes
    )


def analysis(*plots) -> Analysis:
    estimate = Estimate("events per cell", (Parameter("peak", 1.02, 0.81, 1.24),))
    return Analysis("calcium", "CM572 10 µM, dish 2", "45 % of cells respond (38–52)", "", estimate, plots)


def report_of(*plots, simulated: bool = True) -> StudyReport:
    provenance = Provenance((), (("halfmax", "0.1.0"),), (), 7, "2026-01-05 10:00")
    return StudyReport(
        "Calcium", "One recording.", simulated, "", 0.95, (), (), (), (), (), provenance, (analysis(*plots),)
    )


@pytest.fixture(scope="module")
def recording() -> StudyReport:
    return report_of(mean_plot(), picture(), heat_map())


@pytest.fixture(scope="module")
def drawn(recording):
    return figures(recording)


@pytest.fixture(scope="module")
def svgs(drawn):
    return [svg_of(figure, prefix=f"f{k}-") for k, figure in enumerate(drawn)]


def words(svg: str) -> list[str]:
    return [part for element in ElementTree.fromstring(svg).iter(f"{SVG}text") for part in element.itertext()]


def addresses(svg: str) -> list[str]:
    return [element.attrib[LINK] for element in ElementTree.fromstring(svg).iter(f"{SVG}image")]


def opened(address: str) -> Image.Image:
    head, _, held = address.partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(held)))


def chart_of(plot):
    return analysis_figure(analysis(plot), plot, simulated=True)


def rows_of(chart, *names: str):
    rows = [row for text in chart.to_dict()["datasets"].values() for row in json.loads(text)]
    return [row for row in rows if set(names) <= set(row)]


def heat_levels(one: HeatMap) -> np.ndarray:
    """The palette indices of a heat map as drawn."""
    chart = chart_of(one)
    url = next(text for text in re.findall(r'"url": "([^"]*)"', json.dumps(chart.to_dict())))
    return np.asarray(opened(url))


# --- all three kinds, in every document


def test_three_kinds_of_figures_stand_in_the_order_of_the_analysis(drawn):
    assert [figure.kind for figure in drawn] == ["analysis"] * 3
    assert [figure.name for figure in drawn] == [f"analysis-1{part}-cm572-10-m-dish-2" for part in ("", "-2", "-3")]


def test_every_specification_is_valid_vega_lite(drawn):
    for figure in drawn:
        assert "vega-lite" in figure.chart.to_dict(validate=True)["$schema"]


def test_simulated_is_said_on_each_figure_and_only_where_it_is(drawn, svgs):
    for figure, svg in zip(drawn, svgs, strict=True):
        assert "simulated data" in words(svg)
        assert figure.caption.endswith("Simulated data.")
        assert figure.alt.endswith("Simulated data.")
    for figure in figures(report_of(mean_plot(), picture(), heat_map(), simulated=False)):
        assert "imulated" not in svg_of(figure)


def test_alternative_texts_have_the_numbers(drawn):
    plot, cells, heat = (figure.alt for figure in drawn)
    assert "CM572 10 µM from 5 min to the end, ionomycin 2 µM from 18 min to the end" in plot
    assert re.search(r"responders \(highest 1\.8\d at \d+(\.\d)? min\)", plot)
    assert "512 × 512 pixels (333 × 333 µm), 200 cells outlined: 95 responder, 100 other, 5 flagged" in cells
    assert "200 rows (cells) over 600 frames from 0 to 20 min; ΔF/F0 −0.2" in heat


def test_a_section_without_analyses_does_not_appear(recording):
    page = html_of(recording)
    assert '<section id="calcium">\n<h2>Calcium</h2>' in page
    assert "Western blots" not in page
    assert "Mechanism" not in page
    assert "Calcium: the answer of each analysis." in page


def test_pictures_stand_in_the_page_itself_which_stays_small(recording, svgs):
    page = html_of(recording)
    found = re.findall(r'<image [^>]*xlink:href="([^"]{11})', page)
    assert found == ["data:image/"] * 3
    assert "img-src data:" in page
    assert len(page.encode()) < 1_500_000
    assert [len(addresses(svg)) for svg in svgs] == [0, 1, 2]


def test_the_pdf_holds_the_pictures(recording):
    content = pdf_of(recording)
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL):
        try:
            content += zlib.decompress(stream)
        except zlib.error:
            continue
    sizes = set(re.findall(rb"/Width (\d+)\s*/Height (\d+)", content))
    assert {(b"512", b"512"), (b"600", b"400")} <= sizes


def test_typst_draws_the_pictures_inside_a_figure(svgs, tmp_path):
    import typst

    for svg, colour in ((svgs[1], (0, 0, 0)), (svgs[2], (72, 25, 107))):
        (tmp_path / "figure.svg").write_text(svg, encoding="utf-8")
        (tmp_path / "page.typ").write_text('#image("figure.svg", width: 100%)', encoding="utf-8")
        page = Image.open(io.BytesIO(typst.compile(tmp_path / "page.typ", format="png"))).convert("RGB")
        near = np.abs(np.asarray(page).astype(int) - colour).max(axis=2) < 50
        assert near.mean() > 0.05


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_a_figure_with_a_picture_is_saved_by_the_ending_of_its_path(drawn, tmp_path, ending):
    path = tmp_path / f"cells.{ending}"
    save_figure(drawn[1], path, scale=1.0)
    content = path.read_bytes()
    if ending == "png":
        assert (np.asarray(Image.open(path).convert("L")) < 100).mean() > 0.3
    else:
        assert (b"/Subtype /Image" if ending == "pdf" else b"data:image/png;base64") in content


def test_the_same_report_gives_the_same_figures(recording, svgs):
    assert [svg_of(figure, prefix=f"f{k}-") for k, figure in enumerate(figures(recording))] == svgs


# --- lines and bands


def test_a_long_trace_is_thinned_and_keeps_its_peak_and_its_ends():
    values = np.random.default_rng(1).normal(0.0, 0.05, 20_000)
    values[12_345], values[7_001] = 9.0, -5.0
    chart = chart_of(Plot("time", "time", "ΔF/F0", (Series("cell", NONE, NONE, np.arange(20_000) * 0.1, values),)))
    rows = rows_of(chart, "tone", "part")
    assert 500 < len(rows) <= 600
    assert {9.0, -5.0} <= {row["y"] for row in rows}
    assert (rows[0]["x"], rows[-1]["x"]) == pytest.approx((0.0, 1999.9 / 60))
    assert {row["part"] for row in rows} == {0}


def test_a_short_line_keeps_every_place():
    rows = rows_of(chart_of(mean_plot()), "tone", "part")
    assert len([row for row in rows if row["series"] == 1]) == FRAMES


@pytest.mark.parametrize("count", [100, 5000])
def test_a_line_breaks_where_frames_are_missing(count):
    values = np.ones(count)
    values[count // 2 : count // 2 + count // 10] = np.nan
    chart = chart_of(Plot("time", "time", "F", (Series("cell", NONE, NONE, np.arange(count) * 1.0, values),)))
    assert {row["part"] for row in rows_of(chart, "tone", "part")} == {0, 1}


def test_a_band_holds_its_interval_and_an_open_end_reaches_the_edge():
    at, line = np.arange(4) * 10.0, np.array([1.0, 2.0, 3.0, 2.0])
    series = Series("mean", NONE, NONE, at, line, np.array([0.5, -np.inf, 2.5, np.nan]), line + 1)
    band = rows_of(chart_of(Plot("time", "time", "F", (series,))), "y2", "tone")
    assert [row["y2"] for row in band] == [2.0, 3.0, 4.0]
    assert (band[0]["y"], band[2]["y"]) == (0.5, 2.5)
    assert band[1]["y"] <= 0.0


def test_the_band_of_a_long_trace_covers_its_extremes():
    line = np.zeros(10_000)
    high = line + 1
    high[4_321] = 7.0
    series = Series("mean", NONE, NONE, np.arange(10_000) * 1.0, line, line - 1, high)
    band = rows_of(chart_of(Plot("time", "time", "F", (series,))), "y2", "tone")
    assert len(band) == 300
    assert max(row["y2"] for row in band) == 7.0


def test_traces_are_drawn_whole_and_fits_of_simulated_wells_dashed():
    fit = Series("washed", TIME[:5], TIME[:5], TIME[:50], TIME[:50])
    assert "strokeDash" in json.dumps(chart_of(Plot("time", "time", "sites", (fit,))).to_dict())
    dashes = [
        "[6, 3]" in json.dumps(chart_of(plot).to_dict())
        for plot in (mean_plot(), Plot("time", "time", "sites", (fit,)))
    ]
    assert dashes == [False, True]


# --- stimuli


def boxes(stimuli: Stimuli):
    """Row, first and last pixel of each bar with its label."""
    return [
        (row, min(left, text), max(right, text + 0.56 * stimuli.font * len(bar.label)))
        for row, placed in enumerate(stimuli.rows)
        for bar, left, right, text in placed
    ]


@pytest.mark.parametrize("seed", range(20))
def test_no_bar_or_label_meets_another(seed):
    rng = np.random.default_rng(seed)
    starts = rng.uniform(-50, 1100, 8)
    bars = [
        Bar(start, start + rng.choice([5.0, 200.0, np.inf]), f"compound {k} 10 µM") for k, start in enumerate(starts)
    ]
    stimuli = Stimuli(bars, 0.0, 1000.0, 440)
    placed = boxes(stimuli)
    assert len(placed) == 8
    assert all(-1e-9 <= left < right <= 440 + 1e-9 for _, left, right in placed)
    for k, (row, left, right) in enumerate(placed):
        assert not [one for one in placed[:k] if one[0] == row and one[1] < right and left < one[2]]


def test_bars_apart_share_a_row_and_a_bar_within_another_gets_a_second():
    apart = Stimuli([Bar(100, 200, "A"), Bar(600, np.inf, "B")], 0.0, 1000.0, 440)
    within = Stimuli([Bar(100, 900, "antagonist"), Bar(300, 330, "agonist")], 0.0, 1000.0, 440)
    assert (len(apart.rows), len(within.rows)) == (1, 2)
    assert within.height > apart.height > Stimuli([], 0.0, 1000.0, 440).height == 0


def test_an_infinite_bar_ends_with_the_axis_and_a_late_one_stretches_it():
    chart = chart_of(mean_plot())
    ends = [row["x2"] for row in rows_of(chart, "x2")]
    assert ends == pytest.approx([TIME[-1] / 60] * 2)
    late = Stimuli([Bar(1500.0, 1600.0, "too late")], 0.0, 1000.0, 440)
    assert late.domain() == pytest.approx([0.0, 25.0])


def test_bars_are_drawn_over_time_only():
    series = (Series("dose", np.array([1e-7, 1e-6]), np.array([1.0, 2.0]), NONE, NONE),)
    chart = chart_of(Plot("agonist", "concentration", "peak", series, bars=BARS))
    assert "ionomycin" not in json.dumps(chart.to_dict())


def test_times_are_read_in_minutes_and_hours():
    assert [time_unit(t)[1] for t in (-3.0, 100.0, 600.0, 20_000.0, 400_000.0)] == ["s", "s", "min", "h", "d"]


# --- cells on a picture


def test_the_picture_is_8_bit_grey_at_its_own_size_and_shape(svgs):
    held = opened(addresses(svgs[1])[0])
    assert (held.mode, held.size) == ("L", (EDGE, EDGE))
    levels = np.asarray(held)
    assert levels.min() == 0
    assert levels.max() == 255


def test_a_picture_is_drawn_at_its_aspect_ratio_and_a_large_one_made_smaller():
    wide = Outlines(np.random.default_rng(0).normal(100, 10, (500, 2000)), (), ())
    chart = chart_of(wide).to_dict()
    assert (chart["vconcat"][0]["width"], chart["vconcat"][0]["height"]) == (440, 110)
    url = next(iter(re.findall(r'"url": "([^"]*)"', json.dumps(chart))))
    assert opened(url).size == (600, 150)


def test_contrast_runs_between_percentiles_and_a_dark_picture_says_its_gamma():
    ramp = np.linspace(0, 1000, 100 * 100).reshape(100, 100)
    dark = np.where(ramp > 990, ramp, ramp / 50)
    assert "Grey from the 0.5th to the 99.8th percentile." in analysis_caption(Outlines(ramp, (), ()))
    assert "brightened with gamma 0.6." in analysis_caption(Outlines(dark, (), ()))


@pytest.mark.parametrize(
    ("pixel", "shape", "label"),
    [
        (0.65, (512, 512), "50 µm"),
        (0.1, (256, 256), "5 µm"),
        (np.nan, (512, 700), "100 px"),
        (1.0, (50, 50), "10 µm"),
    ],
)
def test_the_scale_bar_has_a_round_length(pixel, shape, label):
    one = Outlines(np.random.default_rng(0).normal(size=shape), (), (), pixel)
    assert label in words(svg_of(figures(report_of(one))[0]))
    assert ("whose size is not known" in analysis_caption(one)) == label.endswith("px")


def test_each_group_has_its_own_colour_and_line_and_is_counted(svgs):
    root = ElementTree.fromstring(svgs[1])
    found = {}
    for path in root.iter(f"{SVG}path"):
        title = path.find(f"{SVG}title")
        if title is not None and title.text.startswith("cell "):
            group = title.text.partition(", ")[2]
            found.setdefault(group, set()).add((path.attrib["stroke"], path.attrib.get("stroke-dasharray", "")))
    assert set(found) == {"responder", "other", "flagged"}
    looks = [look for own in found.values() for look in own]
    assert len(looks) == 3
    assert len({tone for tone, _ in looks}) == len({dash for _, dash in looks}) == 3
    assert {"responder (95)", "other (100)", "flagged (5)"} <= set(words(svgs[1]))


def test_an_outline_stands_where_its_cell_is_and_is_closed():
    image = np.zeros((100, 200))
    image[20:30, 150:170] = 1.0
    square = np.array([[19.5, 149.5], [19.5, 169.5], [29.5, 169.5], [29.5, 149.5]])
    chart = chart_of(Outlines(image, (square,), ("responder",)))
    corners = [(row["x"], row["y"]) for row in rows_of(chart, "cell", "order")]
    assert corners[0] == corners[-1] == (149.5, 19.5)
    assert len(corners) == 5
    scale = chart.to_dict()["vconcat"][0]["layer"][0]["encoding"]
    assert scale["x"]["scale"]["domain"] == [-0.5, 199.5]
    assert scale["y"]["scale"]["domain"] == [99.5, -0.5]


def test_unknown_groups_get_looks_of_their_own():
    outline = np.array([[1.0, 1.0], [1.0, 5.0], [5.0, 5.0]])
    one = Outlines(np.eye(40), (outline,) * 3, ("oscillating", "responder", "silent"))
    keys = rows_of(chart_of(one), "label", "stroke")
    assert [key["text"] for key in keys] == ["responder (1)", "oscillating (1)", "silent (1)"]
    assert len({key["stroke"] for key in keys}) == 3


# --- heat maps


def test_the_heat_map_is_small_and_its_colours_are_viridis(svgs):
    heat, strip = (opened(address) for address in addresses(svgs[2]))
    assert heat.mode == strip.mode == "P"
    assert heat.size == (600, 400)
    column = np.asarray(strip.convert("RGB"))[:, 0]
    assert column[0].tolist() == [253, 231, 37]
    assert column[-1].tolist() == [68, 1, 84]


def test_lightness_of_the_colours_rises_evenly():
    light = viridis() / 255.0
    linear = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
    steps = np.diff((116 * np.cbrt(linear) - 16)[::10])
    assert 0.7 * np.median(steps) < steps.min()
    assert steps.max() < 1.4 * np.median(steps)


def test_the_first_row_is_on_top_and_nan_is_light_grey():
    values = np.repeat([[0.0], [1.0], [np.nan], [0.5]], 10, axis=1)
    levels = heat_levels(heat_map(values=values, x=np.arange(10.0), bars=()))
    assert levels.shape == (400, 600)
    assert [int(levels[row, 5]) for row in (0, 150, 250, 399)] == [0, 254, 255, 127]
    chart = chart_of(heat_map(values=values, x=np.arange(10.0), bars=()))
    assert "no value" in [row["text"] for row in rows_of(chart, "label", "text")]


def test_many_rows_and_frames_are_averaged_and_the_caption_says_so():
    values = np.repeat(np.arange(1000.0)[:, None], 1500, axis=1)
    one = heat_map(values=values, x=np.arange(1500) * 0.5, bars=())
    levels = heat_levels(one)
    assert levels.shape == (400, 600)
    assert (np.diff(levels[:, 0].astype(int)) >= 0).all()
    assert "Averaged for the picture: 1000 rows to 400, 1500 frames to 600." in analysis_caption(one)


def test_averages_leave_out_what_is_missing():
    from halfmax.report.pictures import _averaged

    values = np.random.default_rng(0).normal(size=(900, 1300))
    values[::2] = np.nan
    values[1::2] = 3.0
    made = _averaged(heat_map(values=values, x=np.arange(1300.0), bars=()))
    assert made.shape == (400, 600)
    assert made == pytest.approx(np.full((400, 600), 3.0))


def test_even_frames_are_shown_as_they_are():
    from halfmax.report.pictures import _averaged

    one = heat_map()
    assert _averaged(one) == pytest.approx(one.values, nan_ok=True)


def test_a_pause_in_the_recording_is_a_gap_not_a_stretched_frame():
    time = np.concatenate([np.arange(100.0), 200 + np.arange(100.0)])
    levels = heat_levels(heat_map(values=np.ones((3, 200)), x=time, bars=()))
    missing = (levels[0] == 255).mean()
    assert missing == pytest.approx(99 / 300, abs=0.02)


def test_the_heat_map_says_its_order_its_colours_and_its_unit(drawn, svgs):
    assert "Ordered by the peak after CM572. Colours end at the 0.5th and 99.5th percentiles." in drawn[2].caption
    assert {"time (min)", "cells", "ΔF/F0", "CM572 10 µM", "ionomycin 2 µM", "1", "100", "200"} <= set(words(svgs[2]))


# --- limits


@pytest.mark.parametrize(
    "plot",
    [
        Outlines(np.full((8, 8), 7.0), (), ()),
        Outlines(np.full((8, 8), np.nan), (np.zeros((0, 2)),), ("flagged",)),
        heat_map(values=np.full((3, 4), np.nan), x=np.arange(4.0)),
        heat_map(values=np.ones((1, 1)), x=np.zeros(1), bars=()),
        heat_map(values=np.ones((2, 2)), x=np.array([0.0, 5.0]), bars=(Bar(5.0, 5.0, "a label " * 20),)),
        Plot("time", "time", "F", (Series("one frame", NONE, NONE, np.zeros(1), np.ones(1)),), bars=BARS[:1]),
        Plot("time", "time", "F", (Series("no frame", NONE, NONE, np.zeros(3), np.full(3, np.nan)),)),
    ],
    ids=["flat", "nothing known", "all missing", "one value", "stimulus at the end", "one frame", "lost cell"],
)  # fmt: skip
def test_little_or_nothing_to_show_is_still_a_figure(plot):
    (figure,) = figures(report_of(plot))
    assert svg_of(figure).startswith("<svg")
    assert analysis_alt(analysis(plot), plot) in figure.alt


def test_a_hostile_label_stays_text():
    bars = (Bar(0.0, 100.0, '<script>alert("1")</script> & more'),)
    page = html_of(report_of(heat_map(bars=bars)))
    assert "<script>alert" not in page


def test_an_image_as_an_address_is_the_image():
    levels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.asarray(opened(png_uri(levels))).tolist() == levels.tolist()
