"""Token strings as HTML: accessible names, escaping, honest numbers."""

from html.parser import HTMLParser

import pytest

from app.result import ModelInfo
from app.tokens import (
    MAX_CHIPS,
    chips_html,
    count_words,
    figures_html,
    header_html,
    page_count,
    page_tokens,
    page_words,
    strings_html,
    table_html,
)

VOID = {"br", "rect", "path", "img"}


class Tree(HTMLParser):
    """Collects tags and text, and notices tags that do not close in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(source)
        assert not self._open, self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def named(self, css_class: str) -> list[dict[str, str | None]]:
        return [attrs for _, attrs in self.tags if css_class in (attrs.get("class") or "").split()]


def test_a_chip_per_token_with_id_times_and_accessible_name(make_string):
    string = make_string(38)
    tree = Tree(chips_html(string, "PairAlign"))
    chips = tree.named("pa-chip")
    assert len(chips) == 38
    assert chips[1]["aria-label"] == "token 2, id 7, 0.08–0.16 s"
    assert chips[1]["data-start"] == "0.0789" and chips[1]["data-end"] == "0.1579"
    assert all(tag == "button" for tag, attrs in tree.tags if attrs.get("class") == "pa-chip")
    assert string.text[1] in tree.text and "0.08–0.16" in tree.text


def test_one_tab_stop_per_string(make_string):
    chips = Tree(chips_html(make_string(5), "VQ")).named("pa-chip")
    assert [chip["tabindex"] for chip in chips] == ["0", "-1", "-1", "-1", "-1"]


def test_every_glyph_is_escaped_and_the_string_survives_copying(make_string):
    everything = tuple(range(200))
    spans = tuple((i * 0.01, i * 0.01 + 0.01) for i in everything)
    string = make_string(200, ids=everything, spans_s=spans, vocab_size=200)
    assert {"<", ">", "&", '"', "'"} <= set(string.text), "the dangerous glyphs are in the vocabulary"
    tree = Tree(chips_html(string, "PairAlign"))
    (lane,) = tree.named("pa-lane")
    assert lane["data-text"] == string.text
    assert lane["data-ids"] == " ".join(map(str, everything))
    assert len(tree.named("pa-chip")) == 200


def test_names_from_outside_cannot_become_markup(make_result):
    evil = '<img src=x onerror=alert(1)>"&.wav'
    result = make_result(file_name=evil)
    for source in (figures_html(result), table_html(result)):
        tree = Tree(source)
        assert evil in tree.text
        assert "img" not in [tag for tag, _ in tree.tags]
    info = ModelInfo(evil, evil, evil, 1, 2, {"data": [{evil: evil}], "metrics": {"ned": evil}})
    tree = Tree(header_html(info))
    assert tree.text.count(evil) >= 4 and "img" not in [tag for tag, _ in tree.tags]


def test_long_strings_are_cut_and_say_so(make_string):
    tree = Tree(chips_html(make_string(MAX_CHIPS + 7), "VQ"))
    assert len(tree.named("pa-chip")) == MAX_CHIPS
    assert f"Tokens 1–{MAX_CHIPS:,} of {MAX_CHIPS + 7:,}" in tree.text
    assert len((tree.named("pa-lane")[0]["data-ids"] or "").split()) == MAX_CHIPS + 7


def test_empty_string_explains_itself(make_string):
    tree = Tree(chips_html(make_string(0), "PairAlign"))
    assert "No token" in tree.text and not tree.named("pa-chip")


def test_length_limit_is_told(make_string):
    assert "stopped at the length limit" in chips_html(make_string(3, stopped_by="limit"), "PairAlign")
    assert "stopped at" not in chips_html(make_string(3), "PairAlign")


@pytest.mark.parametrize(
    ("ours", "vq", "shown", "note"),
    [(38, 84, "55 %", "46 tokens fewer"), (10, 8, "−25 %", "2 tokens more"), (0, 0, "–", "no VQ tokens")],
)
def test_saving_is_signed_and_never_divides_by_nothing(make_result, ours, vq, shown, note):
    text = Tree(figures_html(make_result(ours, vq))).text
    assert shown in text and note in text


def test_big_figures_show_both_sides_and_the_source(make_result):
    text = Tree(figures_html(make_result(38, 84))).text
    for part in ("38", "VQ 84", "12.7", "VQ 28.0", "hello.wav", "3.00 s", "tiny", "abababab", "cpu"):
        assert part in text


def test_table_has_a_row_per_token(make_result):
    tree = Tree(table_html(make_result(38, 80)))
    assert sum(tag == "tr" for tag, _ in tree.tags) == 1 + 38 + 80
    assert {attrs["scope"] for tag, attrs in tree.tags if tag == "th"} == {"row", "col"}


def test_strings_are_separate_lanes(make_result):
    tree = Tree(strings_html(make_result(3, 4)))
    assert [lane["data-method"] for lane in tree.named("pa-lane")] == ["pairalign", "vq"]
    assert [attrs["aria-label"] for attrs in tree.named("pa-chips")] == ["PairAlign tokens", "VQ tokens"]


def test_a_long_recording_is_shown_a_minute_at_a_time_and_nothing_is_lost(make_string, make_result):
    string = make_string(500, duration_s=150.0)
    assert page_count(150.0) == 3 and page_count(60.0) == page_count(0.5) == 1
    parts = [page_tokens(string, page) for page in range(3)]
    assert [index for part in parts for index in part] == list(range(500))
    assert all(60 <= string.spans_s[index][0] < 120 for index in parts[1])
    assert page_words(2, 150.0) == "2:00–2:30 of 2:30"
    result = make_result(500, 1_000, duration_s=150.0)
    tree = Tree(strings_html(result, page=1))
    ours, vq = tree.named("pa-lane")
    assert (ours["data-first"], vq["data-first"]) == ("200", "400"), "the same minute of both strings"
    assert "Tokens 201–400 of 500" in tree.text and "Tokens 401–800 of 1,000" in tree.text
    chips = tree.named("pa-chip")
    assert [chip["tabindex"] for chip in chips].count("0") == 2, "each string can be reached by Tab on every page"
    assert "token 201," in chips[0]["aria-label"]
    assert ">201<" in table_html(result, page=1) and ">200<" not in table_html(result, page=1)


def test_a_part_without_tokens_says_so(make_string):
    assert "No token begins in this part" in chips_html(make_string(3), "VQ", within=range(3, 3))


def test_the_token_in_hand_is_told_in_one_polite_place(make_result):
    tree = Tree(strings_html(make_result(3, 4)))
    (place,) = tree.named("pa-readout")
    assert place["aria-live"] == "polite" and "data-readout" in place
    assert "Space plays or pauses" in tree.text


def test_figures_compare_with_what_is_there(make_result, make_string):
    alone = Tree(figures_html(make_result(strings={"vq": make_string(8, "vq")}))).text
    assert "VQ tokens" in alone and "Saving–" in alone and "choose a second string" in alone
    pair = {"pairalign": make_string(10), "viterbi": make_string(20, "viterbi")}
    text = Tree(figures_html(make_result(strings=pair))).text
    assert "Saving against Viterbi-VQ50 %" in text and "Viterbi-VQ 20" in text
    three = pair | {"vq": make_string(40, "vq")}
    assert "Saving against VQ75 %" in Tree(figures_html(make_result(strings=three))).text


def test_header_names_model_and_device():
    text = Tree(header_html(ModelInfo("tiny", "ab" * 32, "cuda:0", 4_103_552, 128))).text
    for part in ("PairAlign", "tiny", "4.1 M", "128", "cuda:0", "without a model card"):
        assert part in text


def test_counts_in_words():
    assert [count_words(n) for n in (12, 4_500, 4_103_552, 2_000_000_000)] == ["12", "4.5 k", "4.1 M", "2.0 G"]


@pytest.mark.parametrize(("seconds", "said"), [(0.03, "100×"), (1.5, "2×"), (2.4, "1.2×"), (90.0, "0.033×")])
def test_a_slow_run_is_not_zero_times_real_time(make_result, seconds, said):
    assert f"({said} real time)" in Tree(figures_html(make_result(seconds=seconds))).text
