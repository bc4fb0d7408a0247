"""The short version of scripts/fuzz_audio.py, and one test for everything that its long runs have found."""

import json
import sqlite3
import struct
from contextlib import closing
from itertools import chain
from random import Random

import numpy as np
import pytest
import soundfile

from pairalign import ArchiveError, AudioError, CheckpointError
from pairalign.archive.archive import Archive
from pairalign.archive.store import Store
from pairalign.audio import read_audio
from pairalign.checkpoint import read_sidecar
from pairalign.excerpt import header_duration_s, read_excerpt
from pairalign.training.corpora import DataError, read_manifest, read_words
from pairalign.training.finetune_settings import SettingsError, read_settings
from pairalign.training.status import read_status
from scripts.fuzz import documents, frame_mutations
from scripts.fuzz.seeds import audio_seeds
from scripts.fuzz_audio import STRUCTURE, audio_cases, document_cases, run
from tests.conftest import babble
from tests.unit.test_archive_store import filled


def test_some_hundred_damaged_files_are_read_or_refused_in_one_line():
    tally = run(chain(audio_cases(250, seed=1), document_cases(50, seed=1)))
    assert tally.findings == {}
    assert {key[-1] for key in tally.counts} == {"read", "refused"}, "decoders and the checks before them are reached"


def test_inputs_follow_from_the_seed_alone():
    once, again, other = (list(audio_cases(30, seed)) for seed in (3, 3, 4))
    assert once == again != other


@pytest.mark.parametrize("kind", ["flac", "opus", "vorbis"])
def test_damage_with_right_checksums_reaches_the_decoder(kind, tmp_path):
    """Otherwise the fuzzer would only ever test the decoder's first check."""
    seed = next(seed for seed in audio_seeds() if seed.container == kind)
    heard = []
    for k in range(30):
        (tmp_path / "a").write_bytes(STRUCTURE[kind](Random(k), seed.data))
        try:
            heard.append(read_audio(tmp_path / "a").tobytes())
        except AudioError:
            continue
    assert len(set(heard)) > 3, "the sound itself has changed"
    assert frame_mutations.flac_frames(seed.data) if kind == "flac" else True


# --- found by fuzzing or while preparing it ---------------------------------------------------------------------------


@pytest.mark.parametrize("at", [106, 300, 900])
def test_seeking_in_an_ogg_file_with_a_damaged_setup_header_crashes_nothing(tmp_path, at):
    """Any changed bit there made libsndfile 1.2.2 end the process, where a hit of a search was to be heard."""
    whole = next(s for s in audio_seeds() if s.container == "vorbis").data
    (tmp_path / "a.ogg").write_bytes(whole)
    assert len(read_excerpt(tmp_path / "a.ogg", 0.1, 0.4)) == 4_800, "undamaged it is read"
    first, setup, *rest = frame_mutations._pages(whole)
    setup = bytearray(setup)
    setup[27 + setup[26] + at] ^= 1
    (tmp_path / "a.ogg").write_bytes(b"".join(map(frame_mutations._checked, (first, bytes(setup), *rest))))
    for times in ((0.1, 0.4), (0.3, 12.0), (5.0, 6.0)):
        try:
            read_excerpt(tmp_path / "a.ogg", *times)
        except AudioError:
            continue


def test_reading_a_small_checkpoint_asks_for_little_memory(tmp_path):
    import tracemalloc

    from pairalign.checkpoint import read_checkpoint

    documents._checkpoint(tmp_path)
    tracemalloc.start()
    read_checkpoint(tmp_path / "mine.safetensors")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6


def wav_with(rate_hz: int, channels: int, frames: int = 4_000) -> bytes:
    body = np.full(frames * channels, 1_000, "<i2").tobytes()
    fields = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * channels * 2 & 0xFFFF_FFFF, channels * 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + len(body)) + b"WAVEfmt " + struct.pack("<I", 16) + fields + b"data" + (
        struct.pack("<I", len(body)) + body
    )  # fmt: skip


@pytest.mark.parametrize(("rate_hz", "channels"), [(1, 1), (4_000_000_000, 1), (16_000, 1_000)])
def test_an_excerpt_obeys_the_limits_of_rate_and_channels(tmp_path, rate_hz, channels):
    (tmp_path / "a.wav").write_bytes(wav_with(rate_hz, channels))
    for look in (header_duration_s, lambda path: read_excerpt(path, 0.0, 10.0)):
        with pytest.raises(AudioError, match=r"a\.wav: .*(sample rate|channels|holds|min allowed|damaged)"):
            look(tmp_path / "a.wav")


def test_an_excerpt_of_samples_that_are_no_numbers_is_refused(tmp_path):
    wave = babble(1.0)
    wave[5_000] = np.nan
    soundfile.write(tmp_path / "a.wav", wave, 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match="NaN"):
        read_excerpt(tmp_path / "a.wav", 0.0, 1.0)
    assert len(read_excerpt(tmp_path / "a.wav", 0.5, 0.6)) == 1_600, "elsewhere it can be heard"


def test_an_excerpt_louder_than_full_scale_is_scaled_down(tmp_path):
    soundfile.write(tmp_path / "a.wav", 5 * babble(1.0), 16_000, subtype="FLOAT")
    assert np.abs(read_excerpt(tmp_path / "a.wav", 0.0, 1.0)).max() <= 1


def test_a_recording_that_does_not_know_its_length_has_no_length_by_its_header(tmp_path):
    soundfile.write(tmp_path / "a.flac", babble(1.0), 16_000)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(data)
    assert header_duration_s(tmp_path / "a.flac") == 0
    assert len(read_excerpt(tmp_path / "a.flac", 0.0, 0.5)) == 8_000


