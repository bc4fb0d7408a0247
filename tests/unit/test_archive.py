"""Recordings go in, and are found again: ingest and search through the public `Archive`."""

import shutil
import wave as wavefile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pairalign import Archive, ArchiveError
from pairalign.archive.ingest import audio_files
from pairalign.archive.window import cut
from pairalign.audio import write_audio
from pairalign.strings import edit_distance
from tests.conftest import babble

DURATIONS_S = (1.0, 2.2, 3.3, 4.0, 7.5, 2.9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Recordings of several lengths, one below another folder, and two files that are none."""
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "more").mkdir()
    for k, duration_s in enumerate(DURATIONS_S):
        write_audio(folder / ("more" if k == 2 else ".") / f"r{k}.wav", babble(duration_s, seed=k))
    (folder / "text.wav").write_text("not audio")
    (folder / "silent.wav").write_bytes(silence())
    return folder


def silence() -> bytes:
    import io

    memory = io.BytesIO()
    with wavefile.open(memory, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"\0" * 32_000)
    return memory.getvalue()


@pytest.fixture(scope="module")
def archive(folder, tmp_path_factory, tiny_tokenizer):
    archive = Archive.open(tmp_path_factory.mktemp("archive") / "talks.db", tiny_tokenizer)
    archive.report = archive.add_folder(folder)
    return archive


def strings_of(archive: Archive, method: str = "pairalign") -> dict[str, tuple]:
    return {r.path.name: archive.string(r.id, method).ids for r in archive.recordings()}


class TestIngest:
    def test_what_is_reported(self, archive):
        report = archive.report
        assert report.recordings == len(DURATIONS_S) and report.known == report.replaced == 0
        assert report.seconds == pytest.approx(sum(DURATIONS_S), abs=0.01)
        assert report.windows == 1 + 1 + 1 + 2 + 3 + 1
        assert report.tokens == sum(map(len, strings_of(archive).values()))
        assert report.real_time_factor > 0

    def test_bad_files_are_named_with_a_reason(self, archive):
        reasons = {Path(one.path).name: one.reason for one in archive.report.skipped}
        assert set(reasons) == {"text.wav", "silent.wav"}
        assert "silent" in reasons["silent.wav"]
        assert not any(reason.startswith(name) for name, reason in reasons.items())

    @pytest.mark.parametrize("method", ["pairalign", "vq"])
    def test_strings_are_those_of_the_tokenizer(self, archive, tiny_tokenizer, method):
        for recording in archive.recordings():
            expected = tiny_tokenizer.tokenize(recording.path, method=method)
            kept = archive.string(recording.id, method)
            assert kept.ids == expected.ids
            assert np.allclose(kept.spans_s, expected.spans_s, atol=0.005)

    def test_adding_again_adds_nothing(self, archive, folder):
        report = archive.add_folder(folder)
        assert (report.recordings, report.known) == (0, len(DURATIONS_S))
        assert len(archive.recordings()) == len(DURATIONS_S)

    @pytest.mark.parametrize(("workers", "batch"), [(1, 1), (3, 64)])
    def test_workers_and_batches_change_nothing(self, archive, folder, tmp_path, tiny_tokenizer, workers, batch):
        from pairalign.archive.ingest import add_recordings

        other = Archive.open(tmp_path / "other.db", tiny_tokenizer)
        add_recordings(other.store, tiny_tokenizer, audio_files(folder), other.methods, workers, batch)
        for method in other.methods:
            assert strings_of(other, method) == strings_of(archive, method)

    def test_the_same_content_twice_is_one_recording(self, folder, tmp_path, tiny_tokenizer):
        copy = tmp_path / "copies"
        copy.mkdir()
        for name in ("a.wav", "b.wav"):
            shutil.copy(folder / "r0.wav", copy / name)
        with Archive.open(tmp_path / "a.db", tiny_tokenizer) as archive:
            report = archive.add_folder(copy)
        assert (report.recordings, report.known) == (1, 1)

    def test_a_changed_file_is_replaced_and_a_renamed_one_followed(self, folder, tmp_path, tiny_tokenizer):
        copy = tmp_path / "copies"
        copy.mkdir()
        shutil.copy(folder / "r0.wav", copy / "a.wav")
        shutil.copy(folder / "r1.wav", copy / "b.wav")
        archive = Archive.open(tmp_path / "a.db", tiny_tokenizer)
        archive.add_folder(copy)
        shutil.copy(folder / "r3.wav", copy / "a.wav")
        (copy / "b.wav").rename(copy / "c.wav")
        report = archive.add_folder(copy)
        assert (report.recordings, report.replaced, report.known) == (1, 1, 1)
        assert [r.path.name for r in archive.recordings()] == ["a.wav", "c.wav"]
        assert archive.recordings()[0].duration_s == pytest.approx(DURATIONS_S[3])

    def test_progress_counts_up_and_can_end_the_run(self, folder, tmp_path, tiny_tokenizer):
        archive = Archive.open(tmp_path / "a.db", tiny_tokenizer)
        seen = []

        def stop_at_three(progress) -> None:
            seen.append(progress)
            if progress.audio_s > 0:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            archive.add_files(audio_files(folder), progress=stop_at_three)
        assert [p.files_done for p in seen] == sorted(p.files_done for p in seen)
        assert seen[-1].files == len(DURATIONS_S) + 2 and seen[-1].eta_s is not None and seen[-1].rate > 0
        kept = len(archive.recordings())
        assert kept > 0
        report = archive.add_folder(folder)  # the lock is free, and what was kept is not done again
        assert report.known == kept and len(archive.recordings()) == len(DURATIONS_S)

    def test_a_name_that_is_no_text_is_skipped(self, folder, tmp_path, tiny_tokenizer):
        copy = tmp_path / "odd"
        copy.mkdir()
        try:
            shutil.copy(folder / "r0.wav", copy / "odd\udcff.wav")
        except OSError:
            pytest.skip("this file system takes no such name")
        with Archive.open(tmp_path / "a.db", tiny_tokenizer) as archive:
            (skipped,) = archive.add_folder(copy).skipped
        assert "rename it" in skipped.reason

    def test_one_recording_or_a_manifest(self, folder, tmp_path):
        assert audio_files(folder / "r0.wav") == [folder / "r0.wav"]
        manifest = tmp_path / "list.csv"
        manifest.write_text(f"path,split\n{folder / 'r0.wav'},train\n{folder / 'r1.wav'},dev\n")
        assert audio_files(manifest, "dev") == [folder / "r1.wav"]
        with pytest.raises(ValueError, match="no such file or folder"):
            audio_files(tmp_path / "nothing")

    def test_workers_are_counted_from_one(self, archive, folder):
        with pytest.raises(ValueError, match="use 1 or more"):
            archive.add_folder(folder, workers=0)

    def test_without_a_tokenizer_nothing_is_added(self, archive, folder):
        with pytest.raises(ArchiveError, match="without a tokenizer"):
            Archive.open(archive.store.path).add_folder(folder)

    def test_another_model_is_refused(self, archive, fitted_tokenizer):
        fitted_tokenizer.sha256 = "0" * 64
        with pytest.raises(ArchiveError, match="holds strings of checkpoint tiny"):
            Archive.open(archive.store.path, fitted_tokenizer)


class TestSearch:
    def test_a_recording_finds_itself_first(self, archive):
        for recording in archive.recordings():
            if recording.duration_s > 3.4:
                continue
            hits = archive.search(recording.path, top=3)
            assert hits[0].path == recording.path and hits[0].distance == 0 and hits[0].normalized == 0
            assert [hit.distance for hit in hits] == sorted(hit.distance for hit in hits)

    @pytest.mark.parametrize("method", ["pairalign", "vq"])
    def test_whole_is_the_distance_to_every_window(self, archive, tiny_tokenizer, method):
        query = tiny_tokenizer.tokenize(babble(2.5, seed=77), method=method)
        expected = []
        for recording in archive.recordings():
            for window in cut(archive.string(recording.id, method)):
                distance = edit_distance(query.ids, window.ids)
                expected.append((distance, str(recording.path), window.start_s, window.end_s))
        hits = archive.search(query, top=5, method=method)
        assert [(h.distance, str(h.path), h.start_s, h.end_s) for h in hits] == sorted(expected)[:5]

    @pytest.mark.parametrize(("name", "mode"), [("r0.wav", "whole"), ("r2.wav", "whole"), ("r3.wav", "contains")])
    def test_the_mode_fits_the_query_and_each_hit_says_which(self, archive, name, mode):
        (recording,) = archive.recordings(name)
        hits = archive.search(recording.path, top=4)
        assert hits == archive.search(recording.path, top=4, mode=mode) and {hit.mode for hit in hits} == {mode}
        assert hits[0].path == recording.path and not hits[0].missing
        typed = replace(archive.string(recording.id), duration_s=0.0, spans_s=((0.0, 0.0),) * len(hits[0].string))
        assert archive.search(typed, top=1)[0].mode == "contains"

    def test_contains_finds_a_part_and_its_place(self, archive):
        long = archive.recordings("*r4.wav")[0]
        whole = archive.string(long.id, "vq")
        first = next(k for k, (start, _) in enumerate(whole.spans_s) if start > 2.2)
        part = slice(first, first + 40)  # across two windows
        query = replace(whole, ids=whole.ids[part], spans_s=whole.spans_s[part])
        hit = archive.search(query, top=1, mode="contains", method="vq")[0]
        assert hit.recording_id == long.id and hit.distance == 0
        assert hit.string.ids == query.ids
        assert hit.start_s == pytest.approx(query.spans_s[0][0], abs=0.006)
        assert hit.end_s == pytest.approx(query.spans_s[-1][1], abs=0.006)

    def test_what_is_added_is_found_and_what_is_removed_is_not(self, folder, tmp_path, tiny_tokenizer):
        archive = Archive.open(tmp_path / "a.db", tiny_tokenizer)
        archive.add_files([folder / "r0.wav"])
        assert archive.search(folder / "r1.wav", top=5)[0].path.name == "r0.wav"
        archive.add_files([folder / "r1.wav"])
        assert archive.search(folder / "r1.wav", top=5)[0].path.name == "r1.wav"
        archive.remove([archive.recordings("*r1.wav")[0].id])
        assert [hit.path.name for hit in archive.search(folder / "r1.wav", top=5)] == ["r0.wav"]

    def test_filters(self, archive, folder):
        only = archive.search(folder / "r0.wav", top=50, recordings="*/more/*")
        assert {hit.path.name for hit in only} == {"r2.wav"}
        lasting = archive.search(folder / "r0.wav", top=50, min_duration_s=2.5, max_duration_s=5.0)
        assert {hit.path.name for hit in lasting} == {"r2.wav", "r3.wav", "r5.wav"}
        assert archive.search(folder / "r0.wav", recordings="nothing*") == []

    def test_a_string_is_enough_without_a_tokenizer(self, archive):
        bare = Archive.open(archive.store.path)
        string = archive.string(archive.recordings()[0].id)
        assert bare.search(string, top=1)[0].distance == 0
        with pytest.raises(ArchiveError, match="without a tokenizer"):
            bare.search("query.wav")

    def test_counts_are_of_all_windows(self, archive, tiny_tokenizer):
        query = tiny_tokenizer.tokenize(babble(2.0, seed=5))
        counts = archive.distance_counts(query)
        assert counts.sum() == archive.report.windows
        assert np.flatnonzero(counts)[0] == archive.search(query, top=1)[0].distance
        assert archive.distance_counts(query, "contains").sum() == len(DURATIONS_S)

    def test_info(self, archive):
        info = archive.info()
        assert info.recordings == len(DURATIONS_S) and info.seconds == pytest.approx(sum(DURATIONS_S), abs=0.01)
        assert info.methods["pairalign"].tokens == archive.report.tokens
        assert info.methods["vq"].used == len({i for ids in strings_of(archive, "vq").values() for i in ids})

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"mode": "nearby"}, "use one of whole, contains"),
            ({"method": "bpe"}, "keeps no 'bpe' strings"),
            ({"top": 0}, "at least 1"),
        ],
    )
    def test_options_that_cannot_be_served(self, archive, folder, change, words):
        with pytest.raises(ValueError, match=words):
            archive.search(folder / "r0.wav", **change)

    def test_queries_that_cannot_be_served(self, archive, folder, tiny_tokenizer, tmp_path):
        string = tiny_tokenizer.tokenize(folder / "r0.wav")
        with pytest.raises(ArchiveError, match="'contains'"):
            archive.search(folder / "r4.wav", mode="whole")
        with pytest.raises(ArchiveError, match="no tokens"):
            archive.search(replace(string, ids=(), spans_s=(), log_probs=()))
        with pytest.raises(ArchiveError, match="holds strings of checkpoint"):
            archive.search(replace(string, model_sha256="0" * 64))
        with pytest.raises(ArchiveError, match="Use one method"):
            archive.search(string, method="vq")
        with pytest.raises(ArchiveError, match="is empty"):
            Archive.open(tmp_path / "empty.db", tiny_tokenizer).search(string)
