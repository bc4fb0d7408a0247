"""Synthesise the app's example recordings with espeak-ng: python -m scripts.make_examples [FOLDER]

Synthetic voices keep the repository free of anyone's recorded voice. Needs the program espeak-ng
(Debian: apt install espeak-ng).
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import soundfile

from pairalign.audio import SAMPLE_RATE_HZ, wave_from_array
from pairalign.checkpoint import atomic_write_bytes

FOLDER = Path(__file__).resolve().parent.parent / "app" / "examples"
MOST_BYTES = 60_000


@dataclass(frozen=True)
class Example:
    """One recording: what is said, by which espeak-ng voice, at how many words per minute and what pitch (0 to 99)."""

    file: str
    name: str
    text: str
    voice: str
    words_per_minute: int = 150
    pitch: int = 50


SAME = "The morning train to the harbour was late again."
EXAMPLES = (
    Example("harbour_a.ogg", "Same sentence, voice A", SAME, "en-us"),
    Example("harbour_b.ogg", "Same sentence, voice B", SAME, "en-gb+f3", 170, pitch=60),
    Example(
        "garden_first.ogg", "The word garden, first", "A garden needs water more than it needs a fence.", "en-us+m3"
    ),
    Example("garden_last.ogg", "The word garden, last", "They carried all the chairs into the garden.", "en-us+f2"),
    Example("digits.ogg", "Ten digits", "Zero, one, two, three, four, five, six, seven, eight, nine.", "en-gb", 200),
    Example("slow.ogg", "Slow speech", "Speak slowly, and the string grows.", "en-us+m7", 100, pitch=35),
)


def synthesise(example: Example) -> bytes:
    """An example as Ogg Opus, mono, 16 kHz, at half of full scale."""
    command = ["espeak-ng", "-v", example.voice, "-s", str(example.words_per_minute), "-p", str(example.pitch)]
    spoken = subprocess.run([*command, "--stdout", example.text], check=True, capture_output=True).stdout
    samples, rate_hz = soundfile.read(io.BytesIO(spoken), dtype="float32")
    wave = wave_from_array(samples, rate_hz)
    memory = io.BytesIO()
    soundfile.write(memory, wave * (0.5 / abs(wave).max()), SAMPLE_RATE_HZ, format="OGG", subtype="OPUS")
    return memory.getvalue()


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    if shutil.which("espeak-ng") is None:
        print("espeak-ng is not installed (Debian: apt install espeak-ng)", file=sys.stderr)
        return 2
    entries = []
    for example in EXAMPLES:
        data = synthesise(example)
        if len(data) > MOST_BYTES:
            raise RuntimeError(f"{example.file} has {len(data)} bytes, more than {MOST_BYTES}")
        atomic_write_bytes(folder / example.file, data)
        duration_s = soundfile.info(io.BytesIO(data)).duration
        entries.append({**asdict(example), "duration_s": round(duration_s, 2), "synthesiser": "espeak-ng"})
        print(f"{example.file:<20} {duration_s:5.2f} s {len(data):>7} bytes")
    listing = json.dumps(entries, indent=1, ensure_ascii=False) + "\n"
    atomic_write_bytes(folder / "examples.json", listing.encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