@pytest.mark.parametrize("times", [(float("nan"), 1.0), (0.0, float("inf"))])
def test_an_excerpt_needs_times_that_are_numbers(tmp_path, times):
    soundfile.write(tmp_path / "a.wav", babble(0.5), 16_000)
    with pytest.raises(AudioError, match="two times"):
        read_excerpt(tmp_path / "a.wav", *times)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE windows SET ids = 'text'",
        "UPDATE windows SET edges_cs = 7",
        "UPDATE windows SET ids = x'ffff'",
        "UPDATE windows SET start_s = 9e999",
        "UPDATE recordings SET duration_s = 'long'",
        "UPDATE recordings SET duration_s = 9e999",
        "UPDATE recordings SET path = x'00ff' WHERE id = 1",
        "UPDATE methods SET vocab_size = 'many'",
        "UPDATE meta SET value = 'x' WHERE name = 'revision'",
    ],
)
def test_cells_of_another_type_do_not_break_a_search(tmp_path, change):
    store = filled(tmp_path / "talks.db")
    query = Archive(store, None, ("vq",)).string(store.recordings()[0].id, "vq")
    with closing(sqlite3.connect(store.path)) as db:
        db.execute(change)
        db.commit()
    for ask in (Archive.info, Archive.recordings, lambda archive: archive.search(query, 3, "contains", "vq")):
        try:
            ask(Archive.open(store.path, create=False))
        except ArchiveError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TRIGGER t AFTER UPDATE ON meta BEGIN DELETE FROM recordings; END",
        "ALTER TABLE windows RENAME TO w; CREATE VIEW windows AS SELECT * FROM w",
        "ALTER TABLE meta ADD COLUMN more AS (zeroblob(1000000000))",
        "DROP TABLE windows",
    ],
)
def test_an_archive_with_views_triggers_or_other_tables_is_refused(tmp_path, change):
    filled(tmp_path / "talks.db")
    with closing(sqlite3.connect(tmp_path / "talks.db")) as db:
        db.executescript(change)
    with pytest.raises(ArchiveError, match="its tables are not those of an archive"):
        Store(tmp_path / "talks.db")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("encoder_size", 10**6),
        ("encoder_blocks", 10**9),
        ("codes", 65_536),
        ("encoder_blocks", 64),
        ("adapter_blocks", 64),
        ("decoder_size", 8_192),
        ("decoder_heads", 0),
        ("latent", "16"),
        ("mel_bands", 3),
        ("dropout", 2),
        ("phones", "abc"),
        ("adapter_blocks", True),
    ],
)
def test_a_described_network_that_is_not_that_of_the_weights_takes_no_memory(tmp_path, key, value):
    files = documents._checkpoint(tmp_path)
    sidecar = json.loads(files["mine.json"])
    sidecar["architecture"][key] = value
    (tmp_path / "mine.json").write_text(json.dumps(sidecar))
    from pairalign.model.loading import load_model

    with pytest.raises(CheckpointError, match="do not fit the architecture"):
        load_model(tmp_path / "mine.safetensors")


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    import torch

    from pairalign.checkpoint import read_checkpoint, save_checkpoint
    from pairalign.model.loading import load_model

    documents._checkpoint(tmp_path)
    weights, sidecar = read_checkpoint(tmp_path / "mine.safetensors")
    weights["encoder.norm.weight"] = torch.full_like(weights["encoder.norm.weight"], torch.nan)
    save_checkpoint(tmp_path / "mine.safetensors", weights, sidecar)
    with pytest.raises(CheckpointError, match="NaN"):
        load_model(tmp_path / "mine.safetensors")


def test_a_number_of_five_thousand_digits_is_no_checkpoint(tmp_path):
    documents._checkpoint(tmp_path)
    (tmp_path / "mine.json").write_text('{"schema_version": ' + "9" * 5_000 + "}")
    with pytest.raises(CheckpointError, match="not JSON"):
        read_sidecar(tmp_path / "mine.safetensors")


@pytest.mark.parametrize(
    "wrong", [{"step": "many"}, {"eta_s": "soon"}, {"state": ["done"]}, {"message": None}, {"elapsed_s": float("nan")}]
)
def test_a_status_with_values_of_another_kind_counts_as_none(tmp_path, wrong):
    files = documents._run()
    (tmp_path / "status.json").write_bytes(files["status.json"])
    assert read_status(tmp_path).step == 3
    (tmp_path / "status.json").write_text(json.dumps({**json.loads(files["status.json"]), **wrong}))
    assert read_status(tmp_path) is None


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe", b'{"seed": ' + b"1" * 5_000 + b"}", b"[]"])
def test_settings_that_cannot_be_parsed_are_told(tmp_path, content):
    (tmp_path / "settings.json").write_bytes(content)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_settings(tmp_path)


@pytest.mark.parametrize("cell", ["x" * 300 + ".wav", "a\0.wav", "x" * 140_000])
def test_paths_in_a_manifest_that_no_system_knows_are_told(tmp_path, cell):
    (tmp_path / "m.csv").write_text(f"path\n{cell}\n")
    with pytest.raises(DataError) as caught:
        read_manifest(tmp_path / "m.csv")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1_000


def test_word_times_of_a_link_that_leads_to_itself_are_no_bug(tmp_path):
    soundfile.write(tmp_path / "a.wav", babble(0.5), 16_000)
    (tmp_path / "m.csv").write_text("path\na.wav\n")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "w.csv").write_text("path,start_s,end_s,word\na.wav,0,0.2,yes\nloop/b.wav,0,0.2,no\n")
    assert [word.text for word in read_words(tmp_path / "w.csv", read_manifest(tmp_path / "m.csv"))] == ["yes"]
