"""One colour per token id, the same in figure and chips. It is never the only channel: glyph and id stand beside it."""

from __future__ import annotations

import math

GOLDEN_ANGLE_DEG = 137.508  # successive ids land far apart on the colour wheel


def hue(token_id: int) -> float:
    """Hue of a token id in degrees."""
    return (token_id * GOLDEN_ANGLE_DEG) % 360.0


def oklch_hex(hue_deg: float, lightness: float = 0.80, chroma: float = 0.09) -> str:
    """OKLCH -> #rrggbb. Equal lightness for every hue, so one text colour is readable on all of them."""
    angle = math.radians(hue_deg)
    a, b = chroma * math.cos(angle), chroma * math.sin(angle)
    l3 = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    m3 = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    s3 = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * l3 - 3.3077115913 * m3 + 0.2309699292 * s3,
        -1.2684380046 * l3 + 2.6097574011 * m3 - 0.3413193965 * s3,
        -0.0041960863 * l3 - 0.7034186147 * m3 + 1.7076147010 * s3,
    )
    return "#" + "".join(f"{round(255 * _gamma(min(max(channel, 0.0), 1.0))):02x}" for channel in linear)


def token_colour(token_id: int) -> str:
    """Hex colour of a token id."""
    return oklch_hex(hue(token_id))


def _gamma(channel: float) -> float:
    return 12.92 * channel if channel <= 0.0031308 else 1.055 * channel ** (1 / 2.4) - 0.055
