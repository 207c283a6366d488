"""Two things measured in turns, so that what else the machine does strikes both."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks.result import Result

ROUNDS = 5
BUDGET = 1.25


def compare(name: str, pairs: Sequence[tuple[float, float]], calls: int) -> Result:
    """The ratio of the medians.

    :param pairs: seconds of the bare library, and of ours, round by round.
    :param calls: how many calls a round makes.
    """
    bare, ours = (median(times) for times in zip(*pairs, strict=True))
    return Result(
        name,
        ratio=ours / bare,
        details=f"{ours / calls * 1e6:.0f} beside {bare / calls * 1e6:.0f} microseconds a call; "
        f"budget {BUDGET:.2f}x; round by round {', '.join(f'{two / one:.2f}' for one, two in pairs)}",
        good=ours / bare <= BUDGET,
    )
