"""Open pages side by side: each with its own checkpoint and its own runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import gradio as gr
import pytest
from gradio.route_utils import delete_files_created_by_app
from pages import Page

from app import parts, view_pair
from app.archives import Archives
from app.class_recordings import ClassRecordings
from app.live import LiveStreams
from app.page_models import KEPT_LOADED
from app.services import Services
from pairalign.checkpoint import own_checkpoints, read_checkpoint, save_checkpoint


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Makes a checkpoint of one's own from the shipped tiny one, as if it had been fine-tuned from it."""
    monkeypatch.setenv("PAIRALIGN_HOME", str(tmp_path / "home"))
    weights, sidecar = read_checkpoint("tiny")
    own = tmp_path / "home" / "checkpoints"

    def make(name: str = "my-voice", parent: str = "tiny", shift: float = 0.25) -> str:
        changed = {key: value + shift if key.endswith("bias") else value for key, value in weights.items()}
        recipe = {**sidecar["recipe"], "started_from": {"name": parent, "sha256": sidecar["sha256"]}}
        save_checkpoint(own / f"{name}.safetensors", changed, {**sidecar, "name": name, "recipe": recipe})
        return name

    return make


def own_file(name: str) -> Path:
    return own_checkpoints() / f"{name}.safetensors"


class TestCheckpointOfAPage:
    def test_is_its_own_and_other_pages_keep_theirs(self, tiny_checkpoint: Path, recordings: dict[str, Path]) -> None:
        services = Services(str(tiny_checkpoint), device="cpu")
        before = services.of("a").tokenize(recordings["speech.wav"])
        services.of("a").use("tiny")
        assert services.of("a").model_info().name == services.of("a").checkpoint == "tiny"
        assert services.of("b").model_info().sha256 == before.model.sha256 == services.model_info().sha256
        written = {page: services.of(page).tokenize(recordings["speech.wav"]) for page in "ab"}
        assert written["b"].strings["pairalign"].ids == before.strings["pairalign"].ids
        assert written["a"].strings["pairalign"].model_sha256 != before.strings["pairalign"].model_sha256
        with pytest.raises(ValueError, match="no checkpoint named"):
            services.of("a").use("gone")
        assert services.of("a").checkpoint == "tiny"

    def test_there_and_back_is_where_it_was(self, tiny_checkpoint: Path, recordings: dict[str, Path]) -> None:
        services = Services(str(tiny_checkpoint), device="cpu")
        result = services.of("a").tokenize(recordings["speech.wav"])
        services.of("a").use("tiny")
        with pytest.raises(ValueError, match=r"made with the checkpoint .* now uses tiny: run it again, or choose"):
            services.of("a").opening_string(result)
        services.of("a").use(str(tiny_checkpoint))
        assert services.of("a").opening_string(result) is result.strings["pairalign"]

    def test_what_runs_ends_with_the_weights_it_began_with(self, tiny_checkpoint: Path) -> None:
        services = Services(str(tiny_checkpoint), device="cpu")
        running = services.of("a")
        services.of("a").use("tiny")
        assert running.model_info().sha256 == services.model_info().sha256
        assert services.of("a").model_info().name == "tiny"

    def test_pages_with_one_checkpoint_share_its_weights_and_few_are_kept(
        self, tiny_checkpoint: Path, copied: Callable[..., str]
    ) -> None:
        services = Services(str(tiny_checkpoint), device="cpu")
        for page in "ab":
            services.of(page).use("tiny")
        assert services.of("a").tokenizer() is services.of("b").tokenizer()
        first = services.of("a").tokenizer()
        for k in range(KEPT_LOADED):
            services.of("c").use(copied(f"voice-{k}", shift=0.1 * k))
        assert services.of("a").tokenizer() is not first, "it was let go of, and is loaded again"
        assert services.of("a").tokenizer().sha256 == first.sha256
        assert services.of("nobody").tokenizer() is services.tokenizer(), "that of the start stays"

    def test_no_part_of_an_earlier_result_of_another_model_is_taken_over(
        self, tiny_checkpoint: Path, recordings: dict[str, Path]
    ) -> None:
        services = Services(str(tiny_checkpoint), device="cpu")
        before = view_pair.compare(services.of("a"), recordings["speech.wav"])
        services.of("a").use("tiny")
        after = view_pair.compare(services.of("a"), recordings["speech.wav"], before=before)
        assert {after.a.string.model_sha256, after.b.string.model_sha256} == {services.of("a").model_info().sha256}
        with pytest.raises(ValueError, match="run it again"):
            view_pair.cross_likelihood(services.of("a"), before, [])

    def test_of_a_deleted_run_is_replaced_by_its_parent_and_the_page_says_so(
        self, tiny_checkpoint: Path, copied: Callable[..., str], recordings: dict[str, Path]
    ) -> None:
        services = Services(str(tiny_checkpoint), device="cpu")
        services.of("a").use(copied())
        assert services.of("a").news() == ""
        running = services.of("a")
        assert running.tokenizer().name == "my-voice"
        own_file("my-voice").unlink()
        assert running.tokenize(recordings["speech.wav"]).model.name == "my-voice", "what runs ends as it began"
        assert services.of("a").model_info().name == "tiny"
        assert services.of("a").news() == "The checkpoint my-voice was deleted; this page now uses tiny."
        assert services.of("a").news() == "", "it is said once"

    def test_without_a_parent_it_is_the_one_of_the_start(self, copied: Callable[..., str]) -> None:
        services = Services("tiny", device="cpu")
        services.of("a").use(copied(parent="gone-too"))
        own_file("my-voice").unlink()
        assert services.of("a").checkpoint == "tiny" and "my-voice was deleted" in services.of("a").news()

    def test_trained_anew_under_its_name_is_another_model(
        self, tiny_checkpoint: Path, copied: Callable[..., str]
    ) -> None:
        services = Services(str(tiny_checkpoint), device="cpu")
        services.of("a").use(copied())
        before = services.of("a").model_info().sha256
        copied(shift=0.5)
        assert services.of("a").model_info().sha256 != before
        assert services.of("a").news() == ""

    def test_archives_and_live_streams_use_it_too(
        self, tiny_checkpoint: Path, fresh_home: Path, recordings: dict[str, Path]
    ) -> None:
        services = Services(str(tiny_checkpoint), device="cpu")
        services.of("a").use("tiny")
        archives, live = Archives(services), LiveStreams(services)
        for page in "ab":
            own = services.of(page)
            archives.of(own).create(page)
            archives.of(own).add(page, [str(recordings["speech.wav"])])
            model = archives.of(own).open(page).store.model()
            assert model is not None and model.sha256 == own.model_info().sha256
            assert live.open(16_000, page)["model"] == own.model_info().sha256

    def test_of_a_left_page_is_kept_for_a_while(self, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        services = Services(str(tiny_checkpoint), device="cpu")
        for page in "ab":
            services.of(page).use("tiny")
        services.of("a").leave()
        assert services.of("a").checkpoint == "tiny", "the connection may have been lost for a moment only"
        services.of("a").leave()
        monkeypatch.setattr("app.page_models.LEFT_S", -1.0)
        services.of("b").leave()
        assert services.of("a").checkpoint == str(tiny_checkpoint)


def test_two_open_pages_get_their_own_headers_and_strings(
    open_page: Callable[[], Page], recordings: dict[str, Path], services: Services
) -> None:
    one, other = open_page(), open_page()
    header, sha, choice, _ = one.run(one.event("pa-checkpoint"), "tiny")
    assert ">tiny<" in header and choice["value"] == "tiny"
    start = one.event("pa-tokenize")
    results = {}
    for client in (one, other):
        shown = client.run(start, client.upload(recordings["speech.wav"]), ["pairalign", "vq"])
        results[client] = next(value for value in shown if isinstance(value, dict) and "files" in value)
        assert f'data-model="{results[client]["model_sha256"]}"' in shown[2], "the page's script sees whose it is"
    own = services.tokenize(recordings["speech.wav"]).to_document()
    assert results[one]["model_sha256"] == sha != own["model_sha256"]
    assert results[other]["files"] == own["files"]
    header, again, *_ = one.run(one.event("pa-checkpoint"), services.given)
    assert again == own["model_sha256"] and again in header and sha not in header


class TestAfterAnHour:
    """What Gradio removes from the uploads once it is an hour old, removed at once."""

    @pytest.fixture
    def page(self, open_page: Callable[[], Page]) -> Page:
        return open_page()

    def events(self, page: Page, blocks: gr.Blocks) -> list[tuple[int, int]]:
        """Events that choose an example, and how many there are to choose from."""
        datasets = [one for one in page.config["components"] if one["type"] == "dataset"]
        clicks = {one["targets"][0][0]: one["id"] for one in page.config["dependencies"] if one["targets"]}
        return [(clicks[one["id"]], len(one["props"]["samples"])) for one in datasets]

    def test_every_example_can_still_be_chosen_and_run(self, page: Page, app_blocks: gr.Blocks) -> None:
        delete_files_created_by_app(app_blocks, age=-1)
        chosen = [page.run(event, k) for event, count in self.events(page, app_blocks) for k in range(count)]
        files = {update["value"]["path"]: update["value"] for updates in chosen for update in updates}
        assert len(files) == len(parts.read_examples()) and len(chosen) > 2 * len(files), "of Tokenize and of Views"
        for value in files.values():
            assert page.get(value["url"]) == Path(value["path"]).read_bytes()
        delete_files_created_by_app(app_blocks, age=-1)
        shown = page.run(page.event("pa-tokenize"), next(iter(files.values())), ["vq"])
        assert any("data-model" in str(value) for value in shown)

    def test_an_upload_that_has_expired_is_asked_for_again(
        self, page: Page, app_blocks: gr.Blocks, recordings: dict[str, Path]
    ) -> None:
        upload = page.upload(recordings["speech.wav"])
        delete_files_created_by_app(app_blocks, age=-1)
        for start, inputs in (("pa-tokenize", (["vq"],)), ("pa-compare", (["vq"], False, None))):
            with pytest.raises(AssertionError, match=r"speech.wav is no longer on the server.* upload it again"):
                page.run(page.event(start), upload, *inputs)

    def test_an_upload_in_use_does_not_expire(
        self, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recordings: dict[str, Path]
    ) -> None:
        monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
        (tmp_path / "uploads").mkdir()
        own, upload = tmp_path / "own.wav", tmp_path / "uploads" / "speech.wav"
        for path in (own, upload):
            path.write_bytes(recordings["speech.wav"].read_bytes())
            os.utime(path, (1, 1))
            services.read(path)
        assert upload.stat().st_mtime > 1, "it counts as new"
        assert own.stat().st_mtime == 1, "files of one's own are left alone"


@pytest.mark.parametrize("what", ["archive", "class"])
def test_an_expired_upload_is_named_wherever_it_is_used(what: str, own: Archives, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.wav")
    classes = ClassRecordings()
    classes.create("words", "one")
    act = {
        "archive": lambda: own.add("mine", [gone]),
        "class": lambda: classes.save_take("words", "ann", "one", gone),
    }[what]
    with pytest.raises(ValueError, match="gone.wav is no longer on the server.* upload it again"):
        act()


def test_a_closed_page_lets_go_of_its_live_stream(open_page: Callable[[], Page], app_blocks: gr.Blocks) -> None:
    page, other = open_page(), open_page()
    # the page is told by its session alone, as Gradio's own client sends it with every call
    streams = [one.call("open_stream", {"rate_hz": 16_000})["stream"] for one in (page, other)]
    page.close()
    deadline = time.monotonic() + 30
    while "error" not in (answer := other.call("feed", {"stream": streams[0], "pcm": ""})):
        assert time.monotonic() < deadline, "it is still there"
    assert "no longer has this stream" in answer["error"]
    assert "error" not in other.call("feed", {"stream": streams[1], "pcm": ""})
