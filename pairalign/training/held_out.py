"""Which clips of a fine-tuning run are held out: a fifth, spread over speakers and over what they say.

Held out are clips and not whole words: each held-out clip should say something else, or no distance between unrelated
clips could be measured; a speaker's second one may say what another speaker's does, so that the distance between
speakers can be measured, too. Clips with the very same sound are one, wherever they come from: none is learned from
and measured on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

HELD_OUT_SHARE = 0.2
LEAST_HELD_OUT = 2


@dataclass(frozen=True)
class Said:
    """What tells whether two clips are alike: who speaks, the words ("" for unknown), and a digest of the samples."""

    speaker: str
    text: str
    content: str


def hold_out(clips: Sequence[Said]) -> set[int]:
    """Indices of the clips to hold out, of equal ones the first; the last clips of a speaker, where all else is equal.

    The last and not any: neighbouring clips of one recording are more alike than those of two.
    """
    first = {clip.content: index for index, clip in reversed(list(enumerate(clips)))}
    draw = _Draw({index: clips[index] for index in sorted(first.values())})
    for speaker in dict.fromkeys(clip.speaker for clip in draw.clips.values()):
        own = [index for index, clip in draw.clips.items() if clip.speaker == speaker]
        for number in range(round(HELD_OUT_SHARE * len(own))):
            draw.take(own, alike=number % 2 == 1)
    wanted = max(LEAST_HELD_OUT, round(HELD_OUT_SHARE * len(draw.clips)))
    while len(draw.held) < min(wanted, len(draw.clips) - 1):  # many speakers of a few clips each
        draw.take(list(draw.clips), alike=True)
    return set(draw.held)


@dataclass
class _Draw:
    """Clips without their copies, those held out so far, and how often each of their texts is held out."""

    clips: dict[int, Said]
    held: list[int] = field(default_factory=list)
    texts: Counter[str] = field(default_factory=Counter)
    speakers: Counter[str] = field(default_factory=Counter)

    def take(self, among: Sequence[int], alike: bool = False) -> None:
        """Hold out one of `among`; alike: one that says what a single held-out clip of another speaker says."""
        free = [index for index in among if index not in self.held]
        pairs = [index for index in free if alike and self.texts[self._text(index)] == 1 and not self._own(index)]
        chosen = max(pairs) if pairs else min(free, key=self._order)
        self.held.append(chosen)
        self.texts[self._text(chosen)] += 1
        self.speakers[self.clips[chosen].speaker] += 1

    def _order(self, index: int) -> tuple[int, int, int]:
        return self.speakers[self.clips[index].speaker], self.texts[self._text(index)], -index

    def _own(self, index: int) -> bool:
        """Whether the speaker of a clip has another one with its text held out."""
        one = self.clips[index]
        return any(self.clips[k].speaker == one.speaker and self._text(k) == self._text(index) for k in self.held)

    def _text(self, index: int) -> str:
        return self.clips[index].text.casefold().strip() or f"\0{index}"
