"""An archive is searched: what for, what is shown, what programs can call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from app import archive_figures, archive_words, demo_archive
from app.archive_search import Options, hit_clip, part_of, search_audio, search_text, typed_string
from app.archives import Added, figures_of
from app.tabs import archive as archive_tab
from pairalign.archive.report import IngestReport, Skipped
from pairalign.audio import read_audio
from pairalign.strings import glyph


def silent(_: float) -> None:
    """Nobody watches."""


# --- what is searched for -----------------------------------------------------------------------------------------


def test_a_typed_string_finds_where_it_was_copied_from(archives):
    archive = archives.open("demo")
    recording = archive.recordings("*harbour_light_b*")[0]
    text = archive.string(recording.id).text[3:15]
    found = search_text(archives, "demo", f"  {text}\n", "pairalign", Options("contains", 30))
    hits = found.answers["pairalign"].hits
    assert hits[0].distance == 0
    assert recording.id in [hit.recording_id for hit in hits if hit.distance == 0]


@pytest.mark.parametrize(
    ("text", "said"), [("ab☃c", "Character 3, “☃”"), ("ab" + glyph(400), "Character 3"), (" ", "1 to")]
)
def test_a_character_that_is_no_token_is_named(archives, text, said):
    with pytest.raises(ValueError, match=said):
        typed_string(archives.open("demo"), text, "pairalign")


def test_strings_that_the_archive_does_not_keep_are_refused(archives, own):
    with pytest.raises(ValueError, match="keeps pairalign, vq"):
        typed_string(archives.open("demo"), "abc", "bpe")
    with pytest.raises(ValueError, match="nothing yet"):
        typed_string(own.open("mine"), "abc", "pairalign")


@pytest.mark.parametrize("options", [Options("near"), Options(top=0), Options(top=31), Options(pattern="x" * 500)])
def test_options_that_no_page_sends_are_refused(archives, options):
    with pytest.raises(ValueError):
        search_text(archives, "demo", "abc", "pairalign", options)


def test_names_are_looked_for_as_text_or_as_a_pattern(archives):
    for pattern in ("garden_tea", "*garden_tea_?.ogg"):
        found = search_text(archives, "demo", "abc", "pairalign", Options(pattern=pattern))
        hits = found.answers["pairalign"].hits
        assert len(hits) == 3 and all(hit.path.name.startswith("garden_tea") for hit in hits)
    for pattern in ("garden_tea_?.ogg", "garden[_]tea", "no such name*"):  # without a * it is no pattern
        found = search_text(archives, "demo", "abc", "pairalign", Options(pattern=pattern))
        assert not found.answers["pairalign"].hits
    found = search_text(archives, "demo", "abc", "pairalign", Options(pattern="no such name"))
    assert not found.answers["pairalign"].hits
    assert "no recording has a name like that" in archive_words.hits_html(found, "pairalign", [])


def test_the_part_of_a_long_recording_and_all_of_a_short_one():
    wave = np.arange(160_000, dtype=np.float32)
    assert len(part_of(wave[:54_000], 1.0, 1.0)) == 54_000, "3.4 s are heard in one go"
    assert part_of(wave, 2.0, 3.0)[[0, -1]].tolist() == [32_000, 79_999]
    for start_s, length_s in ((0.0, 31.0), (20.0, 3.0), (0.0, float("nan"))):
        with pytest.raises(ValueError):
            part_of(wave, start_s, length_s)


def test_the_mode_fits_the_query_and_is_told(archives, speech):
    for wave, mode in ((speech, "whole"), (np.tile(speech, 2), "contains")):
        found = search_audio(archives, "demo", wave, ("vq",), Options("auto", 2), silent)
        assert found.to_document("vq")["mode"] == mode
        words = {"whole": "windows of about 3 s", "contains": "nearest stretch"}[mode]
        assert words in archive_words.found_html(found, "vq")


def test_a_recording_that_is_too_long_for_whole_is_refused_with_the_way_out(archives, speech):
    with pytest.raises(ValueError, match="contains"):
        search_audio(archives, "demo", np.tile(speech, 2), (), Options("whole"), silent)


# --- what is shown ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found(archives):
    wave = read_audio(demo_archive.FOLDER / "garden_tea_a.ogg")
    return search_audio(archives, "demo", wave, (), Options("contains", 4), silent)


def test_a_hit_is_heard_with_a_second_around_it(own, tmp_path, speech):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.stack([np.tile(speech, 5)] * 2, axis=1), 16_000)
    own.add("mine", folder=str(path))
    wave = np.tile(speech, 5)[64_000:96_000]
    (hit, *_) = search_audio(own, "mine", wave, ("pairalign",), Options(), silent).answers["pairalign"].hits
    clip = hit_clip(hit)
    assert clip.begins_s == pytest.approx(max(0.0, hit.start_s - 1))
    assert len(clip.wave) == pytest.approx(16_000 * (min(hit.end_s + 1, hit.string.duration_s) - clip.begins_s), abs=2)
    at = round(16_000 * clip.begins_s)
    np.testing.assert_allclose(clip.wave, np.tile(speech, 5)[at : at + len(clip.wave)], atol=1e-3)


def test_a_hit_whose_file_is_gone_is_shown_and_says_so(own, tmp_path, uploads, speech):
    own.add("mine", folder=uploads[0])
    Path(uploads[0]).unlink()
    result = search_audio(own, "mine", speech, (), Options(), silent)
    clips = [hit_clip(hit) for hit in result.answers["pairalign"].hits]
    assert clips[0].wave is None and "no longer at" in clips[0].problem
    page = archive_words.hits_html(result, "pairalign", clips)
    assert "no longer at" in page and "garden_tea_a.ogg" in page and "<audio" not in page


def test_hits_are_cards_with_distance_place_sound_and_alignment(found):
    hits = found.answers["pairalign"].hits
    page = archive_words.hits_html(found, "pairalign", [hit_clip(hit) for hit in hits])
    assert page.count('<li class="pa-hit">') == 4
    assert page.count("data:audio/flac;base64,") == 4 and page.count("Tokens side by side") == 4
    assert f"<b>{hits[1].distance} edits</b>" in page and f"{hits[1].start_s:.2f}–{hits[1].end_s:.2f} s" in page
    assert "We drank our tea in the garden." in page
    assert "VQ finds the same recording first" in archive_words.found_html(found, "pairalign")


def test_names_and_patterns_are_escaped(own, tmp_path, speech):
    path = tmp_path / "<img src=x onerror=alert(1)>.wav"
    soundfile.write(path, speech, 16_000)
    own.add("mine", folder=str(path))
    result = search_audio(own, "mine", speech, (), Options(pattern="*<img*"), silent)
    clips = [hit_clip(hit) for hit in result.answers["vq"].hits]
    page = archive_words.hits_html(result, "vq", clips) + archive_words.found_html(result, "vq")
    skipped = Added(IngestReport(skipped=(Skipped("/a/<b>.wav", "<i>bad</i>"),)))
    assert "<img" not in page and "&lt;img" in page
    assert "<b>.wav" not in archive_words.added_html(skipped)


def test_a_typed_string_has_no_times_and_nothing_to_play(archives):
    result = search_text(archives, "demo", "abcd", "vq", Options(top=1))
    page = archive_words.hits_html(result, "vq", [hit_clip(hit) for hit in result.answers["vq"].hits])
    assert "Query</button>" not in page and "0.00–0.00" not in page
    assert "nothing to compare" in archive_words.found_html(result, "vq")


def test_opening_an_archive_leaves_the_chosen_kind_alone_unless_the_archive_has_none_of_it():
    assert "value" not in archive_tab.kinds(["pairalign", "vq"], "pairalign"), "meanwhile VQ may have been chosen"
    assert archive_tab.kinds(["vq"], "pairalign")["value"] == "vq"


def test_statistics_say_what_is_there(archives, own):
    info = archives.open("demo").info()
    figures = figures_of(info)
    totals = info.methods
    assert figures["saving_against_vq"] == pytest.approx(1 - totals["pairalign"].tokens / totals["vq"].tokens)
    assert f"{info.recordings:,}" in archive_words.info_html(info, "demo")
    assert archive_words.frequent_table_html(info).count("<tr>") > 10
    assert len(archive_figures.vocabulary_figure(info).data) == 2
    empty = own.open("mine").info()
    assert figures_of(empty)["saving_against_vq"] is None and "is empty" in archive_words.info_html(empty, "mine")


def test_the_histogram_counts_everything_and_marks_the_last_hit(archives, found):
    answer = found.answers["pairalign"]
    counts = archives.open("demo").distance_counts(answer.query, "contains")
    last = answer.hits[-1].distance
    figure = archive_figures.distances_figure(counts, "contains", "pairalign", last)
    assert sum(figure.data[0].y) == len(demo_archive.files())
    assert figure.layout.shapes[0].x0 == last + 0.5
    assert archive_words.distances_table_html(counts, "contains", last).count("<td>yes</td>") >= 1


# --- what programs can call ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(app_url):
    return Client(app_url, verbose=False)


def test_archive_search_answers_as_the_command_line_does(client, services):
    query = handle_file(str(demo_archive.FOLDER / "harbour_light_b.ogg"))
    document = client.predict(query, top=3, api_name="/archive_search")
    assert document["model_sha256"] == services.model_info().sha256
    assert len(document["hits"]) == 3
    assert list(document["hits"][0]) == ["file", "start_s", "end_s", "distance", "normalized"]
    assert document["hits"][0]["distance"] == 0 and "/" not in document["hits"][0]["file"]
    assert document["searched_windows"] >= 48 and document["elapsed_ms"] > 0
    again = client.predict(None, document["query"]["text"], top=3, api_name="/archive_search")
    assert [hit["distance"] for hit in again["hits"]] == [hit["distance"] for hit in document["hits"]]


def test_archive_search_uses_the_part_that_is_asked_for(client, services, tmp_path):
    first, second = (read_audio(demo_archive.FOLDER / name) for name in ("garden_tea_a.ogg", "harbour_light_b.ogg"))
    path, first_s = tmp_path / "two.wav", len(first) / 16_000
    soundfile.write(path, np.concatenate([first, second]), 16_000)
    file, whole_s = handle_file(str(path)), (len(first) + len(second)) / 16_000

    def search(**asked):
        return client.predict(audio=file, top=1, **asked, api_name="/archive_search")

    everything, later, piece = search(), search(start_s=first_s), search(start_s=1.0, length_s=1.5)
    assert (everything["start_s"], everything["end_s"]) == (0, pytest.approx(whole_s, abs=1e-3)), "all of it"
    assert later["start_s"] == pytest.approx(first_s, abs=1e-3) and later["hits"][0]["file"] == "harbour_light_b.ogg"
    assert (piece["start_s"], piece["end_s"], piece["duration_s"]) == (1, 2.5, 1.5)
    assert piece["recording_s"] == pytest.approx(whole_s, abs=1e-3)
    heard = services.tokenizer().tokenize(read_audio(path)[16_000:40_000])
    assert tuple(piece["query"]["ids"]) == heard.ids
    assert piece["options"]["top"] == 1 and piece["version"]
    short = handle_file(str(demo_archive.FOLDER / "garden_tea_a.ogg"))
    document = client.predict(short, start_s=0.5, length_s=1, api_name="/archive_search")
    assert document["duration_s"] == 1, "of a short recording, too"


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"start_s": 99}, "start_s is 99"), ({"length_s": -1}, "length_s is -1"), ({"length_s": 31}, "30 or less"),
     ({}, "use a length_s of 30 or less")],
)  # fmt: skip
def test_archive_search_of_a_part_that_cannot_be_is_one_readable_sentence(client, speech, tmp_path, asked, said):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile(speech, 11), 16_000)
    with pytest.raises(AppError, match=said):
        client.predict(handle_file(str(path)), **asked, api_name="/archive_search")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "record or upload"),
        ({"tokens": "☃"}, "Character 1"),
        ({"tokens": "abc", "mode": "near"}, "whole, contains"),
        ({"tokens": "abc", "method": "morse"}, "keeps pairalign, vq"),
        ({"tokens": "abc", "archive": "../../etc"}, "name of an archive"),
        ({"tokens": "abc", "top": 0}, "1 to 30"),
    ],
)
def test_archive_search_refuses_in_one_readable_sentence(client, options, said):
    with pytest.raises(AppError, match=said):
        client.predict(None, **options, api_name="/archive_search")


def test_archive_info_tells_what_is_there(client):
    document = client.predict(api_name="/archive_info")
    assert document["recordings"] == len(demo_archive.files())
    assert document["methods"]["vq"]["tokens"] > 0 and document["archive"] == "demo"


def test_the_rate_of_a_hit_is_that_of_the_stretch_that_was_found(found):
    hit = next(hit for hit in found.answers["pairalign"].hits if hit.end_s - hit.start_s < 0.9 * hit.string.duration_s)
    (clip,) = [hit_clip(hit)]
    one = replace(found, answers={"pairalign": replace(found.answers["pairalign"], hits=(hit,))})
    page = archive_words.hits_html(one, "pairalign", [clip])
    assert f"{len(hit.string):,} tokens · {len(hit.string) / (hit.end_s - hit.start_s):.1f}/s" in page
