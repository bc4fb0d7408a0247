"""The formats that can be read: the one list behind messages, folder scans and what the page accepts.

A file is recognised by its content, never by its name; the suffixes only tell which files of a folder are recordings.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """A format by its usual name: the suffixes of its files, and whether reading it needs PyAV (`pip install av`)."""

    name: str
    suffixes: tuple[str, ...]
    needs_av: bool = False


FORMATS = (
    Format("WAV", (".wav", ".wave", ".bwf", ".rf64", ".w64")),
    Format("FLAC", (".flac",)),
    Format("Ogg", (".ogg", ".oga")),
    Format("Opus", (".opus",)),
    Format("MP3", (".mp3", ".mp2")),
    Format("AIFF", (".aiff", ".aif", ".aifc")),
    Format("AU", (".au", ".snd")),
    Format("NIST SPHERE", (".sph", ".nist")),
    Format("M4A", (".m4a", ".m4b"), needs_av=True),
    Format("AAC", (".aac",), needs_av=True),
    Format("MP4", (".mp4", ".m4v", ".mov", ".3gp", ".3g2"), needs_av=True),
    Format("WebM", (".webm", ".weba"), needs_av=True),
    Format("Matroska", (".mka", ".mkv"), needs_av=True),
    Format("AMR", (".amr",), needs_av=True),
    Format("CAF", (".caf",), needs_av=True),
    Format("WMA", (".wma", ".asf"), needs_av=True),
)
AUDIO_SUFFIXES = frozenset(suffix for one in FORMATS for suffix in one.suffixes)
READABLE = ", ".join(one.name for one in FORMATS[:-1]) + f" or {FORMATS[-1].name}"
