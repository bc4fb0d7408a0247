"""How the decoder read the audio: weights, figure, table."""

import numpy as np
import pytest

from app.attention import Reading, attention_figure, attention_table_html, explanation_html, read_attention
from tests.app.test_app_tokens import Tree


@pytest.fixture
def reading(make_string):
    """Three tokens of a second each, 10 frames of 0.3 s; the second token looks elsewhere half of the time."""
    weights = np.zeros((4, 10), np.float32)
    weights[0, 1] = weights[2, 9] = weights[3, 9] = 1.0
    weights[1, 4], weights[1, 8] = 0.6, 0.4
    return Reading(make_string(3, duration_s=3.0), weights, 0.3, whole=True)


def test_peaks_and_shares_are_those_of_the_weights(reading):
    assert reading.peaks_s == pytest.approx([0.45, 1.35, 2.85])
    assert reading.inside == pytest.approx([1.0, 0.6, 1.0])


def test_figure_has_a_row_per_token_and_the_spans_as_a_path(reading):
    figure = attention_figure(reading)
    heat, edge, path = figure.data
    assert np.shape(heat.z) == (4, 10)
    assert list(figure.layout.yaxis.ticktext) == [*reading.string.text, "end"]
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1], "the first token stands on top"
    assert list(figure.layout.xaxis.range) == [0, 3.0]
    assert list(path.x) == list(edge.x) == [0, 1, 1, 2, 2, 3]
    assert list(path.y) == [-0.5, -0.5, 0.5, 0.5, 1.5, 1.5]
    assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)"


def test_table_tells_what_the_figure_shows(reading):
    tree = Tree(attention_table_html(reading))
    assert sum(tag == "tr" for tag, _ in tree.tags) == 4
    for part in ("1.00–2.00", "1.35", "60 %"):
        assert part in tree.text


def test_only_the_start_of_a_long_recording_is_read_and_said_to_be(reading, make_string):
    assert "Only the first" not in explanation_html(reading)
    assert "87 % of a token" in explanation_html(reading)
    part = Reading(reading.string, reading.weights, 0.3, whole=False)
    assert "Only the first 3 s" in Tree(explanation_html(part)).text
    silent = Reading(make_string(0), reading.weights[:1], 0.3, whole=True)
    assert "On average" not in explanation_html(silent) and len(attention_figure(silent).data) == 3


def test_dangerous_glyphs_stay_text(make_string, reading):
    ids = tuple(i for i in range(200) if make_string(1, ids=(i,), vocab_size=200).text in "<>&\"'")
    assert len(ids) == 5
    string = make_string(5, ids=ids, vocab_size=200)
    evil = Reading(string, np.full((6, 10), 0.1), 0.3, whole=True)
    Tree(attention_table_html(evil))
    assert "&lt;" in attention_figure(evil).layout.yaxis.ticktext


def test_the_real_decoder_is_read(services, recordings):
    result = services.tokenize(recordings["speech.wav"])
    reading = read_attention(services, result)
    assert reading.whole and reading.string is result.strings["pairalign"]
    assert reading.weights.shape[0] == len(reading.string) + 1
    assert reading.weights.shape[1] * reading.frame_s == pytest.approx(result.duration_s, abs=0.05)
    assert reading.weights.sum(1) == pytest.approx(np.ones(len(reading.weights)), abs=1e-3)


def test_without_a_pairalign_string_one_is_written_first(services, recordings):
    reading = read_attention(services, services.tokenize(recordings["speech.wav"], methods=["vq"]))
    assert reading.string.method == "pairalign" and len(reading.string)
