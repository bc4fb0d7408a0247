"""The edit distances of `kernel` in plain torch, for GPUs: the same bit-parallel table, a tensor element per string.

Nothing is skipped by bounds here; a GPU compares everything in the time that sorting out would take.
Words have 62 bits, so that sums and shifts of int64 never overflow. Shapes: K strings, N tokens, V ids.
"""

from __future__ import annotations

import numpy as np
import torch

from pairalign.archive.column import Column

BITS = 62
FULL = 2**BITS - 1
AT_ONCE = 1 << 20  # strings; about 100 bytes each are held on the device


def distances(
    query: np.ndarray, tokens: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor, infix: bool
) -> torch.Tensor:
    """Edit distance of the query (M,) to tokens[starts[k]:ends[k]], or to its best substring, for every k: (K,) int32.

    tokens (N,) int16, whose bits are those of uint16; starts, ends (K,) int64; all on one device.
    """
    masks = match_masks(query).to(tokens.device)
    parts = zip(starts.split(AT_ONCE), ends.split(AT_ONCE), strict=True)
    found = [_compare(masks, len(query), tokens, start, end, infix) for start, end in parts]
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.int32)


def match_masks(query: np.ndarray) -> torch.Tensor:
    """Where each id stands in the query: (words, 65536) int64, bit i of a column for query[i]."""
    masks = np.zeros((-(-len(query) // BITS), 65_536), dtype=np.int64)
    for i, token in enumerate(query):
        masks[i // BITS, token] |= 1 << (i % BITS)
    return torch.from_numpy(masks)


def _compare(
    masks: torch.Tensor, length: int, tokens: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor, infix: bool
) -> torch.Tensor:
    sizes = ends - starts
    up = [torch.full_like(starts, FULL) for _ in masks]  # vertical differences of +1 and -1, a word of the table each
    down = [torch.zeros_like(starts) for _ in masks]
    score = torch.full_like(starts, length)
    best = score.clone()
    for t in range(int(sizes.max()) if len(sizes) else 0):
        token = tokens[(starts + t).clamp(max=len(tokens) - 1)].long() & 0xFFFF
        score = score + torch.where(t < sizes, _step(masks, length, token, up, down, infix), 0)
        best = torch.minimum(best, score)
    return (best if infix else score).int()


def _step(
    masks: torch.Tensor, length: int, token: torch.Tensor, up: list[torch.Tensor], down: list[torch.Tensor], infix: bool
) -> torch.Tensor:
    """Append a token to each string, in place of up and down; how much the distances change, (K,)."""
    plus_in, minus_in = torch.full_like(token, 0 if infix else 1), torch.zeros_like(token)
    for word, mask in enumerate(masks):
        equal = mask[token]
        vertical = equal | down[word]
        equal = equal | minus_in
        horizontal = ((((equal & up[word]) + up[word]) & FULL) ^ up[word]) | equal
        rise = down[word] | (~(horizontal | up[word]) & FULL)
        fall = up[word] & horizontal
        if word == len(masks) - 1:
            end = (length - 1) % BITS
            change = ((rise >> end) & 1) - ((fall >> end) & 1)
        plus_out, minus_out = rise >> (BITS - 1), fall >> (BITS - 1)
        rise, fall = ((rise << 1) & FULL) | plus_in, ((fall << 1) & FULL) | minus_in
        up[word], down[word] = fall | (~(vertical | rise) & FULL), rise & vertical
        plus_in, minus_in = plus_out, minus_out
    return change


def window_distances(column: Column, query: np.ndarray, device: str) -> np.ndarray:
    """Distances (W,) int32 between the query and each window."""
    tokens, edges, _ = _tensors(column, device)
    return distances(query, tokens, edges[:-1], edges[1:], infix=False).cpu().numpy()


def stretch_distances(column: Column, query: np.ndarray, reach: int, device: str) -> np.ndarray:
    """Distances (R,) int32 between the query and the nearest substring, of up to `reach` tokens, of each recording."""
    tokens, edges, stops = _tensors(column, device)
    # a substring begins in some window and ends at most `reach` tokens later: each window looks that much further
    ends = torch.minimum(edges[1:] - 1 + reach, stops)
    of_windows = distances(query, tokens, edges[:-1], ends, infix=True).cpu().numpy()
    nearest = np.full(column.recordings, len(query), dtype=np.int32)  # the empty substring
    there = np.flatnonzero(np.diff(column.first_window))
    if len(there):
        nearest[there] = np.minimum.reduceat(of_windows, column.first_window[there])
    return nearest


def _tensors(column: Column, device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """On the device: tokens (N,) int16, window edges (W + 1,) and the ends of the windows' recordings (W,) int64."""
    if device not in column.on_device:
        column.on_device.clear()
        stops = np.repeat(column.recording_edges[1:].astype(np.int64), np.diff(column.first_window))
        arrays = (column.tokens.view(np.int16), column.window_edges.astype(np.int64), stops)
        column.on_device[device] = tuple(torch.from_numpy(array).to(device) for array in arrays)
    return column.on_device[device]
