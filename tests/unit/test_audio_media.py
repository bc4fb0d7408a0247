"""What phones and browsers record, through FFmpeg in a process of its own: read, or refused in one line."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from pairalign import decode_client
from pairalign.audio import SAMPLE_RATE_HZ, AudioError, AudioLimits, read_audio, read_parts
from pairalign.excerpt import header_duration_s, read_excerpt
from pairalign.sound_file import opened
from tests.unit.test_audio import strongest_hz, tone, wav_bytes

encode = pytest.importorskip("tests.unit.encoders").encode  # needs PyAV


def recording(container, codec, rate_hz=48_000, layout="mono", seconds=2.0, **options):
    return encode(tone(seconds, rate_hz, hz=500), container, codec, rate_hz, layout, **options)


M4A = recording("ipod", "aac", 44_100)
WEBM = recording("webm", "libopus")
KINDS = {
    "m4a, aac": M4A,
    "m4a, aac, stereo": recording("ipod", "aac", 44_100, "stereo"),
    "m4a, alac": recording("ipod", "alac", 44_100),
    "m4a, index first": recording("ipod", "aac", 44_100, movflags="faststart"),
    "mp4, fragments": recording("mp4", "aac", movflags="frag_keyframe+empty_moov"),
    "mp4, video": recording("mp4", "aac", 16_000, video=True),
    "mp4, mp3": recording("mp4", "libmp3lame", 44_100),
    "mov": recording("mov", "aac", 44_100),
    "3gp, amr": recording("3gp", "libopencore_amrnb", 8_000),
    "amr": recording("amr", "libopencore_amrnb", 8_000),
    "aac": recording("adts", "aac", 44_100),
    "webm, opus": WEBM,
    "webm, live": recording("webm", "libopus", live="1"),
    "mka, pcm": recording("matroska", "pcm_s16le", 16_000),
    "caf, pcm": recording("caf", "pcm_s16be", 16_000),
    "caf, ima4": recording("caf", "adpcm_ima_qt", 16_000),
}


@pytest.mark.parametrize("case", KINDS)
def test_every_kind_is_read(case):
    wave = read_audio(KINDS[case])
    assert len(wave) == pytest.approx(2 * SAMPLE_RATE_HZ, abs=1100)  # lossy codecs pad
    assert strongest_hz(wave[2_000:-2_000]) == pytest.approx(500, abs=2)
    assert 0.2 < np.sqrt(np.mean(wave[4_000:-4_000] ** 2)) < 0.38
    assert sum(len(part) for part in read_parts(KINDS[case], 0.7)) == len(wave)
    np.testing.assert_allclose(read_excerpt(KINDS[case], 0.5, 1.0)[200:-200], wave[8_200:15_800], atol=0.02)


@pytest.mark.parametrize("case", KINDS)
def test_the_length_is_known_without_decoding(case):
    """By the header, or by the packets where it does not say: a browser's WebM has no length."""
    assert header_duration_s(KINDS[case]) == pytest.approx(2.0, abs=0.06)


def test_an_excerpt_far_into_a_recording_lies_where_it_should():
    noise = np.random.default_rng(0).normal(0, 0.1, 40 * SAMPLE_RATE_HZ).astype(np.float32)
    for container, codec in (("ipod", "aac"), ("matroska", "libopus")):
        data = encode(noise, container, codec, 16_000)
        wave = read_audio(data)
        heard = read_excerpt(data, 34.5, 35.5)
        shifts = np.correlate(wave[552_000 - 400 : 568_000 + 400], heard[:16_000])
        assert abs(shifts.argmax() - 400) <= 8, "Matroska's clock counts milliseconds"
        assert len(read_excerpt(data, 90.0, 91.0)) == 0


def test_content_decides_not_the_extension(tmp_path):
    for name, data in (("a.wav", M4A), ("b.mp3", WEBM), ("c.m4a", wav_bytes())):
        (tmp_path / name).write_bytes(data)
        assert len(read_audio(tmp_path / name)) > 7_000


