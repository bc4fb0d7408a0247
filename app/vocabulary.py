"""One token of the vocabulary: its glyph, the codes nearest to it, and how often an archive holds it."""

from __future__ import annotations

from typing import Any

import torch

from app.archives import Archives
from app.services import Services
from pairalign.errors import PairAlignError
from pairalign.strings import glyph

MOST_NEAREST = 50
CODE_METHODS = ("pairalign", "vq", "viterbi", "viterbi_cost", "vq_raw")  # whose tokens are the codes of the codebook


def describe_token(
    services: Services, archives: Archives, token: float, archive: str, nearest: float
) -> dict[str, Any]:
    """What is known of a token, as a JSON document.

    Raises: ValueError for a token that is none, a number of neighbours that cannot be had, or no such archive.
    """
    tokenizer = services.tokenizer()
    size = int(tokenizer.vocab_size)
    code = _whole("token", token, 0, size - 1)
    count = _whole("nearest", nearest, 1, min(MOST_NEAREST, size - 1))
    values, ids = _nearest(tokenizer.model.codebook.codes, code, count)
    info = archives.of(services).open(archive).info()
    return services.model_info().to_document() | {
        "options": {"token": code, "archive": archive, "nearest": count},
        "id": code,
        "glyph": glyph(code),
        "vocab_size": size,
        "nearest": [
            {"id": other, "glyph": glyph(other), "cosine": round(value, 5)}
            for other, value in zip(ids, values, strict=True)
        ],
        "occurrences": {
            name: _occurrences(int(totals.counts[code]), totals.tokens)
            for name, totals in info.methods.items()
            if name in CODE_METHODS
        },
    }


def _nearest(codes: torch.Tensor, code: int, count: int) -> tuple[list[float], list[int]]:
    """Cosines and ids of the codes (K, Z) that are most like one of them, without itself; codes are of unit norm."""
    codes = codes.detach().float().cpu()
    others = torch.arange(len(codes)) != code
    cosines = torch.where(others, codes @ codes[code], -torch.inf)
    values, ids = cosines.topk(count)
    return values.tolist(), ids.tolist()


def _occurrences(count: int, total: int) -> dict[str, Any]:
    return {"count": count, "tokens": total, "share": count / total if total else None}


def _whole(name: str, value: float, least: int, most: int) -> int:
    plain = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
    if not plain or not least <= value <= most:
        raise PairAlignError(f"{name} is {str(value)[:40]}; use a whole number from {least} to {most}.")
    return int(value)
