"""Files of a result: texts by safe names."""

import csv
import io
import json

import pytest

from app.exports import KINDS, bundle, safe_stem


def test_each_kind_brings_its_own_texts(make_result):
    result = make_result(3, 5)
    assert {kind: list(bundle(result, kind)["texts"]) for kind in KINDS} == {
        "json": ["hello.pairalign.json"],
        "csv": ["hello.csv"],
        "textgrid": ["hello.TextGrid"],
        "wav": [],
        "zip": ["hello.pairalign.json", "hello.csv", "hello.TextGrid"],
    }
    assert [kind for kind in KINDS if bundle(result, kind)["sound"]] == ["wav", "zip"]
    assert [kind for kind in KINDS if bundle(result, kind)["zipped"]] == ["zip"]


def test_the_texts_tell_every_token(make_result):
    result = make_result(3, 5)
    texts = bundle(result, "zip")["texts"]
    assert json.loads(texts["hello.pairalign.json"]) == json.loads(json.dumps(result.to_document()))
    rows = list(csv.DictReader(io.StringIO(texts["hello.csv"])))
    assert len(rows) == 8 and {row["method"] for row in rows} == {"pairalign", "vq"}
    assert "IntervalTier" in texts["hello.TextGrid"]


def test_a_lost_result_says_what_to_do():
    with pytest.raises(ValueError, match="press Tokenize again"):
        bundle(None, "csv")


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("hello.wav", "hello"),
        ("../../etc/passwd", "passwd"),
        ("C:\\users\\me\\talk.2024.mp3", "talk.2024"),
        ('<img src=x onerror="alert(1)">.wav', "img_src_x_onerror_alert_1"),
        ("Gespräch mit Özil.flac", "Gespräch_mit_Özil"),
        ("....", "recording"),
        ("", "recording"),
        ("a" * 300 + ".wav", "a" * 80),
    ],
)
def test_names_are_safe_on_every_file_system(name, stem):
    assert safe_stem(name) == stem
