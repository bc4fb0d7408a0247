"""Values of a file that may hold anything: each becomes what was hoped for, or nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

MAX_TEXT = 300
LARGEST = 1e15


def mapping(value: object) -> Mapping[str, Any]:
    """The mapping, or an empty one."""
    return value if isinstance(value, Mapping) else {}


def number(value: object) -> float:
    """A finite number, or NaN."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST:
        return float(value)
    return math.nan


def count(value: object) -> str:
    """A number without decimals, or nothing."""
    found = number(value)
    return "" if math.isnan(found) else f"{found:,.0f}"


def text(value: object) -> str:
    """Escaped, and not endless."""
    plain = "" if value is None else str(value)
    return escape(plain if len(plain) <= MAX_TEXT else f"{plain[:MAX_TEXT]} …")
