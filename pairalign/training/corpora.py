"""Lists of recordings: manifest CSVs, plain folders, LibriSpeech and TIMIT as they are published.

A manifest is a CSV with a header. Only `path` is required (relative to the manifest); `split`, `speaker`, `duration_s`,
`transcript` and `corpus` are used when present. Word times are a CSV too (`path,start_s,end_s,word`); TIMIT brings
its own.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pairalign.checkpoint import atomic_write_bytes
from pairalign.home import one_line
from pairalign.training.csv_table import DataError, read_rows

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".sph", ".aiff", ".aif")
DEV_SHARE = 0.1
TIMIT_RATE_HZ = 16_000  # .WRD files count samples

_LIBRISPEECH_NAME = re.compile(r"^\d+-\d+-\d+$")
_TIMIT_REGION = re.compile(r"^dr[1-8]$")


@dataclass(frozen=True)
class Utterance:
    """One recording of a corpus. An empty `speaker` or `transcript` means unknown."""

    path: Path
    split: str = "train"
    speaker: str = ""
    duration_s: float | None = None
    transcript: str = ""
    corpus: str = ""


@dataclass(frozen=True)
class Word:
    """One spoken word: the index of its utterance, its time in seconds and its spelling."""

    utterance: int
    start_s: float
    end_s: float
    text: str


def read_manifest(path: str | Path) -> list[Utterance]:
    """Read a manifest CSV, or a folder: its `manifest.csv` when it has one, otherwise all audio found below it."""
    path = Path(path)
    if not os.path.exists(path):  # unlike Path.exists, False for a name that is too long
        raise DataError(f"{one_line(path)}: no such file or folder. Give a manifest CSV or a folder of audio.")
    if path.is_dir():
        manifest = path / "manifest.csv"
        return _read_csv(manifest) if manifest.is_file() else _read_folder(path)
    if path.suffix.lower() in AUDIO_SUFFIXES:
        raise DataError(f"{path} is a recording, not a manifest. Give its folder, or a CSV with a 'path' column.")
    return _read_csv(path)


def write_manifest(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a manifest CSV, whole or not at all. Paths in it are absolute or relative to the manifest."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    atomic_write_bytes(path, text.getvalue().encode())


def read_words(path: str | Path, utterances: Sequence[Utterance]) -> list[Word]:
    """Word times from a CSV (`path,start_s,end_s,word`); words of recordings not among `utterances` are left out."""
    path = Path(path)
    index = {os.path.realpath(utterance.path): i for i, utterance in enumerate(utterances)}
    resolved: dict[str, int | None] = {}
    words = []
    for line, row in read_rows(path, required=("path", "start_s", "end_s", "word")):
        name = row["path"]
        if name not in resolved:
            resolved[name] = index.get(os.path.realpath(path.parent / name))
        where = f"{path}, line {line}"
        start_s, end_s = _number(row["start_s"], "start_s", where), _number(row["end_s"], "end_s", where)
        if end_s < start_s:
            raise DataError(
                f"{where}: the word {one_line(row['word'], 60)!r} ends at {end_s} s, before it starts at {start_s} s."
            )
        utterance = resolved[name]
        if utterance is not None and row["word"] and end_s > start_s:  # aligners give unplaced words no duration
            words.append(Word(utterance, start_s, end_s, row["word"]))
    if not words:
        raise DataError(f"{path}: no word belongs to a recording of the manifest. Paths are relative to {path.parent}.")
    return words


def words_for(utterances: Sequence[Utterance], words_csv: str | Path | None = None) -> list[Word]:
    """Every word time known for these utterances: those of `words_csv`, and TIMIT's .WRD files beside the audio."""
    words = read_words(words_csv, utterances) if words_csv is not None else []
    listed = {word.utterance for word in words}
    for i, utterance in enumerate(utterances):
        if utterance.corpus == "timit" and i not in listed:
            words.extend(_timit_words(i, utterance.path))
    return words


def of_split(utterances: Sequence[Utterance], split: str) -> list[int]:
    """Indices of the utterances of a split; a DataError names the splits there are."""
    items = [i for i, utterance in enumerate(utterances) if utterance.split == split]
    if not items:
        found = ", ".join(sorted({utterance.split for utterance in utterances})) or "none"
        raise DataError(f"no recordings in split {split!r}. Splits found: {found}.")
    return items


# --- CSV --------------------------------------------------------------------------------------------------------------


def _read_csv(path: Path) -> list[Utterance]:
    utterances, names, missing = [], [], []
    for line, row in read_rows(path, required=("path",)):
        audio = path.parent / row["path"]
        if not row["path"]:
            raise DataError(f"{path}, line {line}: the path is empty.")
        if not os.path.isfile(audio):
            missing.append(f"{one_line(audio)} (line {line})")
        duration = row.get("duration_s", "")
        utterances.append(
            Utterance(
                path=audio,
                split=row.get("split", "").lower(),
                speaker=row.get("speaker", ""),
                duration_s=_number(duration, "duration_s", f"{path}, line {line}") if duration else None,
                transcript=row.get("transcript", ""),
                corpus=row.get("corpus", ""),
            )
        )
        names.append(row["path"])
    if missing:
        raise DataError(f"{path}: {len(missing)} of {len(names)} recordings do not exist, the first is {missing[0]}.")
    if not utterances:
        raise DataError(f"{path}: no rows below the header.")
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: {one_line(repeated)} is listed more than once; list each recording once.")
    return _with_splits(utterances, names)


