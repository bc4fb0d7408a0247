"""What an argument is: the checks that stand before a comparison with the values allowed, which `"3" < 4` would end."""

from __future__ import annotations

import math
from numbers import Real
from typing import TypeGuard


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a finite real number; texts, arrays, True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number, as 4 and 4.0 are; `int` makes it one to count with."""
    return is_number(value) and value == int(value)
