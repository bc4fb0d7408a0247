"""Figures: one shared time axis, light enough for a browser."""

import json

import numpy as np
import pytest

from app.colours import hue, oklch_hex, token_colour
from app.figures import LANE_BARS, lane_trace, make_figure
from app.result import MelImage


def test_everything_shares_one_time_axis(make_result):
    figure = make_figure(make_result())
    assert [trace.type for trace in figure.data] == ["scatter", "scatter", "heatmap", "bar", "bar"]
    assert {trace.xaxis for trace in figure.data} == {"x"}
    assert [trace.yaxis for trace in figure.data] == ["y", "y", "y2", "y3", "y4"]
    assert list(figure.layout.xaxis.range) == [0, 3.0]


def test_panels_do_not_overlap(make_result):
    layout = make_figure(make_result()).layout
    domains = [layout[f"yaxis{n}" if n > 1 else "yaxis"].domain for n in (1, 2, 3, 4)]
    for upper, lower in zip(domains, domains[1:], strict=False):
        assert lower[1] < upper[0]
    assert domains[0][1] == 1 and domains[-1][0] == pytest.approx(0)


def test_backgrounds_are_transparent_and_there_is_no_title(make_result):
    layout = make_figure(make_result()).layout
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert layout.title.text is None


def test_lane_rectangles_are_the_spans(make_string):
    string = make_string(4, duration_s=2.0)
    lane = lane_trace(string, "PairAlign")
    assert list(lane.x) == [0.0, 0.5, 1.0, 1.5] and list(lane.width) == [0.5] * 4 and lane.offset == 0
    assert list(lane.text) == list(string.text)
    assert lane.hovertext[1] == "PairAlign token 2<br>id 7<br>0.50–1.00 s<br>probability 0.90"


def test_a_method_without_probabilities_is_drawn_without_them(make_string):
    lane = lane_trace(make_string(3, "vq", log_probs=()), "VQ")
    assert "probability" not in lane.hovertext[0]


def test_empty_string_leaves_its_lane_empty(make_result):
    figure = make_figure(make_result(n_pairalign=0))
    assert [trace.name for trace in figure.data] == ["low", "high", "log-mel", "VQ"]


def test_long_recordings_stay_light(make_result):
    mel = MelImage(np.zeros((80, 1_000), np.uint8), 1.8)
    result = make_result(n_pairalign=22_860, n_vq=50_000, duration_s=1_800.0, mel=mel)
    text = make_figure(result).to_json()
    assert len(text) < 600_000
    lane = json.loads(text)["data"][3]
    assert lane["type"] == "heatmap" and lane["customdata"][0][-1][0] <= 22_860


def test_lane_image_names_the_token_of_each_moment(make_string):
    string = make_string(LANE_BARS + 1, duration_s=601.0)
    lane = lane_trace(string, "VQ")
    column = 700
    moment = lane.x0 + column * lane.dx
    token, token_id = lane.customdata[0][column]
    start, end = string.spans_s[token - 1]
    assert start <= moment <= end and token_id == string.ids[token - 1]


def test_colours_are_stable_valid_and_differ_for_neighbours():
    assert token_colour(5) == token_colour(5)
    assert len({token_colour(i) for i in range(128)}) > 100
    assert abs(hue(1) - hue(2)) > 60
    assert oklch_hex(0, lightness=1.0, chroma=0.0) == "#ffffff" and oklch_hex(0, lightness=0.0, chroma=0.0) == "#000000"


def test_dark_glyphs_are_readable_on_every_colour():
    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark = luminance("#10131a")
    assert min((luminance(token_colour(i)) + 0.05) / (dark + 0.05) for i in range(512)) > 7


def test_a_lane_of_very_many_tokens_shows_how_dense_they_lie_and_no_borders(make_string):
    starts = [k / 100 for k in range(1_000)] + [10 + k for k in range(590)]  # 100 a second, then one
    spans = [(start, start + 0.01) for start in starts]
    values = {"ids": [k % 128 for k in range(len(starts))], "spans_s": spans, "log_probs": ()}
    lane = lane_trace(make_string(0, duration_s=600.0, **values), "VQ")
    rates = lane.z[0]
    assert lane.zsmooth == "best", "columns without borders"
    assert rates[8] == pytest.approx(100, abs=1) and rates[700] == pytest.approx(1, abs=0.3)
    assert "tokens per second" in lane.hovertemplate and "zoom in" in lane.hovertemplate


def test_the_page_gets_what_it_needs_to_draw_visible_tokens_alike(make_result, make_string):
    figure = make_figure(make_result(n_pairalign=LANE_BARS + 1, duration_s=300.0))
    assert figure.layout.meta["hues"][round(hue(7))] and len(figure.layout.meta["hues"]) == 360
    assert figure.layout.meta["bar"]["offset"] == 0
    assert make_figure(make_result()).layout.meta is None, "short recordings are drawn whole"
