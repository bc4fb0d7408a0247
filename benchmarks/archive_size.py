"""What an hour of audio takes in an archive: python -m benchmarks.archive_size DB [--json FILE]

The archive's windows are written anew: with all methods and with the first alone, as the recordings they are of and
as recordings of an hour, into an archive (vacuumed) and a shard. Memory is that of the first method's strings as the
search holds them. Sizes are exact for these strings; nothing is timed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pairalign.archive.column import pack_arrays
from pairalign.archive.record import Model
from pairalign.archive.shards import Entry, write_shard
from pairalign.archive.store import Store
from pairalign.archive.window import ArchiveWindow

HOUR_S = 3600.0


def entries_of(store: Store, methods: Sequence[str]) -> list[Entry]:
    """Everything that an archive holds, in the strings of some methods."""
    return [(r, {method: store.windows(r.id, method) for method in methods}) for r in store.recordings()]


def by_the_hour(entries: Sequence[Entry]) -> list[Entry]:
    """The same windows as recordings of about an hour, one after the other on its time axis."""
    hours: list[Entry] = []
    held: dict[str, list[ArchiveWindow]] = {method: [] for method in entries[0][1]}
    at_s = 0.0
    for recording, strings in entries:
        for method, windows in strings.items():
            held[method] += [replace(w, start_s=at_s + w.start_s, end_s=at_s + w.end_s) for w in windows]
        at_s += recording.duration_s
        if at_s >= HOUR_S or recording is entries[-1][0]:
            hours.append((replace(recording, duration_s=at_s), held))
            held, at_s = {method: [] for method in held}, 0.0
    return hours


def bytes_of(model: Model, entries: Sequence[Entry]) -> tuple[int, int]:
    """Sizes of an archive and of a shard with these recordings."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "copy.db")
        store.claim(model)
        store.add_all(entries)
        store.vacuum()
        shard = Path(folder) / "copy.parquet"
        write_shard(shard, model, entries)
        return store.path.stat().st_size, shard.stat().st_size


def bytes_in_memory(store: Store, method: str) -> int:
    """What a search holds of a method: the packed strings, and the column that is made of them."""
    packed = store.packed(method)
    column = pack_arrays(packed.tokens, packed.window_edges, packed.first_window)
    arrays = (packed.recording_ids, packed.durations_s, packed.first_window, packed.window_edges, packed.tokens)
    shared = (column.tokens, column.window_edges, column.first_window)
    own = [array for array in arrays if not any(np.shares_memory(array, other) for other in shared)]
    return column.nbytes + sum(array.nbytes for array in own)


def main() -> None:
    """Print a table and, if asked, write the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", metavar="DB")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    store = Store(args.archive, create=False)
    model = store.model()
    hours = sum(recording.duration_s for recording in store.recordings()) / HOUR_S
    first = next(iter(model.methods))
    windows, tokens = store.totals()[first]
    rows = {"windows": windows / hours, f"{first} tokens": tokens / hours}
    for methods in ([first], list(model.methods)):
        kept = replace(model, methods={method: model.methods[method] for method in methods})
        entries = entries_of(store, methods)
        for name, grouped in (("as they are", entries), ("by the hour", by_the_hour(entries))):
            database, shard = bytes_of(kept, grouped)
            rows[f"archive, {'+'.join(methods)}, {name}, bytes"] = database / hours
            rows[f"shard, {'+'.join(methods)}, {name}, bytes"] = shard / hours
    rows[f"memory, {first}, bytes"] = bytes_in_memory(store, first) / hours
    print(f"{len(store.recordings())} recordings, {hours:.3f} h; for each hour:")
    for name, value in rows.items():
        print(f"{name:<52} {value:>12,.0f}")
    if args.json:
        document = {"recordings": len(store.recordings()), "hours": hours, "per_hour": rows}
        Path(args.json).write_text(json.dumps(document, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