def _number(text: str, column: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise DataError(
            f"{where}: {column} is {one_line(text, 60)!r}; a number of seconds, zero or more, was expected."
        )
    return value


# --- Folders ----------------------------------------------------------------------------------------------------------


def _read_folder(folder: Path) -> list[Utterance]:
    # the layouts of corpora are in the names of folders above, which "." and links do not show
    root = folder if folder.is_absolute() and ".." not in folder.parts else Path(os.path.realpath(folder))
    paths = _audio_below(root)
    if not paths:
        raise DataError(
            f"{one_line(folder)}: no audio found in this folder or below it. Accepted: {', '.join(AUDIO_SUFFIXES)}."
        )
    transcripts: dict[Path, dict[str, str]] = {}
    real = Path(os.path.realpath(root))
    utterances = [_describe(path, real / path.relative_to(root), transcripts) for path in paths]
    names = [path.relative_to(root).as_posix() for path in paths]
    return _with_splits(utterances, names, published=True)


def _audio_below(root: Path) -> list[Path]:
    paths = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        lower = {name.lower() for name in files}
        for name in sorted(files):
            stem, suffix = os.path.splitext(name.lower())
            # Some copies of TIMIT hold SA1.WAV (SPHERE) and the same audio again as SA1.WAV.wav.
            twice = stem.endswith(".wav") and stem in lower
            if suffix in AUDIO_SUFFIXES and not name.startswith(".") and not twice:
                paths.append(Path(folder) / name)
    return paths


def _describe(path: Path, real: Path, transcripts: dict[Path, dict[str, str]]) -> Utterance:
    """What the published folder layouts say about a recording, by its path or the one that links on it lead to."""
    found = (_published(one, transcripts) for one in dict.fromkeys((path, real)))
    return replace(next(filter(None, found), Utterance(path, split="")), path=path)


def _published(path: Path, transcripts: dict[Path, dict[str, str]]) -> Utterance | None:
    """The recording as LibriSpeech or TIMIT describe it; None in any other folder."""
    folders = [folder.name.lower() for folder in path.parents]
    chapter, speaker = path.parent.name, path.parent.parent.name
    if _LIBRISPEECH_NAME.match(path.stem) and path.stem.startswith(f"{speaker}-{chapter}-"):
        split = next((name.split("-")[0] for name in folders[2:4] if re.match(r"^(train|dev|test)-", name)), "")
        if path.parent not in transcripts:
            transcripts[path.parent] = _librispeech_transcripts(path.parent / f"{speaker}-{chapter}.trans.txt")
        text = transcripts[path.parent].get(path.stem, "")
        return Utterance(path, split, speaker, None, text, "librispeech")
    if len(folders) > 2 and _TIMIT_REGION.match(folders[1]) and folders[2] in ("train", "test"):
        return Utterance(path, folders[2], path.parent.name.upper(), None, _timit_transcript(path), "timit")
    return None


def _librispeech_transcripts(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return dict(line.strip().split(" ", 1) for line in lines if " " in line.strip())


def _timit_sibling(path: Path, suffix: str) -> Path | None:
    stem = path.name.split(".")[0]
    names = (stem + suffix.upper(), stem + suffix.lower())
    return next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)


def _timit_transcript(path: Path) -> str:
    text = _timit_sibling(path, ".txt")
    parts = text.read_text(encoding="utf-8", errors="replace").split(None, 2) if text else []
    return parts[2].strip() if len(parts) == 3 else ""


def _timit_words(utterance: int, path: Path) -> Iterator[Word]:
    times = _timit_sibling(path, ".wrd")
    for number, line in enumerate(
        times.read_text(encoding="utf-8", errors="replace").splitlines() if times else (), start=1
    ):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 3 or not (parts[0].isdigit() and parts[1].isdigit()) or int(parts[0]) >= int(parts[1]):
            raise DataError(f"{times}, line {number}: expected 'first_sample last_sample word', found {line!r}.")
        yield Word(utterance, int(parts[0]) / TIMIT_RATE_HZ, int(parts[1]) / TIMIT_RATE_HZ, parts[2])


# --- Splits -----------------------------------------------------------------------------------------------------------


def _with_splits(utterances: list[Utterance], names: Sequence[str], published: bool = False) -> list[Utterance]:
    """Fill in missing splits: about a tenth of the speakers becomes dev, always the same ones.

    Recordings without a split are divided into train and dev. `published`: the splits come from folder names; when
    those have no dev part (LibriSpeech train-clean-100 alone, TIMIT), a tenth of the training speakers become dev, so
    that a run can be watched at all.
    """
    held = {u.speaker: u.split for u in utterances if u.speaker and u.split in ("dev", "test")}
    # a speaker that is held out in some rows is held out in all: training must not hear that voice
    utterances = [u if u.split else replace(u, split=held.get(u.speaker, "")) for u in utterances]
    absent = [i for i, utterance in enumerate(utterances) if not utterance.split]
    has_dev = any(utterance.split == "dev" for utterance in utterances)
    if published and not absent and not has_dev:
        absent = [i for i, utterance in enumerate(utterances) if utterance.split == "train"]
    if not absent:
        return utterances
    speakers = {utterances[i].speaker for i in absent if utterances[i].speaker}
    # One speaker only: dividing by speaker would leave nothing to train on.
    keys = {i: (utterances[i].speaker if len(speakers) > 1 else "") or names[i] for i in absent}
    order = sorted(set(keys.values()), key=_hash_share)
    dev = {key for key in order if _hash_share(key) < DEV_SHARE}
    if len(dev) == len(order) or (not dev and not has_dev):
        dev = set(order[:1])
    filled = list(utterances)
    for i, key in keys.items():
        filled[i] = replace(utterances[i], split="dev" if key in dev else "train")
    return filled


def _hash_share(key: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64
