"""Measures: textbook values, brute force, and the mistakes that are known to be made with them."""

import itertools

import numpy as np
import pytest

from pairalign.evaluation import metrics as m


def ids(text: str) -> tuple[int, ...]:
    return tuple(map(ord, text))


def random_strings(n: int, seed: int, length: int = 12, vocab: int = 4) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(seed)
    return [tuple(int(t) for t in rng.integers(0, vocab, rng.integers(0, length))) for _ in range(n)]


def levenshtein(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


def longest_common(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    if not a or not b:
        return 0
    if a[0] == b[0]:
        return 1 + longest_common(a[1:], b[1:])
    return max(longest_common(a[1:], b), longest_common(a, b[1:]))


class TestAgreement:
    def test_textbook_values(self) -> None:
        a, b = [ids("kitten")], [ids("sitting")]
        assert m.ned_pair(a, b)[0] == pytest.approx(3 / 7)
        assert m.ued(a, b)[0] == pytest.approx(100 * 3 / 5)  # 'kiten' to 'siting', over 5
        assert m.lcs(a, b)[0] == pytest.approx(4 / 7)
        assert m.jaccard([ids("abc")], [ids("bcd")], 1)[0] == pytest.approx(2 / 4)
        assert m.jaccard([ids("abc")], [ids("bcd")], 2)[0] == pytest.approx(1 / 3)
        assert m.length_deviation(a, b)[0] == pytest.approx(1 / 7)
        assert m.exact_match([(1, 2), (1,)], [[1, 2], [2]]).tolist() == [1.0, 0.0]

    def test_ids_are_compared_not_their_digits(self) -> None:
        assert m.ned_pair([(1, 12)], [(11, 2)])[0] == 1.0
        assert m.ned_pair([(120,)], [(121,)])[0] == 1.0

    @pytest.mark.parametrize("vocab", [3, 300, 65_536])
    def test_distances_are_those_of_brute_force(self, vocab: int) -> None:
        a, b = random_strings(60, 1, vocab=vocab), random_strings(60, 2, vocab=vocab)
        a += [(0xD800, 5), (0xDFFF,)]  # surrogate code points are ids like any other
        b += [(5,), (0xD800,)]
        brute = [levenshtein(x, y) / max(len(x), len(y), 1) for x, y in zip(a, b, strict=True)]
        assert m.ned_pair(a, b) == pytest.approx(brute)
        matrix = m.distance_matrix(a[:9], b[:7])
        assert matrix[4, 6] == pytest.approx(levenshtein(a[4], b[6]) / max(len(a[4]), len(b[6]), 1))

    def test_lcs_is_that_of_brute_force(self) -> None:
        a, b = random_strings(40, 3, length=9), random_strings(40, 4, length=9)
        brute = [longest_common(x, y) / max(len(x), len(y)) if x or y else 1.0 for x, y in zip(a, b, strict=True)]
        assert m.lcs(a, b) == pytest.approx(brute)

    def test_two_empty_strings_agree(self) -> None:
        none = [()]
        assert m.ned_pair(none, none)[0] == 0 and m.lcs(none, none)[0] == 1 and m.ued(none, none)[0] == 0
        assert m.jaccard(none, none, 1)[0] == 1 and m.length_deviation(none, none)[0] == 0
        assert m.ned_pair(none, [(1, 2)])[0] == 1 and np.isnan(m.ued(none, [(1, 2)])[0])
        assert m.ned_pair([], []).shape == (0,)

    def test_ued_counts_a_held_unit_once(self) -> None:
        assert m.ued([(1, 1, 1, 2)], [(1, 2, 2, 2, 2)])[0] == 0

    def test_lists_of_different_length_are_refused(self) -> None:
        with pytest.raises(ValueError, match="2 strings cannot be compared with 1"):
            m.ned_pair([(1,), (2,)], [(1,)])


class TestSeparation:
    def test_unrelated_pairs_exclude_the_related_ones(self) -> None:
        distances = np.array([[0.1, 0.5, 0.9], [0.7, 0.2, 0.3], [0.8, 0.6, 0.0]])
        related = np.eye(3, dtype=bool)
        assert m.ned_random(distances, related) == pytest.approx([0.7, 0.5, 0.7])
        related[1, 2] = True
        assert m.ned_random(distances, related) == pytest.approx([0.7, 0.7, 0.7])
        assert np.isnan(m.ned_random(distances, np.ones((3, 3), dtype=bool))).all()

    def test_auc_counts_pairs_in_the_right_order(self) -> None:
        rng = np.random.default_rng(0)
        distances = rng.integers(0, 6, (8, 8)) / 6
        related = np.eye(8, dtype=bool)
        own, others = np.diagonal(distances), distances[~related]
        brute = np.mean([(x < y) + 0.5 * (x == y) for x, y in itertools.product(own, others)])
        assert m.separation_auc(distances, related).mean() == pytest.approx(brute)

    def test_collapse_separates_nothing(self) -> None:
        same = [(1, 2, 3)] * 5
        distances, related = m.distance_matrix(same, same), np.eye(5, dtype=bool)
        assert m.ned_pair(same, same).mean() == 0.0 == m.ned_random(distances, related).mean()
        assert m.separation_auc(distances, related).mean() == 0.5


class TestStrings:
    def test_rate_is_a_ratio_of_sums(self) -> None:
        rate = m.tokens_per_s([(1,) * 10, (1,) * 30], [1.0, 9.0])
        assert rate.value == pytest.approx(4.0)
        assert rate.low == pytest.approx(30 / 9) and rate.high == pytest.approx(10.0)

    def test_vocabulary(self) -> None:
        assert m.vocab_used([(1, 2), (2, 3), ()]) == 3
        assert m.vocab_perplexity([(0, 1, 2, 3)]) == pytest.approx(4.0)
        assert m.vocab_perplexity([(7, 7, 7)]) == pytest.approx(1.0)
        assert m.vocab_perplexity([(0, 0, 0, 1)]) == pytest.approx(2**0.8112781, rel=1e-6)
        assert m.vocab_perplexity([()]) == 0.0

    def test_eos(self) -> None:
        assert m.eos_rate(["eos", "limit", "eos"]).tolist() == [1, 0, 1]
        assert m.eos_rate([None, None]).tolist() == [1, 1]

    def test_collapse_has_three_signs(self) -> None:
        varied = (1, 2, 3, 4, 5, 6)
        strings = [varied, varied, (1, 2, 3), (4, 5, 6), (9, 9, 9, 9, 8, 7), (2, 3, 4, 5, 6, 7), ()]
        full = np.array([True, True, True, False, True, True, True])
        assert m.collapse_rate(strings, full, np.eye(7, dtype=bool)).tolist() == [1, 1, 1, 0, 1, 0, 1]
        related = np.eye(7, dtype=bool)
        related[0, 1] = related[1, 0] = True  # the same sentence may have the same string
        assert m.collapse_rate(strings, full, related)[:2].tolist() == [0, 0]

    def test_half_of_one_token_is_not_yet_collapse(self) -> None:
        assert m.collapse_rate([(1, 2, 1, 3, 1, 4)], np.array([True]), np.eye(1, dtype=bool))[0] == 0

    def test_archive(self) -> None:
        strings, reference = [(1, 2), (3,)], [(1,) * 5, (2,) * 5]
        assert m.archive_tokens(strings) == 3
        reduction = m.archive_token_reduction(strings, reference)
        assert reduction.value == pytest.approx(0.7)
        assert reduction.low <= 0.7 <= reduction.high


class TestRetrieval:
    def test_textbook_average_precision(self) -> None:
        # relevant at ranks 1, 3 and 5: (1/1 + 2/3 + 3/5) / 3
        distances, relevant = np.array([[1, 2, 3, 4, 5, 6.0]]), np.array([[1, 0, 1, 0, 1, 0]], dtype=bool)
        assert m.mean_average_precision(distances, relevant)[0] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
        assert m.mrr(distances, relevant)[0] == 1.0

    def test_every_relevant_document_counts_not_only_those_near_the_top(self) -> None:
        """The known bug: dividing by the relevant documents found early gives 1.0 here."""
        distances = np.arange(100.0)[None]
        relevant = np.zeros((1, 100), dtype=bool)
        relevant[0, [0, 98, 99]] = True
        assert m.mean_average_precision(distances, relevant)[0] == pytest.approx((1 + 2 / 99 + 3 / 100) / 3)

    def test_without_ties_it_is_that_of_brute_force(self) -> None:
        rng = np.random.default_rng(5)
        distances, relevant = rng.random((20, 15)), rng.random((20, 15)) < 0.3
        relevant[:, 0] = True
        for q in range(20):
            order = np.argsort(distances[q])
            hits = relevant[q][order]
            brute = np.mean([hits[: k + 1].mean() for k in np.flatnonzero(hits)])
            assert m.mean_average_precision(distances, relevant)[q] == pytest.approx(brute)
            assert m.mrr(distances, relevant)[q] == pytest.approx(1 / (1 + np.flatnonzero(hits)[0]))
            assert m.recall_at(3, distances, relevant)[q] == float(hits[:3].any())

    def test_ties_share_their_average_rank(self) -> None:
        distances, relevant = np.array([[0.0, 0, 0, 0, 1]]), np.array([[True, False, False, False, False]])
        assert m.mrr(distances, relevant)[0] == pytest.approx(1 / 2.5)
        assert m.recall_at(2, distances, relevant)[0] == 0 and m.recall_at(5, distances, relevant)[0] == 1
        assert m.mean_average_precision(distances, relevant)[0] == pytest.approx(1 / 2.5)

    def test_saying_nothing_scores_like_chance_wherever_the_answer_stands(self) -> None:
        distances = np.zeros((1, 9))
        for place in range(9):
            relevant = np.zeros((1, 9), dtype=bool)
            relevant[0, place] = True
            assert m.mrr(distances, relevant)[0] == pytest.approx(1 / 5)

    def test_documents_that_are_no_candidates_do_not_exist(self) -> None:
        distances, relevant = np.array([[0.0, 1, 2]]), np.array([[True, False, True]])
        candidates = np.array([[False, True, True]])
        assert m.mrr(distances, relevant, candidates)[0] == 0.5
        assert m.mean_average_precision(distances, relevant, candidates)[0] == 0.5

    def test_a_query_without_an_answer_is_not_measured(self) -> None:
        distances, relevant = np.zeros((2, 3)), np.array([[False] * 3, [True, False, False]])
        for values in (
            m.mrr(distances, relevant),
            m.recall_at(1, distances, relevant),
            m.mean_average_precision(distances, relevant),
        ):
            assert np.isnan(values[0]) and not np.isnan(values[1])
            assert m.bootstrap_mean(values).value == values[1]


class TestBootstrap:
    def test_the_interval_covers_the_truth_about_19_times_in_20(self) -> None:
        rng = np.random.default_rng(0)
        covered = 0
        for k in range(200):
            estimate = m.bootstrap_mean(rng.exponential(1.0, 80), seed=k, rounds=500)
            covered += estimate.low <= 1.0 <= estimate.high
        assert 0.86 <= covered / 200 <= 0.99

    def test_it_is_the_same_every_time(self) -> None:
        values = np.random.default_rng(1).random(50)
        assert m.bootstrap_mean(values) == m.bootstrap_mean(values)
        assert m.bootstrap_mean(values, seed=1) != m.bootstrap_mean(values, seed=2)

    def test_large_inputs_are_drawn_in_blocks(self) -> None:
        estimate = m.bootstrap_mean(np.ones(3_000_000), rounds=3)
        assert (estimate.value, estimate.low, estimate.high) == (1.0, 1.0, 1.0)

    def test_nothing_to_measure_is_nan(self) -> None:
        assert np.isnan(m.bootstrap_mean([]).value)
        assert np.isnan(m.bootstrap_ratio([1.0], [0.0]).low)
