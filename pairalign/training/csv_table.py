"""Rows of a CSV with a header, read strictly: a quote that is never closed must not swallow the rows below it.

Whatever is wrong names the file and the line at which the row begins. Commas separate columns, the text is UTF-8 (with
or without a byte order mark), and a cell with a comma or a quote in it is quoted.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pairalign.errors import PairAlignError
from pairalign.home import one_line

# what is read from a cell is on one line; other columns may hold notes of several
ONE_LINE_COLUMNS = (
    "path", "split", "speaker", "duration_s", "transcript", "corpus", "start_s", "end_s", "word",
)  # fmt: skip
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars (|)"}
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_WHY = {  # messages of the csv module
    "unexpected end of data": "a quote opens in this row and is never closed",
    "expected after": "text follows a closing quote; a quote inside a quoted cell is written twice",
    "field larger than field limit": "a cell is longer than a manifest's can be",
}


class DataError(PairAlignError):
    """A corpus, manifest or word list that cannot be used; the message says what to change."""


def read_rows(path: Path, required: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row with the line it begins at, cells stripped; rows without anything in them are left out.

    Raises: DataError where the file is no such CSV or lacks a column of `required`, and for a row that has not as many
    cells as the header, or a cell that reaches over several lines as one with a lost quote does.
    """
    if not os.path.isfile(path):
        raise DataError(f"{one_line(path)}: no such file.")
    try:
        with path.open("rb") as file:
            rows = _rows(file, path)
            columns = _header(next(rows, (1, [])), path, required)
            for line, cells in rows:
                yield line, _row(cells, columns, path, line)
    except OSError as error:
        raise DataError(f"{one_line(path)}: cannot be read ({error.strerror}). Check its permissions.") from error


def _rows(file: io.BufferedReader, path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(_lines(file, path), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            why = next((why for message, why in _WHY.items() if message in str(error)), str(error))
            raise DataError(f"{one_line(path)}, line {line}: not a readable CSV ({why}). Correct that row.") from error
        if any(cell.strip() for cell in cells):
            yield line, cells


def _lines(file: io.BufferedReader, path: Path) -> Iterator[str]:
    """Text of the file, line by line, whatever ends its lines."""
    if file.peek(2)[:2] in _UTF_16:
        raise DataError(
            f"{one_line(path)}: not a UTF-8 text file but UTF-16, as spreadsheets write Unicode text. Save it as "
            "CSV UTF-8."
        )
    count = 0
    for raw in file:
        try:
            text = raw.decode("utf-8" if count else "utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{one_line(path)}, line {count + 1}: not a UTF-8 text file, so not a CSV. Save it as CSV UTF-8."
            ) from error
        for line in io.StringIO(text, newline=""):
            count += 1
            if "\0" in line:
                raise DataError(f"{one_line(path)}, line {count}: there is a NUL character, so this is no CSV.")
            yield line


def _header(first: tuple[int, list[str]], path: Path, required: Sequence[str]) -> list[str]:
    line, cells = first
    columns = [cell.strip() for cell in cells]
    if any(_is_torn(column) for column in columns):
        raise DataError(f"{one_line(path)}, line {line}: a cell of the header spans several lines; close its quote.")
    while columns and not columns[-1]:  # as spreadsheets leave them
        columns.pop()
    lacking = [column for column in required if column not in columns]
    if lacking:
        found = one_line(", ".join(columns), 200) or "nothing"
        other = next((name for sign, name in _SEPARATORS.items() if any(sign in column for column in columns)), "")
        split = f" Its columns are separated by {other}." if other else ""
        shown = f"{one_line(path)}: no column {lacking[0]!r} in the header (found: {found})"
        raise DataError(f"{shown}.{split} Use commas between columns.")
    twice = next((column for column in columns if column and columns.count(column) > 1), None)
    if twice is not None:
        raise DataError(f"{one_line(path)}: the column {one_line(twice, 60)!r} is there twice; keep one of them.")
    return columns


def _row(cells: list[str], columns: list[str], path: Path, line: int) -> dict[str, str]:
    where = f"{one_line(path)}, line {line}"
    for column, cell in zip(columns, cells, strict=False):
        if _is_torn(cell) and (column in ONE_LINE_COLUMNS or _swallows(cell, path.parent)):
            raise DataError(
                f"{where}: the cell of {one_line(column, 60)!r} begins with a quote and spans several lines. Close the "
                "quote, or write the cell on one line."
            )
    if len(cells) < len(columns) or any(cell.strip() for cell in cells[len(columns) :]):
        raise DataError(
            f"{where}: the header has {len(columns)} cells, this row {len(cells)}. Write as many; a cell with a comma "
            "in it needs quotes."
        )
    return {column: cell.strip() for column, cell in zip(columns, cells, strict=False) if column}


def _is_torn(cell: str) -> bool:
    return "\n" in cell or "\r" in cell


def _swallows(cell: str, folder: Path) -> bool:
    """Whether rows have got into a cell: below its first line there is the path of a recording."""
    parts = (part.strip() for line in cell.splitlines()[1:] for part in line.split(","))
    return any(os.path.isfile(folder / part) for part in parts)
