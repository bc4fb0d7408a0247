"""Sweeps on the page: the service, charts, ribbon and words, and the public event."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from app import methods, parts, ribbon, sweep_figures, sweep_words
from app import recordings as recordings_module
from app.recordings import Source
from app.services import Cancelled
from app.tabs import sweep as sweep_tab
from app.trajectories import SweepResult, SweepSettings, sweep_average, sweep_one
from pairalign.sweeps.sweep import Trajectory, sweep
from tests.app.conftest import EXAMPLES

FAST = SweepSettings(stop=60.0, step=20.0, methods=("pairalign", "vq"))


@pytest.fixture(scope="module")
def found(services, recordings: dict[str, Path]) -> SweepResult:
    return sweep_one(services, recordings["speech.wav"], FAST)


def sources(*names: str) -> list[Source]:
    return [Source(str(EXAMPLES / name), name) for name in names]


class Tags(HTMLParser):
    """What a browser would find in a piece of HTML; fails where tags are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.found.append((tag, dict(attributes)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def having(self, name: str) -> list[dict[str, str]]:
        return [attributes for _, attributes in self.found if name in (attributes.get("class") or "").split()]


class TestOneRecording:
    def test_it_is_the_sweep_of_the_library(self, found: SweepResult, services) -> None:
        assert found.values == (0, 20, 40, 60) and found.window_s == 3.0
        direct = sweep(services.tokenizer(), EXAMPLES / "harbour_a.ogg", stop=60, step=20, method="vq")
        assert [one.ids for one in found.trajectories["vq"].strings] == [one.ids for one in direct.strings]

    def test_a_recording_without_room_gets_a_shorter_window(self, services, recordings: dict[str, Path]) -> None:
        short = sweep_one(services, recordings["speech.wav"], replace(FAST, stop=500, step=250, methods=["vq"]))
        assert 2.5 < short.window_s < 2.7
        assert "no room for 3 s" in sweep_words.source_html(short)
        assert short.trajectories["vq"].content_floor[-1] == pytest.approx(1 / short.window_s)

    def test_a_step_sounds_like_its_window(self, found: SweepResult, speech: np.ndarray) -> None:
        later = found.heard(2)
        assert later.dtype == np.int16 and len(later) == 48_000
        assert np.abs(later / 32_767 - speech[640:48_640]).max() < 1e-3

    def test_tokens_lie_at_their_times_in_the_recording(self, found: SweepResult) -> None:
        string = found.trajectories["vq"].strings[3]
        moved = found.spans_s(string, 3)
        assert moved[0][0] == pytest.approx(string.spans_s[0][0] + 0.06)
        faster = replace(found, settings=SweepSettings("speed", 1.2, 0.1, start_s=1.0))
        assert faster.spans_s(string, 2)[-1][1] == pytest.approx(1.0 + 1.2 * string.spans_s[-1][1])

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            (SweepSettings(stop=math.nan), "stop is nan"),
            (SweepSettings(step=0), "step is 0 ms"),
            (SweepSettings("speed", 3.0), "allows 0.5 to 2 x"),
            (SweepSettings(stop="far"), "stop is 'far'; use a number"),
            (SweepSettings(stop=2_900, step=100), r"lasts 3.10 s and this sweep needs at least 3.40 s"),
            (SweepSettings(start_s=-1.0), "start_s is -1; use 0 or more seconds"),
            (SweepSettings(start_s=9.0), r"lasts 3.10 s and this sweep needs at least 9.60 s"),
            (SweepSettings(methods=()), "no method is chosen; choose from pairalign, vq"),
            (SweepSettings(methods=("bpe",)), "bpe cannot be written with this checkpoint"),
            (SweepSettings("pitch"), "use one of shift, snr, speed, warp"),
        ],
    )
    def test_mistakes_are_named(self, services, recordings: dict[str, Path], settings, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            sweep_one(services, recordings["speech.wav"], settings)

    def test_without_a_recording_it_says_so(self, services) -> None:
        with pytest.raises(ValueError, match="no recording yet"):
            sweep_one(services, None, FAST)

    def test_stop_ends_it(self, services, recordings: dict[str, Path]) -> None:
        with pytest.raises(Cancelled):
            sweep_one(services, recordings["speech.wav"], FAST, lambda _: services.stop("page"), "page")


class TestSeveralRecordings:
    def test_means_and_intervals(self, services) -> None:
        mean = sweep_average(services, sources("harbour_a.ogg", "harbour_b.ogg", "digits.ogg"), FAST)
        assert mean.names == ["harbour_a.ogg", "harbour_b.ogg", "digits.ogg"]
        assert mean.windows_s[0] == 3.0 and mean.windows_s[1] == pytest.approx(2.58, abs=0.01)
        curve = mean.curves["vq"]
        assert curve.mean[0] == 0 and all(np.less_equal(curve.low, curve.mean))
        assert curve.floor[-1] == pytest.approx(np.mean([0.12 / window_s for window_s in mean.windows_s]))
        alone = sweep_one(services, EXAMPLES / "harbour_b.ogg", FAST).trajectories["vq"]
        three = [sweep_one(services, EXAMPLES / name, FAST).trajectories["vq"].d_last for name in mean.names]
        assert alone.d_last in three and curve.mean[-1] == pytest.approx(np.mean(three))

    def test_what_cannot_be_used_is_named(self, services, tmp_path: Path, recordings: dict[str, Path]) -> None:
        soundfile.write(tmp_path / "short.wav", np.random.default_rng(0).normal(0, 0.1, 6_400), 16_000)
        silent = np.concatenate([np.random.default_rng(0).normal(0, 0.1, 16_000), np.zeros(48_000)])
        soundfile.write(tmp_path / "late.wav", silent, 16_000)
        files = [tmp_path / "short.wav", recordings["bad.wav"], EXAMPLES / "digits.ogg", EXAMPLES / "slow.ogg"]
        mean = sweep_average(services, from_files(*files), FAST)
        assert mean.names == ["digits.ogg", "slow.ogg"]
        short, bad = mean.left_out
        assert short.startswith("short.wav: the recording lasts 0.40 s") and bad.startswith("bad.wav: ")
        html = sweep_words.average_html(mean)
        assert "short.wav: the recording lasts 0.40 s" in html and "Mean of <b>2</b>" in html
        far = SweepSettings(stop=2_000.0, step=500.0, methods=("vq",))
        with pytest.raises(ValueError, match="No recording could be used. late.wav: the recording is silent"):
            sweep_average(services, from_files(tmp_path / "late.wav"), far)

    def test_the_same_recording_counts_once(self, services, recordings: dict[str, Path]) -> None:
        twice = from_files(recordings["speech.wav"]) * 2 + sources("slow.ogg")
        assert sweep_average(services, twice, replace(FAST, methods=["vq"])).names == ["speech.wav", "slow.ogg"]

    @pytest.mark.parametrize(
        ("given", "settings", "message"),
        [
            ([], FAST, "tick the examples, upload files"),
            (sources("slow.ogg"), SweepSettings(step=100), "use a smaller step"),
            (sources("slow.ogg") * 4, SweepSettings(step=0.2), "2,004 windows; 1,500 are allowed"),
            (sources("slow.ogg") * 41, FAST, "41 recordings are too many"),
        ],
    )
    def test_mistakes_are_named(self, services, given: list[Source], settings, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            sweep_average(services, given, settings)


def from_files(*paths: Path) -> list[Source]:
    return parts.sources(None, False, [str(path) for path in paths])


class TestCharts:
    def test_every_panel_shows_every_method(self, found: SweepResult) -> None:
        data = sweep_figures.sweep_figure(found).data
        shown = {(trace.meta, trace.yaxis) for trace in data if trace.meta}
        assert shown == {(method, axis) for method in ("pairalign", "vq") for axis in ("y", "y2", "y3")}
        ours = {trace.yaxis: trace for trace in data if trace.meta == "pairalign"}
        one = found.trajectories["pairalign"]
        assert tuple(ours["y"].y) == one.distance_to_origin and tuple(ours["y3"].y) == one.lengths
        assert tuple(ours["y2"].x) == one.values[1:], "nothing comes before the first step"
        assert tuple(ours["y2"].customdata) == (1, 2, 3)

    def test_the_floor_is_drawn_where_there_is_one(self, found: SweepResult) -> None:
        (floor,) = [trace for trace in sweep_figures.sweep_figure(found).data if trace.name == "content floor"]
        assert floor.y[-1] == pytest.approx(0.04)
        noise = replace(found, settings=replace(FAST, kind="snr", stop=20.0, step=10.0))
        figure = sweep_figures.sweep_figure(noise)
        assert all(trace.name != "content floor" for trace in figure.data)
        assert figure.layout.xaxis.autorange == "reversed"

    def test_no_two_methods_look_alike_without_colour(self) -> None:
        looks = [(look.dash, look.marker) for look in methods.LOOKS.values()]
        assert len(set(looks)) == len({look.marker for look in methods.LOOKS.values()}) == len(looks)

    def test_an_average_has_a_band_per_method(self, services) -> None:
        mean = sweep_average(services, sources("harbour_a.ogg", "slow.ogg"), FAST)
        traces = {trace.name: trace for trace in sweep_figures.average_figure(mean).data}
        assert tuple(traces["VQ low"].y) == tuple(mean.curves["vq"].low)
        assert traces["VQ high"].fill == "tonexty" and tuple(traces["VQ"].y) == tuple(mean.curves["vq"].mean)


class TestRibbon:
    @pytest.fixture
    def told(self, found: SweepResult, make_string) -> SweepResult:
        """One inserted, one substituted, one lost token, in that order."""
        ids = ((1, 2, 3, 4), (1, 2, 9, 3, 4), (1, 2, 9, 8, 4), (1, 2, 8, 4))
        strings = tuple(make_string(len(one), "vq", ids=one) for one in ids)
        return replace(found, trajectories={"vq": Trajectory("shift", "vq", found.values, strings)})

    def test_a_row_per_step_and_a_cell_per_token(self, told: SweepResult) -> None:
        tags = Tags(ribbon.ribbon_html(told, "vq"))
        assert [row["data-value"] for row in tags.having("pa-ribbon-row")] == ["0", "20", "40", "60"]
        assert len([1 for tag, _ in tags.found if tag == "b"]) == 4 + 5 + 5 + 4
        steps = tags.having("pa-step")
        assert steps[1]["aria-label"] == "Listen to 20 ms: 5 tokens, distance to the origin 0.20"
        assert [step["tabindex"] for step in steps] == ["0", "-1", "-1", "-1"]

    def test_edits_against_the_row_above_are_marked(self, told: SweepResult) -> None:
        tags = Tags(ribbon.ribbon_html(told, "vq"))
        (inserted,), (changed,) = tags.having("ins"), tags.having("sub")
        assert "token 3, id 9" in inserted["title"] and "not in the row above" in inserted["title"]
        assert "token 4, id 8" in changed["title"]
        (gone,) = [attributes for tag, attributes in tags.found if tag == "u"]
        assert gone["title"] == "gone: token 3 of the row above, id 9"

    def test_a_shifted_row_stands_further_right(self, told: SweepResult) -> None:
        tags = Tags(ribbon.ribbon_html(told, "vq"))
        lefts = [float(re.search(r"left:([\d.]+)%", window["style"])[1]) for window in tags.having("pa-window")]
        assert lefts == pytest.approx([0, 100 * 0.02 / 3.06, 100 * 0.04 / 3.06, 100 * 0.06 / 3.06], abs=0.01)

    def test_a_long_sweep_draws_some_of_its_rows(self, found: SweepResult, make_string) -> None:
        settings = SweepSettings(stop=100.0, step=1.0, methods=("vq",))
        strings = (make_string(40, "vq"),) * 101
        long = replace(
            found, settings=settings, trajectories={"vq": Trajectory("shift", "vq", settings.values, strings)}
        )
        html = ribbon.ribbon_html(long, "vq")
        rows = Tags(html).having("pa-ribbon-row")
        assert [row["data-step"] for row in rows[:3]] == ["0", "3", "6"] and len(rows) == 34
        assert "Every third step is drawn" in html


class TestWords:
    def test_the_numbers_are_those_of_the_trajectories(self, found: SweepResult) -> None:
        html = sweep_words.statistics_html(found)
        Tags(html)
        one = found.trajectories["pairalign"]
        assert f"<td>{one.d_max:.3f}</td>" in html and f"<td>{one.length_std:.2f}</td>" in html
        assert f"at 60 ms, {100 * one.d_last:.0f} of 100 tokens differ" in html
        assert "of which the audio that really changed explains 4" in html
        assert html.count("<li>") == 2

    def test_the_charts_have_a_table(self, found: SweepResult) -> None:
        html = sweep_words.steps_table_html(found)
        Tags(html)
        assert html.count("<th scope='row'>") == 4 and "PairAlign: to origin" in html
        assert f"<td>{found.trajectories['vq'].lengths[2]}</td>" in html

    def test_names_of_files_are_escaped(self, found: SweepResult) -> None:
        html = sweep_words.source_html(replace(found, file_name="<img src=x>.wav"))
        assert "<img" not in html and "&lt;img" in html


@pytest.fixture(scope="module")
def client(app_url: str) -> Client:
    return Client(app_url, verbose=False)


class TestPublicEvent:
    def test_it_answers_with_the_document(self, client, recordings, found: SweepResult) -> None:
        file = handle_file(str(recordings["speech.wav"]))
        document = client.predict(file, "shift", 60, 20, 0, ["pairalign", "vq"], api_name="/sweep")
        assert document == json.loads(json.dumps(found.to_document()))
        assert document["window_s"] == 3.0 and document["values"] == [0, 20, 40, 60]
        one = document["methods"]["pairalign"]
        assert {"distance_to_origin", "step_distance", "lengths", "strings", "statistics"} <= set(one)

    @pytest.mark.parametrize("kind", ["snr", "speed", "warp"])
    def test_every_kind_has_usual_numbers(self, client, recordings, kind: str) -> None:
        file = handle_file(str(recordings["speech.wav"]))
        document = client.predict(file, kind, None, None, 0, ["vq"], api_name="/sweep")
        assert document["kind"] == kind and len(document["values"]) == 11

    def test_mistakes_are_one_sentence(self, client, recordings) -> None:
        file = handle_file(str(recordings["speech.wav"]))
        with pytest.raises(AppError, match="more than the whole sweep") as caught:
            client.predict(file, "shift", 100, 200, 0, ["vq"], api_name="/sweep")
        assert "Traceback" not in str(caught.value)
        with pytest.raises(AppError, match="record or upload"):
            client.predict(None, "shift", 100, 20, 0, ["vq"], api_name="/sweep")

    def test_it_is_documented(self, client) -> None:
        assert "token string moves" in client.view_api(return_format="dict")["named_endpoints"]["/sweep"]["description"]


# --- the slider for the start -------------------------------------------------------------------------------------


def test_the_start_slider_is_placed_without_decoding(services, tmp_path, monkeypatch):
    path = tmp_path / "long.flac"
    soundfile.write(path, np.zeros(60 * 16_000, np.float32), 16_000)
    monkeypatch.setattr(soundfile.SoundFile, "read", lambda *_, **__: pytest.fail("the recording was decoded"))
    assert sweep_tab._start_slider(services, str(path)) == gr.update(visible=True, maximum=57.0)
    assert recordings_module.expected_duration_s(path, services.limits) == 60.0


def test_the_start_slider_of_a_length_that_no_header_tells_reaches_as_far_as_allowed(services, tmp_path, monkeypatch):
    monkeypatch.setattr(recordings_module, "header_duration_s", lambda *_: 0.0)
    slider = sweep_tab._start_slider(services, str(tmp_path / "unknown.mp3"))
    assert slider == gr.update(visible=True, maximum=services.limits.max_duration_s - 3)


def test_there_is_no_start_to_choose_without_a_recording_that_can_be_used(services, recordings):
    for path in (None, str(recordings["bad.wav"]), str(recordings["speech.wav"])):
        assert not sweep_tab._start_slider(services, path)["visible"]
