"""What follows for a promise of positions, from the sites and from tiles, in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence

from normscope.audit.promises import Standing
from normscope.graph.operators import Node
from normscope.scope.proved import place_of
from normscope.scope.tiles import Tiles
from normscope.wording import counted

ROUNDING = 1e-5
"""Beside the deviation of an output: what other orders of summation make of a tile, at most."""


def statistics_along(axis: str | int, count: int, along: Sequence[int]) -> str:
    """How many of the normalizations take statistics along an axis, in words."""
    verb = "takes" if len(along) == 1 else "take"
    name = axis if isinstance(axis, str) else f"axis {axis}"
    return f"{len(along)} of {counted(count, 'normalization')} {verb} statistics along {name}"


def standing_of(
    axis: str | int,
    count: int,
    along: Sequence[int],
    unclear: Sequence[int],
    seen: Tiles,
    reached: Node | None,
) -> tuple[Standing, str, str]:
    """What follows from the sites and from calls; how, and why.

    Args:
        axis: that is promised.
        count: how many sites there are.
        along: the numbers of those whose statistics run along it.
        unclear: of those where that is not known.
        seen: by calls.
        reached: the first operator that may take a statistic along it; None where no operator
            does, so that what sees far is a product, an attention or a gather.
    """
    name = axis if isinstance(axis, str) else f"axis {axis}"
    statistics = statistics_along(axis, count, along)
    match bool(along), bool(unclear), seen.far:
        case True, _, False:
            return Standing.UNKNOWN, "", f"{statistics}, but no probe shows it"
        case True, _, _:
            return Standing.BROKEN, "", statistics
        case False, True, False:
            return Standing.KEPT, "by probing", f"far ends of {name} do not see each other"
        case False, True, True:
            why = f"it is not known what is normalized over, and far ends of {name} see each other"
            return Standing.UNKNOWN, "", why
        case False, True, _:
            why = (
                f"it is not known what is normalized over, and {seen.why or 'no output was asked'}"
            )
            return Standing.UNKNOWN, "", why
        case False, False, True if reached is not None:
            why = (
                f"no normalization is known to take statistics along {name}, but the outer quarter "
                f"of the output changes with its other half, and {place_of(reached)} may be such a "
                "statistic"
            )
            return Standing.UNKNOWN, "", why
    probed = {
        True: "; what sees far ends of it, as attention and products do, takes no statistics",
        False: ", and far ends of it do not see each other",
    }
    return Standing.KEPT, "proved", statistics + (probed[seen.far] if seen.far is not None else "")


def numbers_of(seen: Tiles) -> dict[str, float | int]:
    """How far the outputs of tiles are from that of the whole, and its deviation."""
    if seen.difference is None or seen.away is None or seen.spread is None:
        return {}
    return {"tiles_differ": seen.difference, "away_from_cut": seen.away, "spread": seen.spread}


def compared(seen: Tiles) -> str:
    """Whole and tiles, in words; "" if they were not compared."""
    if seen.difference is None or seen.away is None or seen.spread is None:
        return f"no tiles were compared: {seen.why}"
    if seen.away <= ROUNDING * seen.spread:
        return "the whole and two tiles agree away from the cut"
    return (
        f"the output of two tiles differs from that of the whole by up to {seen.difference:.3g}, "
        f"by {seen.away:.3g} away from the cut (the output's deviation is {seen.spread:.3g})"
    )
