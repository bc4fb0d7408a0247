"""The report as files: every measure and method is there and escaped, plots are drawn from what the report holds."""

import copy
import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pairalign.evaluation import glossary, page, plots
from pairalign.evaluation.protocols import EvaluationError

SLY = "<b>a|b</b> & `$x$`"


@pytest.fixture(scope="module")
def report() -> dict:
    """Three methods: one with everything, one whose names need escaping, one with a word search and nothing else."""
    known = [metric for metrics in glossary.GROUPS.values() for metric in metrics]
    full = {metric: 0.25 + 0.01 * k for k, metric in enumerate(known)} | {"vocab_used": 127, "tokens_per_s": 12.7}
    sly = full | {"tokens_per_s": 28.4, "<i>own measure</i>": 1.5, "condition_gain": None}
    return {
        "data": {"checkpoint": "<base>", "model_sha256": "0" * 64, "split": "dev", "segments": 40, "speakers": 9},
        "methods": {"pairalign": full, SLY: sly, "dtw": {"r2_map": 0.06}},
        "intervals": {"pairalign": {"separation": [0.2, 0.3], "tokens_per_s": [12.0, 13.5]}, SLY: {}, "dtw": {}},
        "curves": {
            name: {"shift_ms": [0.0, 50.0, 100.0], "distance_to_origin": [0.0, 0.1, 0.2], "floor": [0.0, 0.033, 0.067]}
            for name in ("pairalign", SLY)
        },
        "vocabulary": {"pairalign": [5, 3, 2], SLY: [9, 1]},
    }


@pytest.fixture(scope="module")
def drawn(report: dict) -> list[plots.Plot]:
    return plots.draw_all(report)


class TestPlots:
    def test_four_plots_label_the_methods(self, drawn: list[plots.Plot]) -> None:
        assert [plot.name for plot in drawn] == ["rate-separation", "rate-word-search", "sweep", "vocabulary"]
        for plot in drawn:
            ElementTree.fromstring(plot.standalone())
            texts = "".join(ElementTree.fromstring(plot.inline()).itertext())
            assert "pairalign" in texts and SLY in texts, plot.name
            assert "dtw" not in texts  # it has no rate, no curve, no vocabulary

    def test_the_floor_is_drawn(self, drawn: list[plots.Plot]) -> None:
        assert "content floor 2δ/T" in drawn[2].svg

    def test_inline_drawings_follow_the_theme_and_share_no_ids(self, drawn: list[plots.Plot]) -> None:
        ids = [name for plot in drawn for name in re.findall(r'\bid="([^"]+)"', plot.inline())]
        assert ids and len(ids) == len(set(ids))
        for plot in drawn:
            targets = re.findall(r'(?:href="#|url\(#)([^")]+)', plot.inline())
            assert set(targets) <= set(ids)
            assert "currentColor" in plot.inline() and "currentColor" not in plot.standalone()

    def test_the_same_numbers_give_the_same_drawing(self, report: dict, drawn: list[plots.Plot]) -> None:
        assert plots.draw_all(copy.deepcopy(report))[2] == drawn[2]

    def test_what_was_not_measured_is_not_drawn(self) -> None:
        bare = {"methods": {"pairalign": {"separation": None, "tokens_per_s": 3.0}}, "intervals": {}}
        assert plots.draw_all(bare) == []


@pytest.fixture(scope="module")
def html(report: dict, drawn: list[plots.Plot]) -> str:
    return page.html_page(report, drawn)


class TestHtml:
    def test_every_measure_is_there_with_its_meaning(self, html: str) -> None:
        for metrics in glossary.GROUPS.values():
            for metric, meaning in metrics.items():
                assert f"<code>{metric}</code>" in html and meaning.text in html
        assert "[0.200, 0.300]" in html
        assert html.count("<svg") == 4

    def test_names_are_escaped(self, html: str) -> None:
        assert "<b>" not in html and "<i>" not in html and "<base>" not in html
        assert "&lt;b&gt;a|b&lt;/b&gt; &amp;" in html and "&lt;i&gt;own measure&lt;/i&gt;" in html

    def test_it_needs_nothing_else(self, html: str) -> None:
        assert "<script" not in html and "<img" not in html and "<link" not in html
        assert "prefers-color-scheme: dark" in html
        assert not re.findall(r'(?:src|href)="(?!#)', html)

    def test_what_is_missing_is_a_dash(self, html: str) -> None:
        row = html[html.index("<code>condition_gain</code>") :]
        assert re.findall(r"<td>(.*?)</td>", row)[1:3] == ["–", "–"]


class TestMarkdown:
    def test_tables_keep_their_columns(self, report: dict, drawn: list[plots.Plot]) -> None:
        text = page.markdown_page(report, drawn)
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert rows and {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}
        assert "[0.200, 0.300]" in text and "<b>" not in text and "![Sliding the window](sweep.svg)" in text
        assert all(f"`{metric}`" in text for metrics in glossary.GROUPS.values() for metric in metrics)


class TestFiles:
    def test_they_are_written_side_by_side(self, report: dict, tmp_path: Path) -> None:
        folder = page.check_folder(tmp_path / "new" / "folder")
        page.write_report(report, folder)
        names = {path.name for path in folder.iterdir()}
        assert {"report.json", "report.html", "report.md"} <= names
        linked = re.findall(r"\]\((\S+\.svg)\)", (folder / "report.md").read_text(encoding="utf-8"))
        assert len(linked) == 4 and set(linked) <= names
        assert json.loads((folder / "report.json").read_text(encoding="utf-8")) == report

    def test_a_file_is_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "taken").write_text("")
        with pytest.raises(EvaluationError, match="is a file; name a folder"):
            page.check_folder(tmp_path / "taken")

    def test_missing_matplotlib_is_told_before_the_work(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(EvaluationError, match="pip install matplotlib"):
            page.check_folder(tmp_path / "new")
        assert not (tmp_path / "new").exists()


def test_measures_without_a_meaning_come_last() -> None:
    found = glossary.grouped(["mystery", "ned_pair", "tokens_per_s"])
    assert list(found)[-1] == glossary.OTHER and list(found[glossary.OTHER]) == ["mystery"]
    assert list(found)[0] == "How long the strings are"
