"""ZeroGPU: everything that the page computes fits through the pickles of a slot, and comes out as it would without."""

from __future__ import annotations

import pickle
from pathlib import Path

import gradio as gr
import pytest
from zero_gpu.spaces import LONGEST_S, pickled

from app import answers, attention, parts, rewriting, scoreboard, trajectories, view_pair, zero_gpu
from app.live import LiveStreams
from app.recordings import Source
from app.services import Services
from app.trajectories import SweepSettings
from app.zero_gpu import Slots


class Slotted:
    """Stands in for `spaces.GPU`: the same pickles, without the fork; remembers what it was asked for."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def __call__(self, task, duration):
        assert 0 < duration <= LONGEST_S

        def slot(*args):
            self.ran.append(args[0].__name__)
            return pickle.loads(pickled(task(*pickle.loads(pickled(args)))))

        return slot


@pytest.fixture
def lend():
    return Slotted()


@pytest.fixture
def slotted(tiny_tokenizer, tiny_checkpoint, lend, monkeypatch) -> Services:
    """Services that compute in slots, and must not compute here."""
    made = Services(str(tiny_checkpoint), device="cpu", public=True, slots=Slots(tiny_tokenizer, lend))
    monkeypatch.setattr(made, "model", lambda: pytest.fail("this was computed outside a slot"))
    return made


def test_every_tab_gets_from_a_slot_what_it_gets_without(slotted, services, recordings, lend):
    path, entries = recordings["speech.wav"], parts.read_examples()
    shipped = [Source(entry["file"], entry["name"], entry["text"]) for entry in entries[:2]]
    sweep, views = SweepSettings(stop=20, step=10, methods=("pairalign", "vq")), ({}, {"speed": 1.1})

    def everything(one: Services) -> list[object]:
        found = one.tokenize(path, ("pairalign", "vq"))
        pair = view_pair.compare(one, path, *views)
        document = rewriting.rewrite(one, found, rewriting.options_of(12, 1, 0, 0)).to_document()
        return [
            found.to_document(),
            {key: value for key, value in document.items() if key != "model"},
            attention.read_attention(one, found).weights.round(4).tolist(),
            pair.to_document(),
            view_pair.cross_likelihood(one, pair, entries[2:3]).values.round(4).tolist(),
            trajectories.sweep_one(one, path, sweep).to_document(),
            trajectories.sweep_average(one, shipped, sweep).curves["vq"].mean,
            scoreboard.compare(one, shipped, ["vq"]).to_document(),
            answers.answer(one, "repeat", entries).sentences,
        ]

    assert everything(slotted) == everything(services)
    assert len(lend.ran) == 9, lend.ran


def test_lessons_go_through_slots(slotted, services):
    entries = parts.read_examples()
    for name in ("slide", "word"):
        assert answers.answer(slotted, name, entries).rows == answers.answer(services, name, entries).rows


def test_a_users_mistake_in_a_slot_keeps_its_sentence(slotted, recordings):
    with pytest.raises(ValueError, match="no baseline 'bpe'"):
        view_pair.compare(slotted, recordings["speech.wav"], {}, {}, "bpe")


def test_live_streams_compute_in_this_process(tiny_checkpoint, tiny_tokenizer, lend):
    live = LiveStreams(Services(str(tiny_checkpoint), "cpu", public=True, slots=Slots(tiny_tokenizer, lend)))
    assert live.finish(live.open(16_000)["stream"])["committed"] == [] and lend.ran == []


def test_why_there_is_no_slot_is_told_as_it_is():
    def refused():
        raise gr.Error("You have exceeded your ZeroGPU quota")

    with pytest.raises(gr.Error, match="exceeded your ZeroGPU quota"):
        parts.readably(refused)


@pytest.mark.parametrize(("value", "here"), [("true", True), ("1", True), ("false", False), ("", False)])
def test_zero_gpu_is_recognised_as_the_package_does_it(value, here, monkeypatch):
    monkeypatch.setenv("SPACES_ZERO_GPU", value)
    assert zero_gpu.is_here() is here


def test_without_the_package_one_is_told_which(monkeypatch, tiny_checkpoint: Path):
    monkeypatch.setitem(__import__("sys").modules, "spaces", None)
    with pytest.raises(ValueError, match="pip install spaces"):
        zero_gpu.open_slots(str(tiny_checkpoint))
