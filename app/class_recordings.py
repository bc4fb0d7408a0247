"""A class is recorded: the same words or sentences by several people, kept as WAV files with a manifest.

The same word by two speakers is what training turns into a pair, and what a search across speakers should find.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import threading
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app import scratch
from app.uploads import keep
from pairalign.audio import SAMPLE_RATE_HZ, AudioLimits, read_audio, write_audio
from pairalign.checkpoint import atomic_write_json
from pairalign.errors import PairAlignError
from pairalign.home import checked_name, home, inside, listed, one_line
from pairalign.training.corpora import write_manifest

CLASS_FILE, MANIFEST = "class.json", "manifest.csv"
MOST_PROMPTS, LONGEST_PROMPT, MOST_SPEAKERS = 200, 200, 60
TAKE_LIMITS = AudioLimits(max_duration_s=20.0)
SOME_WORDS = ("harbour", "garden", "morning", "train", "water", "seven", "yellow", "paper", "winter", "music")


class ClassError(PairAlignError):
    """What cannot be recorded or changed, and what to do instead."""


@dataclass(frozen=True)
class Take:
    """One recording of one prompt by one speaker."""

    file: str
    speaker: str
    transcript: str
    duration_s: float


@dataclass(frozen=True)
class RecordedClass:
    """Prompts in their order, speakers in the order they came, and the takes that are there."""

    name: str
    prompts: tuple[str, ...]
    takes: tuple[Take, ...] = ()

    @property
    def speakers(self) -> list[str]:
        """Everybody who has recorded something."""
        return list(dict.fromkeys(take.speaker for take in self.takes))

    def take(self, speaker: str, prompt: str) -> Take | None:
        """The take of a prompt by a speaker, if there is one."""
        return next((t for t in self.takes if (t.speaker, t.transcript) == (speaker, prompt)), None)

    def next_prompt(self, speaker: str, after: str | None = None) -> str | None:
        """The first prompt, looking from `after` on and then from the start, that the speaker has yet to record."""
        at = self.prompts.index(after) + 1 if after in self.prompts else 0
        order = self.prompts[at:] + self.prompts[:at]
        return next((prompt for prompt in order if self.take(speaker, prompt) is None), None)

    @property
    def seconds(self) -> float:
        """Sound in all takes."""
        return sum(take.duration_s for take in self.takes)


class ClassRecordings:
    """The classes of this person; `refusal` is why none can be recorded here ("" where they can)."""

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self._lock = threading.Lock()  # two browsers may record into one class

    def names(self) -> list[str]:
        """Classes, by name."""
        return [] if self.refusal else [path.parent.name for path in listed(_root(), f"*/{CLASS_FILE}")]

    def folder(self, name: str) -> Path:
        """Where a class is; it holds a manifest that training reads. Raises ValueError when there is no such class."""
        self._check()
        folder = inside(_root(), name, "name of a class")
        if not (folder / CLASS_FILE).is_file():
            raise ClassError(f"There is no class {name!r}: make it first.")
        return folder

    def create(self, name: str, text: str) -> RecordedClass:
        """A new class with one prompt per line of `text`."""
        self._check()
        folder = inside(_root(), name, "name of a class")
        alike = next((one for one in self.names() if one.casefold() == name.casefold()), None)
        if alike is not None:  # many disks take Year and year for one folder
            raise ClassError(f"There is already a class {alike!r}: choose it, or another name.")
        made = RecordedClass(name, prompts_of(text))
        with self._lock, _writing():
            _save(folder, made)
        return made

    def load(self, name: str) -> RecordedClass:
        """The class as it is on disk; takes whose file is gone are not in it."""
        folder = self.folder(name)
        try:
            content = json.loads((folder / CLASS_FILE).read_text(encoding="utf-8"))
            takes = tuple(_take(**take) for take in content["takes"])
            prompts = tuple(map(str, content["prompts"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ClassError(f"The class {name} cannot be read ({one_line(error, 200)}).") from None
        return RecordedClass(name, prompts, tuple(take for take in takes if os.path.isfile(folder / take.file)))

    def change_prompts(self, name: str, text: str) -> RecordedClass:
        """Another list of prompts; takes of prompts that are gone stay."""
        prompts = prompts_of(text)
        with self._lock, _writing():
            changed = RecordedClass(name, prompts, self.load(name).takes)
            _save(self.folder(name), changed)
        return changed

    def save_take(self, name: str, speaker: str, prompt: str, audio: str | None) -> RecordedClass:
        """Keep a recording of a prompt, in place of an earlier one. Raises ValueError for what cannot be used."""
        folder = self.folder(name)
        checked_name(speaker, "name of a speaker (a first name or a number will do)")
        if not audio:
            raise ClassError("There is no recording: press the microphone, say the words, and stop.")
        keep(audio)
        wave = read_audio(audio, TAKE_LIMITS)
        with self._lock, _writing():
            before = self.load(name)
            if prompt not in before.prompts:
                raise ClassError(f"{prompt[:60]!r} is not on the list any more: choose another prompt.")
            if speaker not in before.speakers and len(before.speakers) >= MOST_SPEAKERS:
                raise ClassError(f"A class has at most {MOST_SPEAKERS} speakers.")
            file, replaced = _file_name(speaker, prompt), before.take(speaker, prompt)
            write_audio(folder / file, wave)
            take = Take(file, speaker, prompt, round(len(wave) / SAMPLE_RATE_HZ, 3))
            after = RecordedClass(name, before.prompts, (*(t for t in before.takes if t != replaced), take))
            _save(folder, after)
            _remove_unused(folder, replaced, after)
        return after

    def delete_take(self, name: str, speaker: str, prompt: str) -> RecordedClass:
        """Forget a take, and its sound."""
        folder = self.folder(name)
        with self._lock, _writing():
            before = self.load(name)
            gone = before.take(speaker, prompt)
            if gone is None:
                raise ClassError(f"{speaker} has no take of {prompt[:60]!r}.")
            after = RecordedClass(name, before.prompts, tuple(t for t in before.takes if t != gone))
            _save(folder, after)
            _remove_unused(folder, gone, after)
        return after

    def delete(self, name: str) -> None:
        """Remove a class with all its recordings."""
        with self._lock, _writing():
            shutil.rmtree(self.folder(name))

    def bundle(self, name: str) -> Path:
        """A zip of the recordings and their manifest, in a folder for temporary files."""
        folder, found = self.folder(name), self.load(name)
        if not found.takes:
            raise ClassError("Nothing is recorded yet.")

        def make(path: Path) -> None:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for file in (MANIFEST, *(take.file for take in found.takes)):
                    archive.write(folder / file, file)

        with _writing():
            return scratch.write("classes", f"{name}.zip", make)

    def _check(self) -> None:
        if self.refusal:
            raise ClassError(self.refusal)


def prompts_of(text: str) -> tuple[str, ...]:
    """One prompt per line, without empty and double ones. Raises ValueError for too many, too long ones, or none."""
    lines = (one_line(" ".join(line.split()), len(text)) for line in (text or "").splitlines() if line.strip())
    # one accent has two spellings that look alike
    prompts = tuple(dict.fromkeys(unicodedata.normalize("NFC", line) for line in lines))
    if not prompts:
        raise ClassError("The list is empty: write one word or sentence per line.")
    if len(prompts) > MOST_PROMPTS:
        raise ClassError(f"{len(prompts)} lines are too many; use {MOST_PROMPTS} or fewer.")
    long = next((prompt for prompt in prompts if len(prompt) > LONGEST_PROMPT), None)
    if long:
        raise ClassError(f"The line {long[:40]!r}… has {len(long)} characters; use {LONGEST_PROMPT} or fewer.")
    return prompts


def _file_name(speaker: str, prompt: str) -> str:
    """Differs for Ann and ann in more than the case of letters, which many disks do not tell apart."""
    return f"{speaker}_{hashlib.sha256(f'{speaker}/{prompt}'.encode()).hexdigest()[:12]}.wav"


def _remove_unused(folder: Path, gone: Take | None, left: RecordedClass) -> None:
    """Remove the sound of a take, unless another take's file has its name on a disk that ignores case."""
    if gone is not None and gone.file.casefold() not in {take.file.casefold() for take in left.takes}:
        (folder / gone.file).unlink(missing_ok=True)


def _take(file: str, speaker: str, transcript: str, duration_s: float) -> Take:
    """A take as its file tells it, whatever has happened to that. Raises: ValueError or TypeError."""
    if not (isinstance(speaker, str) and isinstance(transcript, str)):
        raise PairAlignError("a take must have a speaker and a transcript")
    seconds = float(duration_s)
    if not 0 <= seconds < 1e6:
        raise PairAlignError(f"a take lasts {duration_s} s")
    return Take(Path(file).name, speaker, transcript, seconds)


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    """What the disk refuses becomes a sentence."""
    try:
        yield
    except OSError as error:
        raise ClassError(
            f"This cannot be saved in {_root()} ({error.strerror or error}). Make room on the disk, or check the "
            "permissions of that folder. What was saved before is still there."
        ) from None


def _root() -> Path:
    return home() / "classes"


def _save(folder: Path, found: RecordedClass) -> None:
    content = {"prompts": found.prompts, "takes": [vars(take) for take in found.takes]}
    atomic_write_json(folder / CLASS_FILE, content)
    columns = ("path", "speaker", "transcript", "duration_s")
    rows = ((take.file, take.speaker, take.transcript, take.duration_s) for take in found.takes)
    write_manifest(folder / MANIFEST, columns, rows)
