"""Where a recording may come from: names of every type, bytes, file objects, pipes, standard input."""

import io
import os
import tempfile
import threading

import numpy as np
import pytest

from pairalign.audio import AudioError, AudioLimits, read_audio, read_parts
from pairalign.excerpt import header_duration_s, read_excerpt
from tests.unit.test_audio import tone, wav_bytes

WAV = wav_bytes(tone(1.0))
KINDS = {"wav": WAV, "mp3": wav_bytes(tone(1.0), kind="MP3", subtype=None), "flac": wav_bytes(tone(1.0), kind="FLAC")}


class Named(os.PathLike):
    def __init__(self, name):
        self.name = name

    def __fspath__(self):
        return self.name


class Stream(io.RawIOBase):
    """A stream that cannot be sought and gives what it likes."""

    def __init__(self, data):
        self.left = io.BytesIO(data)

    def readable(self):
        return True

    def read(self, size=-1):
        return self.left.read(min(size, 777) if size > 0 else size)


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def test_names_of_every_type(tmp_path, kind):
    path = tmp_path / "ä b.wav"
    path.write_bytes(kind)
    expected = read_audio(path)
    for name in (str(path), os.fsencode(path), Named(str(path)), Named(os.fsencode(path))):
        np.testing.assert_array_equal(read_audio(name), expected)


def test_bytes_and_file_objects(tmp_path, kind):
    path = tmp_path / "a.wav"
    path.write_bytes(kind)
    expected = read_audio(path)
    at_its_end = io.BytesIO(kind)
    at_its_end.seek(0, os.SEEK_END)
    spooled = tempfile.SpooledTemporaryFile()
    spooled.write(kind)
    with open(path, "rb") as file, open(path, "rb", buffering=0) as raw, spooled:
        sources = [
            kind,
            bytearray(kind),
            memoryview(kind),
            io.BytesIO(kind),
            at_its_end,
            file,
            raw,
            spooled,
            Stream(kind),
        ]
        for source in sources:
            np.testing.assert_array_equal(read_audio(source), expected)
        assert at_its_end.tell() == len(kind) and not file.closed, "whoever opened it goes on with it"
        for source in (kind, io.BytesIO(kind), file):
            assert header_duration_s(source) == pytest.approx(len(expected) / 16_000, abs=1e-3)
            assert len(read_excerpt(source, 0.25, 0.75)) == 8_000
            np.testing.assert_array_equal(np.concatenate(list(read_parts(source, 0.3))), expected)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"", "the recording in memory: the file is empty"),
        (b"hello", "the recording in memory: this looks like text"),
        (io.BytesIO(), "the recording in memory: the file is empty"),
        (Stream(b""), "the recording in memory: the file is empty"),
        (io.StringIO("text"), "gives text; open it in binary mode"),
        (None, "a recording is a path, an open binary file or the bytes of a file, not NoneType"),
        (3.5, "not float"),
        (["a.wav"], "not list"),
        ((16_000, np.zeros(9)), "not tuple"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(source, words):
    for read in (read_audio, header_duration_s, lambda source: read_excerpt(source, 0.0, 1.0)):
        with pytest.raises(AudioError, match=words) as caught:
            read(source)
        assert "\n" not in str(caught.value)


def test_a_closed_file_and_one_that_fails_are_refused(tmp_path):
    class Failing(Stream):
        def read(self, size=-1):
            raise OSError(5, "Input/output error")

    file = io.BytesIO(WAV)
    file.close()
    for source, words in ((file, "is closed"), (Failing(b""), r"cannot be read \(Input/output error\)")):
        with pytest.raises(AudioError, match=words):
            read_audio(source)


def test_streams_are_held_to_the_limit_of_bytes():
    class Endless(Stream):
        def read(self, size=-1):
            return bytes(100_000)

    with pytest.raises(AudioError, match="at most 1 MB are allowed"):
        read_audio(Endless(b""), AudioLimits(max_bytes=1_000_000))


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="no open pipes by name here")
@pytest.mark.parametrize("folder", ["/dev/fd", "/proc/self/fd"])
def test_an_open_pipe_by_its_name(kind, folder):
    """What a shell's <(command) stands for."""
    if not os.path.exists(folder):
        folder = "/dev/fd"
    out, into = os.pipe()
    writer = threading.Thread(target=lambda: os.fdopen(into, "wb").write(kind))
    writer.start()
    try:
        assert len(read_audio(f"{folder}/{out}")) >= 16_000
    finally:
        os.close(out)
        writer.join()


def test_one_message_is_not_wrapped_in_another(tmp_path):
    for path in (tmp_path, tmp_path / "missing.wav"):
        with pytest.raises(AudioError) as caught:
            read_audio(path)
        message = str(caught.value)
        assert message.count(":") == 1 and "(" not in message and message.startswith(f"{path.name}: ")
