"""Streams that are closed, gone or in another encoding; the version; one encoding of the audio for all methods."""

import ast
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pairalign
from pairalign import cli
from pairalign.audio import write_audio
from pairalign.model.network import PairAlignModel
from tests.conftest import babble

ROOT = Path(__file__).resolve().parents[2]


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of sh in which PA stands for the command line program."""
    line = line.replace("PA", f'"{sys.executable}" -m pairalign')
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environment, timeout=120, cwd=ROOT)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("console") / "a.wav"
    write_audio(path, babble(0.8))
    return path


@pytest.fixture
def tokenize(sound, tiny_checkpoint):
    return lambda *more: cli.main(
        ["tokenize", str(sound), "--checkpoint", str(tiny_checkpoint), "--device", "cpu", *more]
    )


def test_the_version_is_one_line_without_loading_a_model():
    found = shell("PA --version")
    assert (found.returncode, found.stdout, found.stderr) == (0, f"pairalign {pairalign.__version__}\n", "")
    loaded = "import sys, pairalign; assert pairalign.__version__; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, cwd=ROOT).stdout == "False\n"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("PA --version >&-", 0),
        ("PA --help >&- 2>&-", 0),
        ("PA --help <&- >/dev/null", 0),
        ("PA --help | head -0; exit ${PIPESTATUS[0]}", 0),
        ("PA tokenize >&-", 2),
        ("PA tokenize 2>&-", 2),
        ("PA tokenize >&- 2>&-", 2),
        ("PA tokenize 2>&1 >/dev/null | head -0; exit ${PIPESTATUS[0]}", None),
    ],
)
def test_closed_streams_and_readers_that_are_gone_make_no_noise(line: str, status: int | None):
    found = shell(line)
    assert status in (None, found.returncode) and "Traceback" not in found.stderr and "Exception" not in found.stderr
    assert found.stdout == "", "what belongs on stderr went to stdout"


def test_every_closed_stream_is_opened_under_its_own_number():
    numbers = "{sys.stdin.fileno(), sys.stdout.fileno() + 10, sys.stderr.fileno() + 20} == {0, 11, 22}"
    code = f"import sys; from pairalign import console; console.prepare(); sys.exit(not {numbers})"
    assert shell(f'"{sys.executable}" -c "{code}" <&- >&- 2>&-').returncode == 0


def test_a_result_that_nobody_takes_makes_no_noise():
    command = "from pairalign import cli; cli._tokenize = lambda _: ({'files': []}, 0); "
    command += "raise SystemExit(cli.main(['tokenize', 'a.wav', '--json']))"
    for end, out in ((">&-", ""), ("| head -0; exit ${PIPESTATUS[0]}", ""), ("2>&-", '{"files": []}\n')):
        found = shell(f'"{sys.executable}" -c "{command}" {end}')
        assert (found.returncode, found.stdout, found.stderr) == (0, out, "")


def test_a_full_disk_below_stdout_is_one_line(tokenize, monkeypatch, capsys):
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    assert tokenize("--json") == 2
    err = capsys.readouterr().err
    assert err == "pairalign: No space left on device. Make room on the disk\n"


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8", "cp437", "utf-16"])
@pytest.mark.parametrize("kind", ["textgrid", "csv"])
def test_documents_are_utf8_on_every_terminal(encoding: str, kind: str, tokenize, monkeypatch, tiny_tokenizer, sound):
    from pairalign.export import to_csv, to_textgrid

    memory = io.BytesIO()
    stream = io.TextIOWrapper(memory, encoding=encoding, newline="\r\n")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr("pairalign.strings.glyph", lambda token: chr(0x1E00 + token))  # beyond every code page
    monkeypatch.setattr("pairalign.export.glyph", lambda token: chr(0x1E00 + token))
    assert tokenize("--format", kind, "--method", "vq") == 0
    strings = {"vq": tiny_tokenizer.tokenize(sound, "vq")}
    expected = {"csv": to_csv, "textgrid": to_textgrid}[kind](strings)
    assert memory.getvalue().decode("utf-8") == expected and not expected.isascii()


def test_a_terminal_that_cannot_show_a_glyph_gets_its_number(tokenize, monkeypatch):
    memory = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(memory, encoding="ascii"))
    monkeypatch.setattr("pairalign.strings._glyphs", lambda: tuple(chr(0x1E00 + k) for k in range(200)))
    assert tokenize("--method", "vq") == 0 and b"\\u1e" in memory.getvalue()


@pytest.fixture
def encoded(monkeypatch) -> list[int]:
    """How many windows every call of the encoder had."""
    calls, real = [], PairAlignModel.encode
    monkeypatch.setattr(
        PairAlignModel, "encode", lambda self, features: calls.append(len(features.lengths)) or real(self, features)
    )
    return calls


def test_tokenize_encodes_once_for_all_methods(tokenize, encoded):
    assert tokenize("--method", "pairalign,vq,vq_raw,viterbi", "--json") == 0 and encoded == [1]


def test_sweep_encodes_once_for_all_methods(sound, tiny_checkpoint, encoded):
    how = ["--checkpoint", str(tiny_checkpoint), "--device", "cpu", "--json", "--window", "0.5"]
    assert cli.main(["sweep", str(sound), "--method", "pairalign,vq", "--kind", "shift", "--stop", "20", *how]) == 0
    assert sum(encoded) == 3


def test_align_encodes_both_recordings_together(sound, tiny_checkpoint, encoded):
    assert cli.main(["align", str(sound), str(sound), "--checkpoint", str(tiny_checkpoint), "--device", "cpu"]) == 0
    assert encoded == [2]


def test_no_text_file_is_opened_in_the_encoding_of_the_machine():
    """What the program reads and writes is UTF-8 everywhere, on Windows too."""
    sources = [ROOT / "app.py", *(path for part in PARTS for path in sorted((ROOT / part).rglob("*.py")))]
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and _takes_an_encoding(node)
        and not any(k.arg == "encoding" for k in node.keywords)
    ]
    assert found == []


PARTS = ("pairalign", "app", "scripts", "benchmarks")
MODES = {"".join(letters) for first in "rwax" for letters in ((first,), (first, "+"), (first, "t"), (first, "t", "+"))}


def _takes_an_encoding(call: ast.Call) -> bool:
    """Whether a call opens a file, or a process, as text: by the names of the functions that Python has for it."""
    method = isinstance(call.func, ast.Attribute)
    name = call.func.attr if method else getattr(call.func, "id", "")
    if name in ("run", "Popen", "check_output"):
        return any(k.arg in ("text", "universal_newlines") for k in call.keywords)
    if name == "open" and method and getattr(call.func.value, "id", "") == "av":  # opens media, not text
        return False
    if name != "open":
        return name in ("read_text", "write_text")
    given = [*call.args[0 if method else 1 :], *(k.value for k in call.keywords if k.arg == "mode")]
    modes = [one.value for one in given if isinstance(one, ast.Constant)]
    return bool(MODES.intersection(modes)) if method or modes else True
