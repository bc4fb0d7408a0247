"""Settings of views, pairs of views with their strings, and the likelihoods: what stands behind the Views tab."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from app import view_pair
from app.parts import read_examples
from app.services import Cancelled
from app.view_html import likelihood_html, side_html
from app.view_pair import CrossLikelihood, compare, cross_likelihood, methods, unrelated
from app.view_settings import CHOICES, CONTROLS, PRESETS, ViewSettings, surprise
from pairalign.strings import align, jaccard, lcs_ratio
from pairalign.tokenizer import Tokenizer
from pairalign.windows import WINDOW_S
from tests.app.conftest import EXAMPLES
from tests.app.test_app_tokens import Tree

STRONG = PRESETS["Strong"].to_dict()


@pytest.fixture(scope="module")
def pair(services, recordings):
    return compare(services, recordings["speech.wav"], {}, STRONG)


# --- settings


def test_the_default_changes_nothing_and_says_so(services, recordings):
    found = compare(services, recordings["speech.wav"], {}, None)
    assert found.a.string.ids == found.b.string.ids
    recorded = services.read(recordings["speech.wav"])[: round(WINDOW_S * 16_000)]
    assert found.a.wave == pytest.approx(recorded, abs=1e-4)
    assert found.apart_ms == 0 and ViewSettings().words() == "as recorded"


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_made_of_plain_values_that_the_sliders_allow(name):
    settings = PRESETS[name]
    assert ViewSettings.from_dict(settings.to_dict()) == settings
    assert set(settings.to_dict()) == {*CONTROLS, *CHOICES}


def test_every_setting_reaches_the_library():
    given = ViewSettings(100, 1.1, 0.9, 6, 0.3, "brown", 12, -3, "none", 7).parameters()
    assert [float(x) for x in (given.shift_ms, given.speed, given.gain_db)] == pytest.approx([100, 1.1, -3])
    assert float(given.noise_slope) == 2 and float(given.snr_db) == 12
    assert 0 < float(given.equaliser_db.abs().max()) <= 6
    assert torch.isinf(ViewSettings(noise="none", snr_db=3).parameters().snr_db).all()


def test_a_seed_draws_the_same_surprise_again_and_another_seed_another_one():
    assert surprise(5) == surprise(5) != surprise(6)
    assert surprise(5).seed == 5
    for seed in range(50):
        assert ViewSettings.from_dict(surprise(seed).to_dict()).words() != "as recorded"


@pytest.mark.parametrize(
    ("view", "said"),
    [
        ({"speed": 2}, "0.8 to 1.25"),
        ({"speed": "fast"}, "'fast'"),
        ({"speed": None}, "speed is 'None'"),
        ({"speed": True}, "speed is 'True'"),
        ({"gain_db": float("nan")}, "gain_db is 'nan'"),
        ({"seed": 10**400}, "seed is"),
        ({"codec": "vinyl"}, "telephone"),
        ({"noise": ["pink"]}, "white"),
        ({"spede": 1.1}, "no parameter 'spede'"),
        ([1, 2], "is an object"),
        ("speed", "is an object"),
    ],
)
def test_bad_settings_are_readable_value_errors(view, said):
    with pytest.raises(ValueError) as caught:
        ViewSettings.from_dict(view)
    assert said in str(caught.value) and len(str(caught.value)) < 250


# --- pairs


def test_only_what_sounds_different_is_tokenized_again(services, recordings, monkeypatch, pair):
    asked = []
    real = Tokenizer.tokenize_batch

    def counted(self, waves, *rest, **options):
        asked.append(len(waves))
        return real(self, waves, *rest, **options)

    monkeypatch.setattr(Tokenizer, "tokenize_batch", counted)
    path = recordings["speech.wav"]
    for view_b, method, count in ((STRONG | {"warp": 1.1}, "pairalign", 1), ({}, "pairalign", 0), (STRONG, "vq", 2)):
        again = compare(services, path, {}, view_b, method, before=pair)
        assert sum(asked) == count
        asked.clear()
        fresh = compare(services, path, {}, view_b, method)
        assert asked.pop() == 2
        assert (again.a.string.ids, again.b.string.spans_s) == (fresh.a.string.ids, fresh.b.string.spans_s)


def test_both_strings_come_from_one_batch_with_their_warps(services, recordings, monkeypatch):
    calls = []
    original = Tokenizer.tokenize_batch

    def spy(self, audio, **how):
        calls.append((len(audio), how["warps"]))
        return original(self, audio, **how)

    monkeypatch.setattr(Tokenizer, "tokenize_batch", spy)
    compare(services, recordings["speech.wav"], {}, {"warp": 1.1})
    assert calls == [(2, [1.0, 1.1])]


@pytest.mark.parametrize("name", ["speed", "warp", "equaliser_db", "t60_s", "snr_db", "gain_db", "codec"])
def test_every_parameter_changes_what_is_heard(services, recordings, name):
    values = {"speed": 1.1, "warp": 1.12, "equaliser_db": 10, "t60_s": 0.4, "snr_db": 3, "gain_db": -6, "codec": "mp3"}
    noise = {"noise": "pink"} if name == "snr_db" else {}
    found = compare(services, recordings["speech.wav"], {}, {name: values[name], **noise})
    model = services.model_info()
    drawn_a, drawn_b = found.a.drawable(model), found.b.drawable(model)
    same_sound = np.array_equal(drawn_a.samples, drawn_b.samples)
    same_mel = np.array_equal(drawn_a.mel.values, drawn_b.mel.values)
    assert same_sound == (name == "warp"), "the vocal tract is changed on the mel axis only"
    assert not same_mel or name == "gain_db", "the picture shows energies below the loudest one"


def test_numbers_and_edits_are_those_of_the_library(pair):
    document, a, b = pair.to_document(), pair.a.string, pair.b.string
    found = align(a, b)
    assert document["distance"] == found.distance and document["normalized"] == found.normalized
    assert document["jaccard"] == jaccard(a.ids, b.ids) and document["lcs"] == lcs_ratio(a.ids, b.ids)
    assert document["edits"] == [{"op": e.op, "a": e.a, "b": e.b} for e in found.edits]
    assert document["a"] == a.to_dict() and document["views"]["b"] == STRONG
    assert "path" not in str(document)


def test_time_maps_bring_both_strings_to_the_time_of_the_source(services, recordings):
    """A view that starts later and speaks faster: its times lie elsewhere, its times in the source do not."""
    found = compare(services, recordings["speech.wav"], {}, {"shift_ms": 200, "speed": 1.25}, start_s=0.1)
    assert found.b.times_in_source_s()[0] >= 0.1 + 0.2
    middle = np.mean(found.b.string.spans_s[-1])
    assert found.b.times_in_source_s()[-1] == pytest.approx(0.1 + 0.2 + 1.25 * middle, abs=1e-4)
    matches = [e for e in align(found.a.string, found.b.string).edits if e.op == "match"]
    apart_s = [found.a.times_in_source_s()[e.a] - found.b.times_in_source_s()[e.b] for e in matches]
    assert found.apart_ms == (pytest.approx(1000 * np.mean(np.abs(apart_s))) if matches else None)


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.25])
def test_no_view_is_longer_than_the_window_and_both_hear_the_same(services, tmp_path, speech, speed):
    import soundfile

    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile(speech, 4), 16_000)
    found = compare(services, path, {}, {"speed": speed, "shift_ms": 300}, start_s=2.0)
    for side in (found.a, found.b):
        assert side.wave.size / 16_000 <= WINDOW_S + 1e-3
        heard_s = side.source.end_s - side.source.start_s - side.settings.shift_ms / 1000
        assert heard_s == pytest.approx(WINDOW_S * min(1, speed), abs=1e-3)
    assert "2.30–" in Tree(side_html(found, "B")).text and "2.00–" in Tree(side_html(found, "A")).text


@pytest.mark.parametrize("start_s", [-1, 3.0, 10**400, float("nan"), None, "1"])
def test_a_start_outside_of_the_recording_is_a_readable_error(services, recordings, start_s):
    with pytest.raises(ValueError, match=r"The start is .* use 0 to \d"):
        compare(services, recordings["speech.wav"], start_s=start_s)


def test_a_recording_too_short_for_its_view_is_a_readable_error(services, tmp_path, speech):
    import soundfile

    path = tmp_path / "short.wav"
    soundfile.write(path, speech[8_000:10_400], 16_000)
    assert len(compare(services, path).a.string) >= 1
    with pytest.raises(ValueError, match="smaller shift or a longer segment"):
        compare(services, path, {}, {"shift_ms": 300})


def test_two_recordings_have_no_common_time(services):
    files = [EXAMPLES / "harbour_a.ogg", EXAMPLES / "harbour_b.ogg"]
    found = compare(services, files[0], audio_b=files[1])
    assert [found.a.source.file_name, found.b.source.file_name] == ["harbour_a.ogg", "harbour_b.ogg"]
    assert found.apart_ms is None and "Recording B" in side_html(found, "B")


def test_unknown_and_unfitted_methods_are_readable_errors(services, recordings):
    assert methods(services) == ("pairalign", "vq", "viterbi"), "the tiny model has no fitted baselines"
    for method in ("bpe", "magic"):
        with pytest.raises(ValueError, match=method):
            compare(services, recordings["speech.wav"], method=method)
    assert compare(services, recordings["speech.wav"], method="vq").to_document()["method"] == "vq"


def test_stop_ends_a_comparison(services, recordings):
    def stop(_: float) -> None:
        services.stop("me")

    with pytest.raises(Cancelled):
        compare(services, recordings["speech.wav"], progress=stop, run_id="me")


def test_file_names_cannot_become_markup(pair):
    evil = "<img src=x onerror=alert(1)>.wav"
    named = replace(pair, a=replace(pair.a, source=replace(pair.a.source, file_name=evil)))
    tree = Tree(side_html(named, "A"))
    assert evil in tree.text and "img" not in [tag for tag, _ in tree.tags]


# --- likelihoods


def test_every_string_is_weighed_under_every_recording(services, pair):
    others = unrelated(read_examples(), pair)
    found = cross_likelihood(services, pair, others)
    assert found.values.shape == (5, 5) and found.names[:2] == ("A", "B")
    assert (found.values < 0).all() and found.warped
    expected = found.values[:2, :2].mean() - found.values[:2, 2:].mean()
    assert found.contrast == pytest.approx(expected)


def test_unrelated_recordings_say_something_else_and_no_sentence_twice(services):
    found = compare(services, EXAMPLES / "harbour_a.ogg")
    entries = read_examples()
    texts = [entry["text"] for entry in unrelated(entries, found)]
    heard = next(entry["text"] for entry in entries if Path(entry["file"]).name == "harbour_a.ogg")
    assert len(set(texts)) == len(texts) == view_pair.UNRELATED and heard not in texts


def test_the_table_tells_every_number_and_the_contrast():
    values = np.array([[-1.0, -1.2, -4.0], [-1.3, -0.9, -4.4], [-5.0, -5.0, -0.5]])
    tree = Tree(likelihood_html(CrossLikelihood(("A", "B", "<b>other</b>"), values, False)))
    assert all(f"{value:.2f}" in tree.text for value in values.flat)
    assert "3.10 nat per token likelier" in tree.text and "<b>other</b>" in tree.text
    assert sum("data-best" in attrs for _, attrs in tree.tags) == 3
    assert "left out" not in tree.text


def test_without_unrelated_recordings_the_table_still_stands(services, pair):
    found = cross_likelihood(services, pair, [])
    assert found.contrast is None and "no unrelated recording" in likelihood_html(found)
