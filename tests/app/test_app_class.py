"""A class is recorded: takes, mistakes, the same word by other speakers."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import soundfile

from app import class_search, train_figures, train_words
from app.class_recordings import ClassRecordings
from app.services import Services
from app.training_runs import TrainingRuns
from pairalign.checkpoint import atomic_write_json
from pairalign.training.finetune import finetune, new_run
from pairalign.training.finetune_settings import FinetuneSettings
from pairalign.training.result import TOLD
from tests.conftest import babble

pytestmark = pytest.mark.usefixtures("fresh_home")


@pytest.fixture
def spoken(tmp_path: Path) -> list[str]:
    paths = []
    for k in range(4):
        paths.append(str(tmp_path / f"take{k}.wav"))
        soundfile.write(paths[-1], babble(1.2, seed=k), 16_000)
    return paths


def test_a_class_is_recorded_line_by_line(spoken: list[str]):
    classes = ClassRecordings()
    made = classes.create("year-7", " harbour \n\ngarden\nharbour\n")
    assert made.prompts == ("harbour", "garden") and classes.names() == ["year-7"]
    found = classes.save_take("year-7", "ann", "harbour", spoken[0])
    assert found.next_prompt("ann", "harbour") == "garden" and found.next_prompt("ben") == "harbour"
    classes.save_take("year-7", "ann", "garden", spoken[1])
    found = classes.save_take("year-7", "ben", "harbour", spoken[2])
    assert found.speakers == ["ann", "ben"] and found.next_prompt("ann") is None
    again = classes.save_take("year-7", "ann", "harbour", spoken[3])
    assert len(again.takes) == 3, "a new take replaces the old one"
    folder = classes.folder("year-7")
    rows = (folder / "manifest.csv").read_text().splitlines()
    assert rows[0] == "path,speaker,transcript,duration_s" and len(rows) == 4
    with zipfile.ZipFile(classes.bundle("year-7")) as archive:
        assert len(archive.namelist()) == 4
    fewer = classes.delete_take("year-7", "ben", "harbour")
    assert fewer.speakers == ["ann"] and len(list(folder.glob("*.wav"))) == 2
    assert classes.change_prompts("year-7", "winter").prompts == ("winter",)
    classes.delete("year-7")
    assert classes.names() == []


def test_speakers_that_differ_by_case_alone_keep_their_own_recordings(spoken: list[str]):
    classes = ClassRecordings()
    classes.create("c", "harbour\ncaf\u00e9\ncafe\u0301")
    assert classes.load("c").prompts == ("harbour", "caf\u00e9"), "one word, spelled in two ways"
    for speaker, path in zip(("Ann", "ann", "ANN"), spoken, strict=False):
        found = classes.save_take("c", speaker, "harbour", path)
    assert len({take.file.casefold() for take in found.takes}) == 3
    for name in ("C", "c"):
        with pytest.raises(ValueError, match="already a class 'c'"):
            classes.create(name, "x")
    for speaker in ("con", "aux.wav", "nul", "ann.", "ann ", "COM1"):
        with pytest.raises(ValueError, match="name of a (speaker|device)"):
            classes.save_take("c", speaker, "harbour", spoken[0])


def test_takes_of_an_earlier_version_are_read_replaced_and_deleted(spoken: list[str]):
    classes = ClassRecordings()
    classes.create("c", "harbour")
    classes.save_take("c", "Ann", "harbour", spoken[0])
    folder = classes.folder("c")
    listed = json.loads((folder / "class.json").read_text())
    for k, speaker in enumerate(("Ann", "ann")):
        soundfile.write(folder / f"{speaker}_00ff.wav", babble(1.0, seed=k), 16_000)
    (folder / classes.load("c").takes[0].file).unlink()
    take = listed["takes"][0]
    listed["takes"] = [{**take, "speaker": speaker, "file": f"{speaker}_00ff.wav"} for speaker in ("Ann", "ann")]
    (folder / "class.json").write_text(json.dumps(listed))
    assert classes.load("c").speakers == ["Ann", "ann"]
    replaced = classes.save_take("c", "Ann", "harbour", spoken[1])
    assert len(replaced.takes) == 2 and (folder / "ann_00ff.wav").is_file(), "the other's may be the same file"
    assert classes.delete_take("c", "ann", "harbour").speakers == ["Ann"] and not (folder / "ann_00ff.wav").exists()


def test_mistakes_while_recording_are_told(spoken: list[str], recordings):
    classes = ClassRecordings()
    classes.create("c", "harbour")
    for act, said in (
        (lambda: classes.create("c", "x"), "already a class"),
        (lambda: classes.create("d", " \n"), "list is empty"),
        (lambda: classes.create("d", "x" * 201), "201 characters"),
        (lambda: classes.create("d", "\n".join(map(str, range(201)))), "too many"),
        (lambda: classes.save_take("c", "", "harbour", spoken[0]), "name of a speaker"),
        (lambda: classes.save_take("c", "../ann", "harbour", spoken[0]), "name of a speaker"),
        (lambda: classes.save_take("c", "ann", "garden", spoken[0]), "not on the list"),
        (lambda: classes.save_take("c", "ann", "harbour", None), "no recording"),
        (lambda: classes.save_take("c", "ann", "harbour", str(recordings["bad.wav"])), "bad.wav"),
        (lambda: classes.delete_take("c", "ann", "harbour"), "no take"),
        (lambda: classes.load("none"), "no class"),
        (lambda: classes.bundle("c"), "Nothing is recorded"),
    ):
        with pytest.raises(ValueError, match=said):
            act()


def test_a_word_is_searched_in_other_mouths(spoken: list[str], services: Services):
    classes = ClassRecordings()
    classes.create("c", "harbour\ngarden")
    found = classes.save_take("c", "ann", "harbour", spoken[0])
    with pytest.raises(ValueError, match="two speakers"):
        class_search.search_class(services, found, classes.folder("c"), lambda done: None)
    classes.save_take("c", "ben", "harbour", spoken[0])  # the very same sound: its string must be found
    found = classes.save_take("c", "ben", "garden", spoken[1])
    results = class_search.search_class(services, found, classes.folder("c"), lambda done: None)
    assert [(one.query.speaker, one.rank, one.of) for one in results] == [("ann", 1.0, 2), ("ben", 1.0, 1)]
    shown = class_search.found_html(results)
    assert "2 of 2 takes" in shown and "✓ harbour" in shown


@pytest.mark.parametrize(("words", "speakers", "lasts_s"), [(5, 3, 1.2), (1, 8, 2.1)])
def test_a_small_class_is_fine_tuned_to_the_end_and_what_cannot_be_measured_has_a_reason(
    words: int, speakers: int, lasts_s: float, tmp_path: Path, tiny_checkpoint: Path
):
    classes, take = ClassRecordings(), tmp_path / "take.wav"
    classes.create("c", "\n".join(f"word {w}" for w in range(words)))
    for s in range(speakers):
        for w in range(words):
            soundfile.write(take, babble(lasts_s, seed=100 * s + w), 16_000)
            classes.save_take("c", f"speaker{s}", f"word {w}", str(take))
    chosen = FinetuneSettings(
        "mine", str(classes.folder("c")), str(tiny_checkpoint), batch=4, device="cpu",
        overrides=("autocast=false", "max_s=1.0", "consensus_views=1"),
    )  # fmt: skip
    folder = new_run(chosen)
    atomic_write_json(folder / "config.json", chosen.config(4, 10.0).to_dict())  # so few steps
    status = finetune(folder)
    assert (status.state, status.checkpoint) == ("done", "mine"), status
    runs = TrainingRuns()
    look = runs.look("mine")
    missing = {name: one for name, one in look.report["after"].items() if one["value"] is None}
    assert all(one["reason"] and one["low"] is None for one in missing.values())
    alone = {"separation", "ned_random", "condition_gain", "recall_1", "other_words"} if words == 1 else {"same_words"}
    assert missing.keys() == {"shift_50ms", *alone}
    with zipfile.ZipFile(runs.bundle("mine")) as archive:
        card = archive.read("MODEL_CARD.md").decode()
    page = train_words.before_after_html(look) + train_words.status_html(look)
    page += train_figures.curves_table_html(look.log) + train_figures.curves_figure(look.log).to_json()
    for name in missing:
        assert f"| {TOLD[name]} | – | – |" in card and f"{TOLD[name]}<br><small>–: " in page.replace("&#x27;", "'")
    told = [entry for entry in look.log if entry["event"] == "validation"][-1]
    assert (
        (told["separation"] is None)
        == (words == 1)
        == ("nothing unrelated" in told.get("reasons", {}).get("separation", ""))
    )
    assert ("cannot be measured (–): all that is measured says the same" in status.message) == (words == 1)
