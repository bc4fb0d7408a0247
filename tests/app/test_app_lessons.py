"""Lessons: answers come from the model that is loaded, and say so."""

import gradio as gr
import numpy as np
import pytest

from app import answers, parts
from app.answers import Answer, Clip, answer, best_stretch
from app.archives import Archives
from app.lessons import LESSONS, lesson
from app.tabs import sweep, views
from app.tabs.learn import answer_html, question_html
from app.trajectories import SweepSettings, sweep_one
from app.view_settings import OWN, PRESETS, ViewSettings, preset_name
from pairalign.errors import PairAlignError
from tests.app.test_app_tokens import Tree

ENTRIES = parts.read_examples()


@pytest.mark.parametrize("name", [one.name for one in LESSONS])
def test_every_lesson_has_an_answer_with_numbers_and_clips_that_lie_in_its_sound(services, name):
    told = answer(services, name, ENTRIES)
    assert 0 <= told.right < len(lesson(name).guesses)
    assert any(char.isdigit() for char in " ".join(told.sentences))
    assert all(len(row) == len(told.columns) for row in told.rows)
    length_s = len(told.samples()) / 16_000
    assert all(0 <= start < end <= length_s for start, end in told.spans_s())


def test_numbers_are_those_of_the_loaded_model(services):
    told = answer(services, "repeat", ENTRIES)
    path = next(entry["file"] for entry in ENTRIES if entry["file"].endswith("harbour_a.ogg"))
    tokenizer = services.tokenizer()
    counts = [str(len(tokenizer.tokenize(path, method))) for method in ("vq_raw", "vq", "pairalign")]
    assert [row[1] for row in told.rows] == counts
    repeats = 1 - int(counts[1]) / int(counts[0])
    assert told.right == (0 if repeats < 0.2 else 1 if repeats <= 0.6 else 2)


def test_an_unknown_lesson_or_a_missing_recording_is_said_plainly(services):
    with pytest.raises(ValueError, match="no lesson 'x'"):
        answer(services, "x", ENTRIES)
    with pytest.raises(ValueError, match=r"harbour_a\.ogg"):
        answer(services, "repeat", [])
    for name in ("slide", "meaning"):
        with pytest.raises(PairAlignError, match="missing"):
            answer(services, name, [])
    without = [entry for entry in ENTRIES if not entry["file"].endswith("garden_last.ogg")]
    for name in ("word", "find"):
        with pytest.raises(PairAlignError, match=r"garden_last\.ogg, which is missing"):
            answer(services, name, without)


def test_a_bug_in_a_lesson_is_not_taken_for_a_missing_recording(services, monkeypatch):
    def broken(tokenizer, examples):
        return {"pairalign": 1}["viterbi"]

    monkeypatch.setitem(answers.ANSWERS, "repeat", broken)
    with pytest.raises(KeyError):
        answer(services, "repeat", ENTRIES)


def test_the_lesson_slides_the_window_that_the_sweep_tab_slides(services):
    settings = lesson("slide").settings
    chosen = SweepSettings(settings["kind"], settings["stop"], settings["step"], settings["start"])
    example = next(entry["file"] for entry in ENTRIES if entry["file"].endswith(lesson("slide").example))
    swept = sweep_one(services, example, chosen)
    assert f"A window of {swept.window_s:g} seconds slides {settings['stop']} ms" in lesson("slide").question
    explained = 100 * swept.trajectories["vq"].content_floor[-1]
    assert f"explains {explained:.1f} %" in answer(services, "slide", ENTRIES).sentences[0]


@pytest.mark.parametrize("one", [one for one in LESSONS if one.settings], ids=lambda one: one.name)
def test_try_it_sets_only_controls_that_its_tab_has(services, one):
    with gr.Blocks():
        audio = gr.Audio()
        archives = Archives(services)
        controls = {"views": views.build(services, audio), "sweep": sweep.build(services, audio, archives)}
    assert set(one.settings) <= set(controls[one.tab])


def test_try_it_leaves_no_setting_of_before_in_the_views(services):
    settings = lesson("noise").settings
    assert {name[:-2] for name in settings if name.endswith("_b")} == {"preset", *ViewSettings().to_dict()}
    assert settings["preset_a"] == "Clean" and settings["warp_a"] == 1
    assert settings["preset_b"] == OWN and (settings["noise_b"], settings["snr_db_b"]) == ("white", 10)
    assert all(preset_name(view) == name for name, view in PRESETS.items())


def test_the_best_stretch_is_the_planted_one(make_string):
    a = make_string(20, ids=(*range(40, 54), 1, 2, 3, 4, 5, 6))
    b = make_string(16, ids=(*range(80, 84), 1, 2, 9, 4, 5, 6, *range(90, 96)))
    n, m, i, j, edits = best_stretch(a, b)
    assert (n, m, edits) == (6, 6, 1)
    assert a.ids[i : i + n] == (1, 2, 3, 4, 5, 6) and b.ids[j : j + m] == (1, 2, 9, 4, 5, 6)


def test_stretches_of_strings_shorter_than_a_stretch_are_the_whole_strings(make_string):
    n, m, i, j, _ = best_stretch(make_string(3), make_string(8))
    assert (n, i) == (3, 0) and 0 <= j <= 8 - m


@pytest.mark.parametrize(("guessed", "said"), [(None, "The model says"), (1, "As you expected"), (0, "You expected")])
def test_the_answer_is_set_beside_the_guess(guessed, said):
    clips = (Clip("one <b>", np.zeros(1600, np.float32)), Clip("two", np.zeros(800, np.float32)))
    told = Answer(1, ("It is so & so.",), ("What", "Number"), (("a", "1"),), clips)
    tree = Tree(answer_html(LESSONS[0], told, guessed))
    assert said in tree.text and LESSONS[0].guesses[1] in tree.text and "so & so" in tree.text
    assert [chip["aria-label"] for chip in tree.named("pa-clip")] == ["play one <b>", "play two"]
    assert told.spans_s() == [(0.0, 0.1), (pytest.approx(0.1 + answers.PAUSE_S), pytest.approx(0.15 + answers.PAUSE_S))]


def test_lessons_open_tabs_and_recordings_that_exist():
    files = {entry["file"].rsplit("/", 1)[-1] for entry in ENTRIES}
    assert len(LESSONS) == 6 and len({one.name for one in LESSONS}) == 6
    for one in LESSONS:
        assert one.example in files and one.tab in ("tokenize", "views", "sweep", "compare")
        assert one.title in Tree(question_html(one)).text
