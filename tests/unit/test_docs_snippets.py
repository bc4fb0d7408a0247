"""Every snippet of README.md and docs/ runs: Python is executed, shell commands are executed where they are quick and
local and otherwise read by the parser of the program they call.

A block that cannot be run stands below a comment `<!-- not run: why -->`; commands of ours in it are parsed all the
same. The README uses the shipped checkpoint; on the other pages `base` is the shipped `tiny` under that name, which is
faster.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import importlib.util
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile

from pairalign import checkpoint, cli
from pairalign.audio import read_audio

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
EXECUTED = {"python", "sh"}
SHOWN = {"json", "text", "csv", "bibtex", "cff"}  # languages of what is only looked at
QUICK = {"tokenize", "align", "sweep", "index", "search"}  # commands that are run, not only parsed
_BLOCK = re.compile(r"(?:<!--([^\n]*)-->\n+)?^( *)```([^\n]*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_REASON = re.compile(r"\s*not run: (\S.{9,})")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, text, first line, and what the comment above it says."""

    language: str
    text: str
    line: int
    comment: str

    @property
    def reason(self) -> str:
        """Why it is not run; empty for blocks that are."""
        found = _REASON.match(self.comment)
        return found[1].strip() if found else ""


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(found[3].strip(), found[4], text[: found.start(3)].count("\n") + 1, (found[1] or "").strip())
        for found in _BLOCK.finditer(text)
    ]


def commands(block: Block) -> Iterator[list[str]]:
    """The commands of a shell block as lists of words, without comments, redirections and line breaks."""
    for line in block.text.replace("\\\n", " ").splitlines():
        for command in re.split(r"&&|\|", line):
            words = shlex.split(command, comments=True)
            words = words[: words.index(">")] if ">" in words else words
            if words:
                yield words


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a reader might sit: the shipped examples, recordings and manifests by the names pages use."""
    folder = tmp_path_factory.mktemp("desk")
    examples = folder / "app" / "examples"
    shutil.copytree(ROOT / "app" / "examples", examples, ignore=shutil.ignore_patterns("archive"))
    names = ("harbour_a", "harbour_b", "garden_first", "garden_last", "digits", "slow")
    for name, example in (("a.wav", "slow"), ("b.mp3", "harbour_b"), ("question.wav", "garden_first")):
        soundfile.write(folder / name, read_audio(examples / f"{example}.ogg"), 16_000)
    for corpus in ("recordings", "my_recordings", "speech"):
        (folder / corpus).mkdir()
        with (folder / corpus / "manifest.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("path", "split", "speaker", "transcript"))
            for k, name in enumerate(names):
                shutil.copy(examples / f"{name}.ogg", folder / corpus)
                rows.writerow((f"{name}.ogg", "dev" if k % 2 else "train", f"voice{k % 3}", name.rstrip("_ab")))
    return folder


@pytest.fixture(scope="module")
def tiny_as_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of checkpoints whose `base` is the shipped `tiny`."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name in ("base", "tiny"):
        for suffix in (".safetensors", ".json"):
            shutil.copy(ROOT / "checkpoints" / f"tiny{suffix}", folder / f"{name}{suffix}")
    return folder


@pytest.fixture(scope="module")
def done() -> set[str]:
    """Commands that were run on an earlier page: what two pages show need not run twice."""
    return set()


@pytest.fixture
def reader(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(desk)
    return desk


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_run_or_says_why_not(page):
    for block in blocks(page):
        where = f"{page}, line {block.line}"
        assert block.language in EXECUTED | SHOWN, f"{where}: name one of {EXECUTED | SHOWN} as the language"
        if block.language in EXECUTED and "not run" in block.comment:
            assert block.reason, f"{where}: <!-- not run: say why, in ten letters or more -->"


@pytest.mark.parametrize("page", [page for page in PAGES if any(one.language == "python" for one in blocks(page))])
def test_python_of_a_page_runs_from_top_to_bottom(page, reader, tiny_as_base, monkeypatch):
    if page != "README.md":
        monkeypatch.setattr(checkpoint, "CHECKPOINT_DIR", tiny_as_base)
    names = {"__name__": "__main__"}
    for block in blocks(page):
        if block.language == "python" and not block.reason:
            # the page's own line numbers in a traceback
            code = compile("\n" * block.line + block.text, str(ROOT / page), "exec")
            exec(code, names)  # our own pages


@pytest.mark.parametrize("page", [page for page in PAGES if any(one.language == "sh" for one in blocks(page))])
def test_shell_commands_of_a_page_run_or_are_understood(page, reader, tiny_as_base, done, monkeypatch, capsys):
    monkeypatch.setattr(checkpoint, "CHECKPOINT_DIR", tiny_as_base)
    for block in blocks(page):
        for words in commands(block) if block.language == "sh" else ():
            command = shlex.join(words)
            if command not in done:
                call(words, f"{page}, line {block.line}: {command}", block, monkeypatch, capsys)
            if not block.reason:
                done.add(command)


def call(words: list[str], where: str, block: Block, monkeypatch, capsys) -> None:
    """Run or parse one command; fails where the program would refuse it."""
    if words[0] == "torchrun":
        words = ["python", *words[words.index("-m") :]]
    if words[:3] == ["python", "-m", "pairalign"]:
        arguments = words[3:]
        if arguments[0] in QUICK and not block.reason:
            status = cli.main([*arguments, *(() if "--device" in arguments else ("--device", "cpu"))])
            assert status == 0, f"{where}: {capsys.readouterr().err}"
        else:
            cli.build_parser(arguments).parse_args(arguments)
    elif words[:2] == ["python", "app.py"]:
        app().parse(words[2:])
    elif words[:2] == ["python", "-m"] and words[2].split(".")[0] in ("scripts", "benchmarks"):
        parse_only(words[2], words[3:], monkeypatch)
    elif words[:3] != ["python", "-m", "pytest"]:
        assert block.reason, f"{where}: a test cannot run this; put <!-- not run: why --> above the block"


class Parsed(Exception):
    """The arguments were understood; nothing else shall happen."""


def parse_only(module: str, arguments: list[str], monkeypatch) -> None:
    """Call a program's main() up to where its arguments are parsed."""
    main = importlib.import_module(module).main
    if not arguments and module.startswith("scripts.make_"):
        return  # takes none, and would write
    parse = argparse.ArgumentParser.parse_args

    def parse_and_end(self, *args, **kwargs):
        parse(self, *args, **kwargs)
        raise Parsed

    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", [module, *arguments])
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_and_end)
        with pytest.raises(Parsed):
            main()


def app():
    """app.py, which the package of the same name hides."""
    spec = importlib.util.spec_from_file_location("start_app", ROOT / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_wrong_command_and_an_unmarked_one_are_noticed(reader, monkeypatch, capsys):
    block = Block("sh", "", 1, "")
    with pytest.raises(SystemExit):
        call(["python", "-m", "pairalign", "train", "--outt", "x"], "here", block, monkeypatch, capsys)
    with pytest.raises(SystemExit):
        call(["python", "app.py", "--portt", "1"], "here", block, monkeypatch, capsys)
    with pytest.raises(SystemExit):
        call(["python", "-m", "benchmarks.search", "--nothing"], "here", block, monkeypatch, capsys)
    with pytest.raises(AssertionError, match="not run: why"):
        call(["rm", "-r", "x"], "here", block, monkeypatch, capsys)
    with pytest.raises(AssertionError, match="no such file"):
        call(["python", "-m", "pairalign", "tokenize", "none.wav"], "here", block, monkeypatch, capsys)