FAST = KINDS["m4a, index first"]
REFUSED = {
    "cut, index at the end": (M4A[: len(M4A) // 2], "MP4 or M4A file is cut off"),
    "cut, index first": (FAST[: len(FAST) * 2 // 3], "MP4 or M4A file is cut off"),
    "cut fragments": (KINDS["mp4, fragments"][:-4000], "MP4 or M4A file is cut off"),
    "cut webm": (WEBM[: len(WEBM) // 2], "WebM or Matroska file is cut off"),
    "cut caf": (KINDS["caf, pcm"][:20_000], "Apple CAF file is cut off"),
    "interrupted recorder": (M4A[: M4A.rfind(b"moov") - 4], r"index \(moov\) is missing"),
    "noise in the middle": (M4A[:5000] + np.random.default_rng(0).bytes(4000) + M4A[9000:], "damaged, cut off"),
    "header only": (b"#!AMR\n", "damaged, cut off"),
    "asf header": (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(500), "damaged, cut off"),
    "silence": (encode(np.zeros(32_000, np.float32), "ipod", "alac", 16_000), "is silent"),
    "too short": (recording("ipod", "alac", 16_000, seconds=0.05), "at least 0.1 s"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_line(case, capfd):
    data, words = REFUSED[case]
    for read in (read_audio, lambda data: list(read_parts(data, 0.5))):
        with pytest.raises(AudioError, match=words) as caught:
            read(data)
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_video_without_sound_is_refused():
    data = encode(tone(1.0), "mp4", "aac", 16_000, video=True)
    hidden = data.replace(b"soun", b"data").replace(b"mp4a", b"zzzz")
    with pytest.raises(AudioError, match="holds no sound that can be read"):
        read_audio(hidden)


def test_limits_hold():
    with pytest.raises(AudioError, match="min allowed"):
        read_audio(M4A, AudioLimits(max_duration_s=1.0))
    with pytest.raises(AudioError, match="min allowed"):
        read_audio(KINDS["webm, live"], AudioLimits(max_duration_s=1.0))
    with pytest.raises(AudioError, match="at most"):
        read_audio(M4A, AudioLimits(max_bytes=1000))
    with pytest.raises(AudioError, match="2 channels; allowed: 1 to 1"):
        read_audio(KINDS["m4a, aac, stereo"], AudioLimits(max_channels=1))
    with pytest.raises(AudioError, match="sample rate is 44100 Hz"):
        read_audio(M4A, AudioLimits(max_rate_hz=16_000))


def test_without_pyav_the_message_names_it(tmp_path, monkeypatch):
    (tmp_path / "av.py").write_text("raise ImportError('hidden', name='av')")
    monkeypatch.setattr(decode_client, "_idle", [])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(AudioError, match='pip install "av'):
        read_audio(M4A)
    assert len(read_audio(wav_bytes(kind="MP3", subtype=None))) > 7_000, "MP3 needs no PyAV"


# --- the processes ----------------------------------------------------------------------------------------------------

MP3 = wav_bytes(tone(2.0), kind="MP3", subtype=None)


def test_stderr_is_left_alone_while_mp3_is_decoded(capfd):
    """libsndfile's MP3 decoder prints from C; what other threads print meanwhile must not get lost."""
    damaged = bytearray(MP3)
    damaged[1000::37] = np.random.default_rng(0).bytes(len(damaged[1000::37]))
    stop = threading.Event()

    def decode():
        while not stop.is_set():
            try:
                read_audio(bytes(damaged))
            except AudioError:
                continue

    threads = [threading.Thread(target=decode) for _ in range(2)]
    for thread in threads:
        thread.start()
    for k in range(300):
        os.write(2, b"line %d\n" % k)
        stop.wait(0.001)
    stop.set()
    for thread in threads:
        thread.join()
    assert capfd.readouterr().err.splitlines() == [f"line {k}" for k in range(300)]


@pytest.mark.parametrize("data", [MP3, M4A], ids=["mp3", "ffmpeg"])
def test_a_decoder_that_dies_costs_one_recording(data):
    with pytest.raises(AudioError, match="the decoder crashed on this file"), opened(data, AudioLimits()) as sound:
        sound._decoder._process._popen.kill()
        list(sound.blocks())
    assert len(read_audio(data)) > 30_000, "another process takes its place"
    for process in decode_client._idle:
        process._popen.kill()
        process._popen.wait()
    assert len(read_audio(data)) > 30_000, "also when it died while it was idle"


def test_threads_decode_side_by_side():
    waves = [None] * 6

    def decode(k):
        waves[k] = read_audio(MP3 if k % 2 else M4A)

    threads = [threading.Thread(target=decode, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(6):
        np.testing.assert_array_equal(waves[k], waves[k % 2])
    assert sum(process.kind == "mp3" for process in decode_client._idle) <= 2


@pytest.mark.skipif(sys.platform == "win32", reason="no such limits there")
def test_the_process_can_open_nothing(tmp_path):
    (tmp_path / "secret").write_text("x")
    code = "from pairalign.decode_worker import _confine; _confine(); open(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}", str(tmp_path / "secret")], capture_output=True, text=True
    )
    assert done.returncode != 0 and "Too many open files" in done.stderr
