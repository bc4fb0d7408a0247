"""Synthesise the recordings of the app's demo archive with espeak-ng: python -m scripts.make_demo_archive [FOLDER]

Every sentence is said by three voices at different speeds, and some words return in several sentences, so that there is
something to find. Only the recordings ship: the archive is made of them with the checkpoint in use.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import soundfile

from pairalign.checkpoint import atomic_write_bytes
from scripts.make_examples import FOLDER, Example, synthesise

MOST_BYTES_IN_ALL = 900_000
SENTENCES = {
    "garden_bench": "There is a bench in the garden.",
    "garden_gate": "Close the garden gate behind you.",
    "garden_rain": "After the rain the garden was green.",
    "garden_tea": "We drank our tea in the garden.",
    "harbour_boat": "A small boat left the harbour.",
    "harbour_light": "The harbour light is red.",
    "harbour_gulls": "Gulls followed us into the harbour.",
    "train_late": "The morning train was late again.",
    "train_window": "She slept at the window of the train.",
    "water_glass": "May I have a glass of water?",
    "water_garden": "Who will water the garden this morning?",
    "digits_low": "Zero, one, two, three, four.",
    "digits_high": "Five, six, seven, eight, nine.",
    "phone_number": "Call three five two, seven nine one.",
    "station_clock": "The station clock is four minutes slow.",
    "speak_slowly": "Please speak slowly and clearly.",
}
# espeak-ng voice, words per minute, pitch; each sentence takes three of them, in turn
VOICES = (
    ("en-us", 150, 50),
    ("en-gb+f3", 165, 60),
    ("en-us+m3", 140, 40),
    ("en-gb-scotland", 155, 50),
    ("en-us+f2", 175, 55),
    ("en-gb-x-rp+m7", 145, 35),
    ("en-gb+f4", 135, 65),
)


def recordings() -> list[Example]:
    """What is to be said: each sentence by three voices."""
    found = []
    for number, (stem, text) in enumerate(SENTENCES.items()):
        for take in range(3):
            voice, words_per_minute, pitch = VOICES[(3 * number + take) % len(VOICES)]
            name = f"{stem}_{'abc'[take]}"
            found.append(Example(f"{name}.ogg", name.replace("_", " "), text, voice, words_per_minute, pitch))
    return found


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER / "archive"
    if shutil.which("espeak-ng") is None:
        print("espeak-ng is not installed (Debian: apt install espeak-ng)", file=sys.stderr)
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    entries, total = [], 0
    for recording in recordings():
        data = synthesise(recording)
        total += len(data)
        atomic_write_bytes(folder / recording.file, data)
        duration_s = soundfile.info(io.BytesIO(data)).duration
        entries.append({**asdict(recording), "duration_s": round(duration_s, 2), "synthesiser": "espeak-ng"})
    if total > MOST_BYTES_IN_ALL:
        raise RuntimeError(f"{total} bytes in all, more than {MOST_BYTES_IN_ALL}")
    listing = json.dumps(entries, indent=1, ensure_ascii=False) + "\n"
    atomic_write_bytes(folder / "archive.json", listing.encode())
    print(f"{len(entries)} recordings, {sum(entry['duration_s'] for entry in entries):.0f} s, {total} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
