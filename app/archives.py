"""The archives a person can open: the demo, their own, and in a local app any archive file. No Gradio in here."""

from __future__ import annotations

import copy
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app import demo_archive
from app.exports import safe_stem
from app.result import saving
from app.services import Cancelled, Services
from app.uploads import keep
from pairalign.archive.archive import Archive
from pairalign.archive.record import ArchiveInfo
from pairalign.archive.report import IngestReport, Progress
from pairalign.archive.scan import Listing, find_recordings
from pairalign.errors import PairAlignError
from pairalign.home import home, inside, is_name, listed, one_line
from pairalign.strings import TokenString

KEPT_OPEN = 4  # archives whose strings stay in memory
MAX_PATH = 4_096
PUBLIC_REFUSAL = (
    "This app is open to everyone, so only its demo archive can be searched and nothing can be added. "
    "Start your own with python app.py."
)


@dataclass(frozen=True)
class Added:
    """What came of adding recordings. When it was cancelled, only the number of recordings is known."""

    report: IngestReport
    cancelled: bool = False


class SharedTokenizer:
    """The loaded tokenizer for an archive: every batch waits for its turn, so that adding does not stop the page."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._tokenizer = services.tokenizer()
        self.name: str = self._tokenizer.name
        self.sha256: str = self._tokenizer.sha256
        self.device: str = self._tokenizer.device
        self.vocabulary = self._tokenizer.vocabulary
        self.check_method = self._tokenizer.check_method

    def tokenize(self, *args: Any, **options: Any) -> TokenString:
        """As the tokenizer's own."""
        with self._services.model():
            return self._tokenizer.tokenize(*args, **options)

    def tokenize_methods(self, *args: Any, **options: Any) -> dict[str, list[TokenString]]:
        """As the tokenizer's own; others may use the model between its batches."""

        def work(tokenizer: Any, **shared: Any) -> dict[str, list[TokenString]]:
            return tokenizer.tokenize_methods(*args, **options, **shared)

        return self._services.compute_here(work, progress=lambda _: None)


