"""The evaluation: test segments, word search, table and command, mostly with a stand-in tokenizer that hears pitch."""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rapidfuzz.distance import Levenshtein

from pairalign import cli
from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.evaluation import protocols, report, word_search
from pairalign.evaluation.protocols import EvaluationError
from pairalign.strings import TokenString
from pairalign.training import data
from pairalign.training.data import DataError

NOTES_HZ = [300 * 1.22**k for k in range(12)]  # far enough apart for a speed of 0.9 to 1.1
NOTE_S = 0.2


def melody(notes: Sequence[int]) -> np.ndarray:
    time_s = np.arange(round(NOTE_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return np.concatenate([0.3 * np.sin(2 * np.pi * NOTES_HZ[note] * time_s) for note in notes]).astype(np.float32)


class PitchTokenizer:
    """Writes the note of every 50 ms; "pairalign" removes repeats, "vq" keeps them."""

    name, sha256, vocab_size = "pitch", "0" * 64, len(NOTES_HZ)

    def __init__(self) -> None:
        self.heard = 0

    def tokenize_batch(
        self, waves: Sequence[np.ndarray], method: str = "pairalign", warps: Sequence[float] | None = None
    ) -> list[TokenString]:
        assert warps is None or len(warps) == len(waves)
        self.heard += len(waves)
        return [self._tokenize(wave, method) for wave in waves]

    def _tokenize(self, wave: np.ndarray, method: str) -> TokenString:
        size = SAMPLE_RATE_HZ // 20
        frames = wave[: len(wave) // size * size].reshape(-1, size)
        peaks_hz = np.abs(np.fft.rfft(frames * np.hanning(size), 4096)).argmax(1) * SAMPLE_RATE_HZ / 4096
        notes = np.abs(np.log(np.maximum(peaks_hz, 1))[:, None] - np.log(NOTES_HZ)[None]).argmin(1)
        starts = [t for t in range(len(notes)) if method == "vq" or t == 0 or notes[t] != notes[t - 1]]
        spans = tuple((t / 20, end / 20) for t, end in zip(starts, [*starts[1:], len(notes)], strict=True))
        ids = tuple(int(notes[t]) for t in starts)
        return TokenString(ids, spans, len(wave) / SAMPLE_RATE_HZ, (), "eos", method, self.sha256, self.vocab_size)

    def condition_gain(
        self, waves: Sequence[np.ndarray], strings: Sequence[TokenString], unrelated: Sequence[int]
    ) -> np.ndarray:
        assert all(i != other for i, other in enumerate(unrelated))
        return np.full(len(waves), 1.5)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 melodies by six speakers; the word "tune" (notes 1 5 2 6) is in three of them, by three speakers."""
    root = tmp_path_factory.mktemp("melodies")
    rng = np.random.default_rng(0)
    rows, words = ["path,split,speaker,transcript"], ["path,start_s,end_s,word"]
    for k in range(24):
        notes = [*rng.integers(0, 12, 18)]
        if k in (3, 10, 17):
            notes[6:10] = [1, 5, 2, 6]
        soundfile.write(root / f"{k}.wav", melody(notes), SAMPLE_RATE_HZ)
        rows.append(f"{k}.wav,dev,s{k % 6},{'the same sentence' if k < 2 else ''}")
        words.append(f"{k}.wav,0.0,0.4,{'never' if k else 'once'}")
        words += [f"{k}.wav,1.2,2.0,TUNE"] if k in (3, 10, 17) else []
    (root / "manifest.csv").write_text("\n".join(rows))
    (root / "words.csv").write_text("\n".join(words))
    return root


@pytest.fixture(scope="module")
def bank(corpus: Path) -> data.AudioBank:
    return data.load_bank(data.read_manifest(corpus))


@pytest.fixture(scope="module")
def trials(bank: data.AudioBank) -> protocols.Trials:
    return protocols.make_trials(bank, range(24), 20, seed=0)


class TestTrials:
    def test_they_are_the_same_every_time(self, bank: data.AudioBank, trials: protocols.Trials) -> None:
        again = protocols.make_trials(bank, range(24), 20, seed=0)
        for name in ("clean", "view_a", "view_b", "shifted"):
            assert all(np.array_equal(x, y) for x, y in zip(getattr(trials, name), getattr(again, name), strict=True))
        other = protocols.make_trials(bank, range(24), 20, seed=1)
        assert not all(np.array_equal(x, y) for x, y in zip(trials.clean, other.clean, strict=True))

    def test_segments_last_three_seconds_and_views_differ(self, trials: protocols.Trials) -> None:
        assert (trials.durations_s == 3.0).all() and trials.full_speech.all()
        assert all(len(a) != len(b) for a, b in zip(trials.view_a, trials.view_b, strict=True))
        assert all(0.88 <= warp <= 1.12 for warp in trials.warps_a) and trials.warps_a != trials.warps_b
        assert all(2.9 / 1.1 - 0.01 <= len(view) / SAMPLE_RATE_HZ <= 3 / 0.9 + 0.01 for view in trials.view_a)

    def test_the_shifted_window_starts_50_ms_later(self, trials: protocols.Trials) -> None:
        for clean, shifted in zip(trials.clean, trials.shifted, strict=True):
            assert np.array_equal(clean[800:], shifted[:-800])

    def test_one_sentence_twice_is_not_unrelated(self, trials: protocols.Trials) -> None:
        where = {utterance: k for k, utterance in enumerate(trials.utterances)}
        if 0 in where and 1 in where:
            assert trials.related[where[0], where[1]] and trials.related[where[1], where[0]]
        assert trials.related.sum() == 20 + 2 * (0 in where and 1 in where)

    def test_recordings_too_short_for_a_shift_are_measured_without(self, tmp_path: Path) -> None:
        for k in range(3):
            soundfile.write(tmp_path / f"{k}.wav", melody([k, 3, 5, 7, k]), SAMPLE_RATE_HZ)
        bank = data.load_bank(data.read_manifest(tmp_path))
        trials = protocols.make_trials(bank, range(3), 3)
        assert trials.shifted == [None] * 3 and not trials.full_speech.any()
        result = protocols.measure(protocols.tokenize_trials(PitchTokenizer(), trials, "pairalign"), trials)
        assert math.isnan(result["shift_50ms"].value) and result["tokens_per_s"].value > 0

    def test_one_recording_is_not_enough(self, bank: data.AudioBank) -> None:
        with pytest.raises(EvaluationError, match="at least 2 recordings"):
            protocols.make_trials(bank, [4], 20)


class TestMeasure:
    def test_a_tokenizer_that_hears_scores_and_the_floor_does_not(self, trials: protocols.Trials) -> None:
        strings = protocols.tokenize_trials(PitchTokenizer(), trials, "pairalign")
        found = protocols.measure(strings, trials)
        floor = protocols.measure(protocols.random_floor(strings), trials)
        assert found["recall_1"].value >= 0.9 and found["separation_auc"].value > 0.95
        assert found["ned_pair"].value < 0.45 < 0.7 < found["ned_random"].value
        assert found["separation"].value == pytest.approx(found["ned_random"].value - found["ned_pair"].value)
        assert found["shift_50ms"].value < 0.1
        assert abs(floor["separation"].value) < 0.06 and floor["recall_1"].value < 0.3
        assert floor["tokens_per_s"] == found["tokens_per_s"]

    def test_reduction_counts_against_the_reference(self, trials: protocols.Trials) -> None:
        tokenizer = PitchTokenizer()
        short = protocols.tokenize_trials(tokenizer, trials, "pairalign")
        long = protocols.tokenize_trials(tokenizer, trials, "vq")
        n, m = (sum(len(string) for string in strings.clean) for strings in (short, long))
        assert protocols.measure(short, trials, long)["archive_token_reduction"].value == pytest.approx(1 - n / m)
        assert protocols.measure(long, trials, long)["archive_token_reduction"].value == 0.0
        assert "archive_token_reduction" not in protocols.measure(short, trials)

    def test_one_string_for_everything_is_seen_as_collapse(self, trials: protocols.Trials) -> None:
        one = PitchTokenizer().tokenize_batch(trials.clean[:1])[0]
        same = protocols.Strings(*[[one] * 20 for _ in range(4)])
        found = protocols.measure(same, trials)
        assert found["ned_pair"].value == 0.0 and found["separation"].value == 0.0
        assert found["collapse_rate"].value == 1.0 and found["recall_1"].value == 0.0


class TestWordSearch:
    def test_infix_distance_is_that_of_brute_force(self) -> None:
        rng = np.random.default_rng(0)

        def strings(n: int, longest: int) -> list[tuple[int, ...]]:
            return [tuple(rng.integers(0, 3, rng.integers(0, longest)).tolist()) for _ in range(n)]

        queries, documents = strings(20, 7), strings(15, 11)
        found = word_search.infix_distances(queries, documents)
        for q, query in enumerate(queries):
            for d, document in enumerate(documents):
                parts = [document[i:j] for i in range(len(document) + 1) for j in range(i, len(document) + 1)]
                brute = min(Levenshtein.distance(query, part) for part in parts) / len(query) if query else 1.0
                assert found[q, d] == pytest.approx(brute), (query, document)

    def test_nothing_to_search(self) -> None:
        assert word_search.infix_distances([], [(1,)]).shape == (0, 1)
        assert word_search.infix_distances([(1,)], []).shape == (1, 0)
        assert word_search.infix_distances([()], [(1,), ()]).tolist() == [[1.0, 1.0]]

    def test_queries_ask_other_speakers_only(self, corpus: Path, bank: data.AudioBank) -> None:
        words = data.words_for(bank.utterances, corpus / "words.csv")
        task = word_search.make_word_search(bank, range(24), words)
        assert {word.text for word in task.queries} == {"TUNE"}  # "never" is everywhere, "once" has one speaker
        assert len(task.queries) == 3 and len(task.items) == 24
        for q, word in enumerate(task.queries):
            own = [k for k, i in enumerate(task.items) if i % 6 == word.utterance % 6]
            assert not task.candidates[q, own].any() and task.candidates[q].sum() == 20
            assert [task.items[k] for k in np.flatnonzero(task.relevant[q])] == [
                i for i in (3, 10, 17) if i != word.utterance
            ]

    def test_the_word_is_found_in_the_mouths_of_others(self, corpus: Path, bank: data.AudioBank) -> None:
        words = data.words_for(bank.utterances, corpus / "words.csv")
        task = word_search.make_word_search(bank, range(24), words)
        strings = PitchTokenizer().tokenize_batch([bank.wave(i) for i in task.items])
        assert word_search.measure_word_search(task, strings)["r2_map"].value > 0.9

    def test_tokens_belong_to_where_their_middle_is(self) -> None:
        spans = ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6))
        string = TokenString((7, 8, 9), spans, 0.6, (), "eos", "vq", "0" * 64, 12)
        assert word_search.between(string, 0.15, 0.45) == (8,)
        assert word_search.between(string, 0.1, 0.5) == (7, 8)

    def test_no_word_to_search_is_named(self, bank: data.AudioBank) -> None:
        with pytest.raises(EvaluationError, match="word search needs a word"):
            word_search.make_word_search(bank, range(24), [data.Word(0, 0.1, 0.5, "alone")])


@pytest.fixture(scope="module")
def found(corpus: Path, bank: data.AudioBank) -> report.Report:
    words = data.words_for(bank.utterances, corpus / "words.csv")
    return report.evaluate(PitchTokenizer(), bank.utterances, bank, "dev", 12, baselines=("vq", "random"), words=words)


class TestReport:
    def test_it_has_the_contract_and_the_metric_names(self, found: report.Report) -> None:
        assert set(found) == {"data", "methods", "intervals", "curves", "vocabulary"}
        assert list(found["methods"]) == ["pairalign", "vq", "random"]
        names = (
            "tokens_per_s bits_per_s ned_pair ned_random separation separation_auc ued jaccard_1 jaccard_2 lcs "
            "exact_match length_deviation eos_rate vocab_used vocab_perplexity collapse_rate archive_tokens "
            "archive_token_reduction shift_50ms recall_1 mrr r2_map r2_recall_1"
        )
        moved = (
            "sweep_d_100 sweep_d_max sweep_excess sweep_step_mean sweep_step_mean_20 sweep_roughness sweep_length_std "
            "sweep_length_deviation sweep_bounded delay_error_ms boundary_hit_40ms boundary_hit_40ms_even"
        )
        for values in found["methods"].values():
            assert set(names.split()) <= set(values)
        for name in ("pairalign", "vq"):
            assert set(moved.split()) <= set(found["methods"][name])
            assert found["curves"][name]["shift_ms"] == list(range(0, 101, 10))
            assert found["vocabulary"][name] == sorted(found["vocabulary"][name], reverse=True)
            assert len(found["vocabulary"][name]) == found["methods"][name]["vocab_used"]
        assert not set(moved.split()) & set(found["methods"]["random"])
        assert found["data"]["sweep_segments"] == 24
        assert found["methods"]["pairalign"]["condition_gain"] == 1.5
        assert isinstance(found["methods"]["vq"]["vocab_used"], int)
        assert found["data"]["segments"] == 12 and found["data"]["split"] == "dev"
        json.dumps(found, allow_nan=False)

    def test_every_interval_holds_its_value(self, found: report.Report) -> None:
        for name, intervals in found["intervals"].items():
            for metric, (low, high) in intervals.items():
                assert low - 1e-9 <= found["methods"][name][metric] <= high + 1e-9, (name, metric)

    def test_the_table_has_a_line_per_metric(self, found: report.Report) -> None:
        lines = report.format_table(found).splitlines()
        assert lines[0] == "| | pairalign | vq | random |"
        assert any(line.startswith("| ned_pair | 0.") and "[" in line for line in lines)
        assert any(line.startswith("| condition_gain | 1.500 [1.500, 1.500] | – | – |") for line in lines)

    def test_without_baselines_only_pairalign_is_run(self, bank: data.AudioBank) -> None:
        tokenizer = PitchTokenizer()
        found = report.evaluate(tokenizer, bank.utterances, bank, limit=4, baselines=(), sweep=0)
        assert list(found["methods"]) == ["pairalign"] and tokenizer.heard == 16
        assert found["curves"] == {} and found["data"]["sweep_segments"] == 0

    def test_an_unknown_split_is_named(self, bank: data.AudioBank) -> None:
        with pytest.raises(DataError, match="no recordings in split 'test'"):
            report.evaluate(PitchTokenizer(), bank.utterances, bank, "test")


class TestArguments:
    def parse(self, *options: str) -> argparse.Namespace:
        parser = argparse.ArgumentParser()
        report.add_arguments(parser)
        return parser.parse_args(["--manifest", "nowhere.csv", *options])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--baselines", "vq,word2vec"), "word2vec is not one of all, none"),
            (("--baselines", ","), "nothing is not one of"),
            (("--limit", "1"), "--limit is 1; use 2 or more"),
            (("--seed", "-1"), "--seed is -1"),
            (("--sweep", "-1"), "--sweep is -1; use zero or more"),
            (("--report", __file__), "is a file; name a folder"),
            ((), "nowhere.csv: no such file"),
        ],
    )
    def test_mistakes_are_named_before_anything_slow(self, options: tuple[str, ...], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            report.run_from_args(self.parse(*options))

    def test_baselines_are_a_list(self) -> None:
        assert report._chosen_baselines("all") == report.BASELINES and report._chosen_baselines("none") == ()
        assert report._chosen_baselines("viterbi, vq,vq") == ("viterbi", "vq")


def test_command_on_a_real_checkpoint(
    corpus: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", "--manifest", str(corpus), "--limit", "3", "--device", "cpu", "--sweep", "2"]
    arguments += ["--checkpoint", str(tiny_checkpoint)]
    words = ["--words", str(corpus / "words.csv")]
    assert cli.main([*arguments, *words, "--report", str(tmp_path / "page"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    names = ["pairalign", "vq", "vq_raw", "viterbi", "mfcc_dtw", "encoder_dtw", "random"]
    assert list(found["methods"]) == names and found["data"]["missing_baselines"] == ["viterbi_cost", "bpe", "mfcc"]
    for name in ("mfcc_dtw", "encoder_dtw"):  # no strings, so only rankings
        assert set(found["methods"][name]) == {
            *("recall_1", "mrr", "r2_map", "r2_mrr", "r2_recall_1", "r2_recall_5", "r2_recall_10")
        }
    assert found["methods"]["pairalign"]["condition_gain"] is not None
    assert found["methods"]["vq"]["r2_map"] is not None and found["methods"]["vq"]["delay_error_ms"] is not None
    assert json.loads((tmp_path / "page" / "report.json").read_text(encoding="utf-8")) == found
    html = (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    assert all(f"<code>{metric}</code>" in html for values in found["methods"].values() for metric in values)
    assert cli.main([*arguments, "--baselines", "vq,bpe"]) == 2
    assert "fit_baselines" in capsys.readouterr().err
    assert cli.main([*arguments, "--baselines", "none"]) == 0
    assert "| ned_pair |" in capsys.readouterr().out
