"""All methods on a few recordings: the service, what the page says of it, and the public event."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from app import parts, score_words, scoreboard
from app.recordings import Recording, Source
from app.scoreboard import CHANGES, Scoreboard, compare, loudest_part, make_versions, measure
from app.services import Cancelled, Services
from app.tables import number
from tests.app.conftest import EXAMPLES

MEASURES = {"tokens_per_s", "bits_per_s", "tokens", "vocab_used", "ned_pair", "ned_random", "separation", *CHANGES}


@pytest.fixture(scope="module")
def board(services: Services) -> Scoreboard:
    return compare(services, parts.sources(None, True, None)[:3], ["pairalign", "vq"])


class TestService:
    def test_every_method_has_every_measure(self, board: Scoreboard) -> None:
        assert list(board.scores) == ["pairalign", "vq"] and board.unrelated
        for scores in board.scores.values():
            assert set(scores) == MEASURES
            assert all(0 <= scores[name].value <= 1 for name in CHANGES)
            assert scores["change_room"].low <= scores["change_room"].value <= scores["change_room"].high

    def test_the_numbers_are_those_of_the_strings(self, board: Scoreboard, services: Services) -> None:
        waves = [services.read(source.path) for source in parts.sources(None, True, None)[:3]]
        clean = [wave[: min(len(wave), 48_800) - 800] for wave in waves]
        strings = services.tokenizer().tokenize_batch(clean, "vq")
        assert board.scores["vq"]["tokens"].value == sum(map(len, strings))
        seconds = sum(map(len, clean)) / 16_000
        assert board.scores["vq"]["tokens_per_s"].value == pytest.approx(sum(map(len, strings)) / seconds)

    def test_fitted_methods_are_there_where_the_checkpoint_has_them(self, fitted_tokenizer, tiny_checkpoint) -> None:
        fitted = Services(str(tiny_checkpoint), "cpu", loaded=fitted_tokenizer)
        found = compare(fitted, parts.sources(None, True, None)[:2], ["mfcc", "bpe", "pairalign"])
        assert list(found.scores) == ["pairalign", "bpe", "mfcc"], "in the order of the page"
        assert found.vocab_sizes["bpe"] > found.vocab_sizes["pairalign"]

    def test_the_same_words_are_not_told_apart(self, services: Services) -> None:
        same = [Source(str(EXAMPLES / f"harbour_{voice}.ogg"), voice, "the same words") for voice in "ab"]
        found = compare(services, same, ["vq"])
        assert not found.unrelated and math.isnan(found.scores["vq"]["separation"].value)
        assert found.to_document()["methods"]["vq"]["separation"] is None
        assert "needs at least two recordings that say different things" in score_words.source_html(found)

    def test_what_cannot_be_used_is_named(self, services: Services, recordings: dict[str, Path]) -> None:
        given = [Source(str(recordings["bad.wav"]), "bad.wav"), *parts.sources(None, True, None)[:1]]
        found = compare(services, given, ["vq"])
        assert len(found.names) == 1 and found.left_out[0].startswith("bad.wav: ")
        assert "bad.wav" in score_words.source_html(found)

    @pytest.mark.parametrize(
        ("given", "chosen", "message"),
        [
            ([], ["vq"], "tick the examples, upload files, or record one"),
            (parts.sources(None, True, None)[:1], [], "no method is chosen"),
            (parts.sources(None, True, None)[:1], ["magic"], "magic cannot be written"),
        ],
    )
    def test_mistakes_are_named(self, services: Services, given, chosen, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            compare(services, given, chosen)

    def test_stop_ends_it(self, services: Services) -> None:
        with pytest.raises(Cancelled):
            compare(services, parts.sources(None, True, None)[:1], ["vq"], lambda _: services.stop("page"), "page")


class TestVersions:
    def test_the_loudest_part_of_a_long_recording_counts(self) -> None:
        wave = np.random.default_rng(0).normal(0, 0.01, 160_000).astype(np.float32)
        wave[80_000:120_000] *= 20
        part = wave[loudest_part(wave)]
        assert len(part) == 48_800 and np.square(part).sum() > 0.98 * np.square(wave[80_000:120_000]).sum()

    @pytest.mark.parametrize(("samples", "message"), [(4_000, "at least 0.55 s"), (16_000, "silent")])
    def test_short_and_silent_recordings_are_refused(self, samples: int, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            loudest_part(np.zeros(samples, np.float32))

    def test_every_change_changes_what_it_says(self, speech: np.ndarray) -> None:
        versions = make_versions([Recording("a", speech[:48_800])])
        clean = versions["clean"].waves[0]
        assert np.array_equal(clean[800:], versions["change_shift"].waves[0][:-800])
        assert len(versions["change_speed"].waves[0]) == int(48_000 / np.float32(1.06))
        assert versions["change_warp"].warps == pytest.approx([1.08])
        noise = versions["change_noise"].waves[0] - clean
        assert 10 * np.log10((clean**2).sum() / (noise**2).sum()) == pytest.approx(15, abs=0.1)
        telephone = np.abs(np.fft.rfft(versions["change_telephone"].waves[0]))
        high = len(telephone) // 2  # from 4 kHz on
        assert np.square(telephone[high:]).sum() < 1e-3 * np.square(telephone).sum()
        assert not np.allclose(versions["view_a"].waves[0][:8_000], versions["view_b"].waves[0][:8_000])

    def test_the_versions_are_always_the_same(self, speech: np.ndarray) -> None:
        one, two = (make_versions([Recording("a", speech[:48_800])]) for _ in range(2))
        assert all(np.array_equal(one[name].waves[0], two[name].waves[0]) for name in one)

    def test_measures_by_hand(self, make_string) -> None:
        def strings(*ids: tuple[int, ...]) -> list:
            return [make_string(len(one), ids=one) for one in ids]

        written = {name: strings((1, 2, 3, 4), (5, 6, 7, 8)) for name in ("clean", "view_a", *CHANGES)}
        written["view_b"] = strings((1, 2, 3, 9), (5, 6, 7, 8))
        written["change_room"] = strings((1, 2, 0, 0), (5, 6, 7, 8))
        found = {name: one.value for name, one in measure(written, [1.0, 1.0], np.eye(2, dtype=bool)).items()}
        assert found["tokens"] == 8 and found["tokens_per_s"] == 4 and found["bits_per_s"] == 4 * 7
        assert found["ned_pair"] == 0.125 and found["ned_random"] == 1 and found["separation"] == 0.875
        assert found["change_room"] == 0.25 and found["change_noise"] == 0 and found["vocab_used"] == 8


class TestWords:
    def test_every_number_is_said_and_shown(self, board: Scoreboard) -> None:
        said = score_words.sentences_html(board)
        rate = board.scores["pairalign"]["tokens_per_s"].value
        room = 100 * board.scores["pairalign"]["change_room"].value
        assert f"PairAlign needs {rate:.1f} tokens a second, VQ " in said
        assert f"When the room changes (0.3 s of reverberation), about {room:.0f} of 100 PairAlign tokens (VQ " in said
        table = score_words.table_html(board)
        assert table.count("<th scope='row'>") == len(MEASURES)
        for scores in board.scores.values():
            assert f"<td>{number(scores['tokens'].value, 0)}</td>" in table

    def test_bars_of_a_group_share_their_scale(self, board: Scoreboard) -> None:
        html = score_words.bars_html(board)
        assert html.count('class="pa-bar-panel"') == 3 + len(CHANGES)
        changed = html.split("How much of the string")[1]
        assert changed.count('<i style="width:100.0%') >= 1
        assert all(f"<h3>{label}</h3>" in changed for label, _ in score_words.CHANGE_LABELS.values())

    def test_names_of_files_are_escaped(self, board: Scoreboard) -> None:
        evil = replace(board, names=["<b onload=x>"], left_out=["<script>: no"])
        html = score_words.source_html(evil)
        assert "<b onload" not in html and "<script>" not in html

    def test_rough_figures_are_called_rough(self, board: Scoreboard) -> None:
        html = score_words.source_html(board)
        assert "rough figures" in html and "model card" in html


class TestPublicEvent:
    @pytest.fixture
    def client(self, app_url: str) -> Client:
        return Client(app_url, verbose=False)

    def test_it_answers_with_the_document(self, client, recordings: dict[str, Path], services: Services) -> None:
        own = handle_file(str(recordings["stereo.flac"]))
        more = [handle_file(str(EXAMPLES / "slow.ogg"))]
        document = client.predict(own, ["vq"], False, more, api_name="/compare")
        assert [one["file"] for one in document["recordings"]] == ["stereo.flac", "slow.ogg"]
        assert document["model_sha256"] == services.model_info().sha256
        assert set(document["methods"]["vq"]) == MEASURES and document["left_out"] == []
        direct = compare(services, [Source(str(EXAMPLES / "slow.ogg"), "slow.ogg")], ["vq"])
        (alone,) = [one for one in document["recordings"] if one["file"] == "slow.ogg"]
        assert alone["duration_s"] == pytest.approx(3.0) and alone["recording_s"] == pytest.approx(4.3729)
        start_s = alone["start_s"]
        assert (start_s, alone["end_s"]) == (direct.stretches[0].start_s, pytest.approx(start_s + 3))
        assert document["options"] == {"methods": ["vq"]}
        assert json.dumps(document, allow_nan=False)

    def test_without_recordings_it_says_what_to_do(self, client) -> None:
        with pytest.raises(AppError, match="tick the examples") as caught:
            client.predict(None, ["vq"], False, None, api_name="/compare")
        assert "Traceback" not in str(caught.value)

    def test_it_is_documented(self, client) -> None:
        endpoint = client.view_api(return_format="dict")["named_endpoints"]["/compare"]
        assert "changes with the sound" in endpoint["description"]


def test_the_set_of_changes_and_their_words_agree() -> None:
    assert set(score_words.CHANGE_LABELS) == set(scoreboard.CHANGES)
    assert set(score_words.LABELS) == set(score_words.READINGS) == MEASURES
