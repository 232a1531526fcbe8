"""Tables, wrapped text and numbers, as every command prints them."""

import math
from collections.abc import Iterable

WIDTH = 100


def number(value: float | None) -> str:
    """A loss in at most 8 characters."""
    if value is None:
        return "-"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.2e}"


def share(value: float | None, decimals: int = 4) -> str:
    """A skill or a score in at most ``decimals + 3`` characters; rounded down, so that 1.000 means exact."""
    if value is None:
        return "-"
    if value <= -10:
        return f"{value:.0e}"
    scale = 10**decimals
    return f"{math.floor(value * scale + 1e-9) / scale:.{decimals}f}"


def perturbed_text(perturbed: tuple[int, int]) -> str:
    """``1`` or ``1-19``."""
    return str(perturbed[0]) if perturbed[0] == perturbed[1] else f"{perturbed[0]}-{perturbed[1]}"


def span(values: Iterable[float | None]) -> str:
    """The value, or the smallest and the largest of several; ``-`` where there is none."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return "-"
    low, high = share(min(known), 2), share(max(known), 2)
    return low if low == high else f"{low}-{high}"
