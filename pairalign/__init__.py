"""PairAlign: a recording becomes a short string of discrete tokens.

>>> import pairalign
>>> tok = pairalign.load("base")  # doctest: +SKIP
>>> print(tok.tokenize("hello.wav").text)  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING

from pairalign.archive.errors import ArchiveError
from pairalign.audio import AudioError
from pairalign.checkpoint import CheckpointError, available
from pairalign.errors import PairAlignError
from pairalign.strings import Alignment, Edit, TokenString, align
from pairalign.sweeps.sweep import Trajectory, sweep
from pairalign.version import __version__ as __version__

if TYPE_CHECKING:
    from pairalign.archive.archive import Archive
    from pairalign.decoding import DecodingOptions
    from pairalign.streaming import Stream
    from pairalign.tokenizer import Tokenizer, load

__all__ = [
    "Alignment",
    "Archive",
    "ArchiveError",
    "AudioError",
    "CheckpointError",
    "DecodingOptions",
    "Edit",
    "PairAlignError",
    "Stream",
    "TokenString",
    "Tokenizer",
    "Trajectory",
    "align",
    "available",
    "load",
    "sweep",
]

# what needs torch is imported on first use, so that `import pairalign` and --help are instant
_LAZY = {
    "Archive": "archive.archive",
    "DecodingOptions": "decoding",
    "Stream": "streaming",
    "Tokenizer": "tokenizer",
    "load": "tokenizer",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(f"pairalign.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'pairalign' has no attribute {name!r}")