class Archives:
    """Archives by name. `refusal` is why none can be made or changed here ("" where they can)."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.refusal = PUBLIC_REFUSAL if services.public else ""
        self._opened: dict[tuple[Path, str], Archive] = {}
        self._opening = threading.Lock()
        self._indexing = threading.Lock()
        self._indexed: set[Path] = set()

    def of(self, services: Services) -> Archives:
        """The same archives, opened with the checkpoint of a page: `services` are that page's."""
        view = copy.copy(self)
        view.services = services
        return view

    def names(self) -> list[str]:
        """The demo first, then the person's own."""
        if self.refusal:
            return [demo_archive.NAME]
        return [demo_archive.NAME, *(path.stem for path in listed(self._folder(), "*.db") if is_name(path.stem))]

    def create(self, name: str) -> str:
        """Begin an empty archive; returns its name. Raises: ValueError for a bad name or one that is taken."""
        self._require_writable(name)
        path = inside(self._folder(), name, "name of an archive", ".db")
        if path.exists():
            raise PairAlignError(f"There is an archive {name} already. Open it, or choose another name.")
        try:
            self._folder().mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PairAlignError(
                f"{self._folder()} cannot be made ({error.strerror}). Check its permissions."
            ) from error
        Archive.open(path, SharedTokenizer(self.services))
        return name

    def open(self, name: str, progress: Callable[[Progress], None] | None = None) -> Archive:
        """An archive by name, or in a local app by the path of its file; the demo is indexed if need be.

        Raises: ValueError when there is none, it is another model's, or it may not be opened here.
        """
        tokenizer = SharedTokenizer(self.services)
        path = self._path(name, tokenizer.sha256)
        if name == demo_archive.NAME:
            self._index_demo(path, tokenizer, progress)
        with self._opening:
            archive = self._opened.pop((path, tokenizer.sha256), None)
            if archive is None or not path.exists():
                archive = Archive.open(path, tokenizer, create=False)
            self._opened[(path, tokenizer.sha256)] = archive  # the latest comes last
            while len(self._opened) > KEPT_OPEN:
                self._opened.pop(next(iter(self._opened))).close()
        return archive

    def add(
        self,
        name: str,
        uploads: Sequence[str] = (),
        folder: str = "",
        run_id: str = "",
        progress: Callable[[Progress], None] | None = None,
    ) -> Added:
        """Add uploaded files, which are copied beside the archive, and a folder, which is indexed where it is.

        `Services.stop` of the run ends it; whole recordings that were added by then stay.
        Raises: ValueError when there is nothing to add, or the archive cannot be changed.
        """
        self._require_writable(name)
        archive = self.open(name)
        listing = find_recordings(_checked_folder(folder)) if folder.strip() else Listing(())
        if not listing.paths and not listing.skipped and not uploads:
            raise PairAlignError("There is nothing to add: choose files, or type the path of a folder with recordings.")
        before = archive.info().recordings
        copies: list[Path] = []
        with self.services.running(run_id) as check:

            def told(done: Progress) -> None:
                check(0.0)
                if progress is not None:
                    progress(done)

            try:
                for upload in uploads:
                    check(0.0)
                    copies.append(_copy(Path(upload), _audio_folder(archive)))
                report = archive.add_listing(replace(listing, paths=(*copies, *listing.paths)), progress=told)
            except Cancelled:
                # what was overwritten may have been taken out meanwhile
                return Added(IngestReport(recordings=max(0, archive.info().recordings - before)), cancelled=True)
            finally:
                _tidy(archive, copies)
        return Added(report)

    def delete(self, name: str) -> None:
        """Delete one's own archive and the copies of uploads beside it; recordings that were indexed elsewhere stay.

        Raises: ValueError when there is none, it is not one's own, or recordings are being added to it.
        """
        self._require_writable(name)
        path = inside(self._folder(), name, "name of an archive", ".db")
        if not path.exists():
            raise PairAlignError(f"There is no archive {name}. Choose one from the list.")
        with Archive.open(path, create=False) as archive, archive.store.writer():
            folder = _audio_folder(archive)
            try:
                path.unlink()
                shutil.rmtree(folder, ignore_errors=True)
            except OSError as error:
                raise PairAlignError(f"{name} cannot be deleted ({error.strerror}). Check its permissions.") from error
        Path(f"{path}.lock").unlink(missing_ok=True)
        with self._opening:
            for key in [key for key in self._opened if key[0] == path]:
                self._opened.pop(key).close()

    def sample(self, name: str, most: int) -> list[Path]:
        """Up to `most` recordings of an archive whose files are still there, evenly spread; of any model's archive.

        Raises: ValueError when there is no such archive, or it may not be opened here.
        """
        if name == demo_archive.NAME:
            paths = demo_archive.files()  # it need not be indexed for that
        else:
            with Archive.open(self._path(name, ""), create=False) as archive:
                paths = [recording.path for recording in archive.recordings() if os.path.isfile(recording.path)]
        count = min(most, len(paths))
        return [paths[k * len(paths) // count] for k in range(count)]

    # --- parts --------------------------------------------------------------------------------------------------------

    def _folder(self) -> Path:
        return home() / "archives"

    def _path(self, name: str, model_sha256: str) -> Path:
        if not isinstance(name, str) or not 0 < len(name.strip()) <= MAX_PATH:
            raise PairAlignError("No archive is chosen: choose one from the list.")
        if name == demo_archive.NAME:
            return demo_archive.path_for(model_sha256)
        if self.refusal:
            raise PairAlignError(self.refusal)
        if name.strip().endswith(".db"):
            return Path(os.path.abspath(os.path.expanduser(name.strip())))
        path = inside(self._folder(), name, "name of an archive", ".db")
        if not path.exists():
            raise PairAlignError(f"There is no archive {name}. Choose one from the list, or make it.")
        return path

    def _require_writable(self, name: str) -> None:
        if self.refusal:
            raise PairAlignError(self.refusal)
        if name == demo_archive.NAME:
            raise PairAlignError(
                "The demo archive stays as it is. Make an archive of your own, then add recordings to it."
            )

    def _index_demo(
        self, path: Path, tokenizer: SharedTokenizer, progress: Callable[[Progress], None] | None = None
    ) -> None:
        with self._indexing:
            if path not in self._indexed or not path.exists():
                Archive.open(path, tokenizer).add_files(demo_archive.files(), progress=progress)
                self._indexed.add(path)


def figures_of(info: ArchiveInfo) -> dict[str, Any]:
    """The statistics of an archive as a JSON document."""
    ours, other = info.methods.get("pairalign"), info.methods.get("vq")
    return {
        "recordings": info.recordings,
        "seconds": round(info.seconds, 2),
        "size_bytes": info.size_bytes,
        "saving_against_vq": saving(ours.tokens, other.tokens) if ours and other else None,
        "methods": {
            name: {
                "windows": totals.windows,
                "tokens": totals.tokens,
                "vocab_size": totals.vocab_size,
                "vocab_used": totals.used,
            }
            for name, totals in info.methods.items()
        },
    }


def _checked_folder(folder: str) -> Path:
    path = os.path.expanduser(folder.strip())  # unlike Path.expanduser, no error for a user that does not exist
    if len(folder) > MAX_PATH or not os.path.exists(path):
        raise PairAlignError(f"{one_line(folder)}: there is no such folder on this computer. Check the path.")
    return Path(path)


def _audio_folder(archive: Archive) -> Path:
    """Where an archive keeps the recordings that were uploaded for it."""
    return archive.store.path.with_suffix("").with_name(f"{archive.store.path.stem}-audio")


def _copy(upload: Path, folder: Path) -> Path:
    """A copy of an upload under a name of its own; Gradio deletes what was uploaded after a while."""
    keep(upload)
    stem, ending = safe_stem(upload.name), upload.suffix if upload.suffix[1:].isalnum() else ""
    number = 1
    while (target := folder / f"{stem}{'' if number == 1 else f'-{number}'}{ending}").exists():
        number += 1
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(upload, target)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise PairAlignError(
            f"{upload.name} cannot be copied to {folder} ({error.strerror}). Is the disk full?"
        ) from error
    return target


def _tidy(archive: Archive, copies: Sequence[Path]) -> None:
    """Remove the copies that did not get into the archive: they were bad, known already, or cancelled."""
    for copied in copies:
        if archive.store.find(path=copied) is None:
            copied.unlink(missing_ok=True)
