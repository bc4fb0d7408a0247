"""CSV and TextGrid, read back by the csv module and by a small parser of Praat's long text format."""

import csv
import io
import re
from dataclasses import replace

import pytest

from pairalign.export import COLUMNS, to_csv, to_textgrid
from pairalign.strings import TokenString, glyph, ids_from_text
from tests.conftest import babble

Interval = tuple[float, float, str]
QUOTE = ids_from_text('"')[0]


def string(ids, spans, duration_s: float = 1.0, log_probs=()) -> TokenString:
    return TokenString(tuple(ids), tuple(spans), duration_s, tuple(log_probs), "eos", "pairalign", "0" * 64, 1000)


def parsed(text: str) -> dict[str, list[Interval]]:
    """Tiers by name. Praat reads the numbers and quoted texts of a file and takes the rest as comment."""
    assert text.startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n\n')
    values = re.findall(r'= "((?:[^"]|"")*)"\s*$|= (-?[\d.]+)\s*$', text, re.M)[2:]
    items = iter([number or quoted.replace('""', '"') for quoted, number in values])
    start, end, size = float(next(items)), float(next(items)), int(next(items))
    tiers = {}
    for _ in range(size):
        assert next(items) == "IntervalTier"
        name = next(items)
        assert (float(next(items)), float(next(items))) == (start, end)
        count = int(next(items))
        tiers[name] = [(float(next(items)), float(next(items)), next(items)) for _ in range(count)]
    assert next(items, None) is None
    return tiers


def check_cover(intervals: list[Interval], duration_s: float) -> None:
    assert intervals[0][0] == 0 and intervals[-1][1] == pytest.approx(duration_s, abs=1e-6)
    assert all(start < end for start, end, _ in intervals)
    assert all(a[1] == b[0] for a, b in zip(intervals, intervals[1:], strict=False))


def test_tiers_cover_the_recording_with_tokens_in_order(fitted_tokenizer) -> None:
    wave = babble(4.3)
    strings = {m: fitted_tokenizer.tokenize(wave, method=m) for m in ("pairalign", "vq", "bpe", "mfcc")}
    tiers = parsed(to_textgrid(strings))
    assert list(tiers) == list(strings)
    for method, intervals in tiers.items():
        check_cover(intervals, 4.3)
        labels = [label for _, _, label in intervals if label]
        assert labels == [f"{glyph(token)} {token}" for token in strings[method].ids]


def test_pauses_are_empty_and_overlaps_clipped() -> None:
    one = string([1, 2, 3, 4], [(0.1, 0.3), (0.25, 0.5), (0.3, 0.45), (0.5, 1.2)], 1.1)
    (intervals,) = parsed(to_textgrid({"pairalign": one})).values()
    assert intervals == [
        (0, 0.1, ""),
        (0.1, 0.3, "b 1"),
        (0.3, 0.5, "c 2"),
        (0.5, 1.1, "e 4"),  # nothing is left of token 3, and token 4 ends with the recording
    ]


def test_times_without_an_end_in_decimals_leave_no_gap() -> None:
    thirds = [(k / 3, (k + 1) / 3) for k in range(6)]
    (intervals,) = parsed(to_textgrid({"vq": string([5, 6] * 3, thirds, 2.0)})).values()
    check_cover(intervals, 2.0)
    assert len(intervals) == 6


def test_quotes_are_doubled() -> None:
    text = to_textgrid({'a "b"': string([QUOTE], [(0, 1)])})
    assert f'text = """ {QUOTE}"' in text and 'name = "a ""b"""' in text
    assert parsed(text) == {'a "b"': [(0, 1, f'" {QUOTE}')]}


def test_an_empty_string_is_one_pause() -> None:
    tiers = parsed(to_textgrid({"pairalign": string([], []), "vq": string([7], [(0.2, 0.4)], 0.5)}))
    assert tiers["pairalign"] == [(0, 1, "")]
    assert tiers["vq"] == [(0, 0.2, ""), (0.2, 0.4, f"{glyph(7)} 7"), (0.4, 1, "")]  # tiers end together


@pytest.mark.parametrize("strings", [{}, {"vq": string([], [], 0.0)}])
def test_no_recording_no_textgrid(strings) -> None:
    with pytest.raises(ValueError, match="at least one string of a recording"):
        to_textgrid(strings)


def test_csv_has_a_line_per_token() -> None:
    strings = {
        "pairalign": string([3, QUOTE], [(0, 0.06), (0.06, 1 / 3)], log_probs=(0.0, -0.6931472)),
        "mfcc": string([ids_from_text(",")[0]], [(0, 1)]),
        "vq": replace(string([5], [(0, 1)], log_probs=(-0.6931472,)), method="vq"),
        "viterbi": string([], []),
    }
    header, *rows = csv.reader(io.StringIO(to_csv(strings)))
    assert tuple(header) == COLUMNS
    assert rows == [
        ["pairalign", "1", "3", "d", "0", "0.06", "1", ""],
        ["pairalign", "2", str(QUOTE), '"', "0.06", "0.333333", "0.5", ""],
        ["mfcc", "1", str(ids_from_text(",")[0]), ",", "0", "1", "", ""],
        ["vq", "1", "5", "f", "0", "1", "", "0.5"],
    ]
