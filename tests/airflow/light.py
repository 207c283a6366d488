"""Was the indicator lit when it should be, and only then?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import pytest

# Seconds in which a change of a task's state has to show in the chat: the trigger looks once a second, and two
# cores that start other tasks meanwhile take their time.
NOTICED = 3.0

# Between two signals in the DAGs of these tests.
INTERVAL = 2.0

# A share of time, which is a sum of differences.
ALWAYS = pytest.approx(1.0, abs=1e-6)

Span = tuple[float, float]


def spans(tasks: Iterable[Any]) -> list[Span]:
    """From when to when something worked; what overlaps is one."""
    joined: list[Span] = []
    for start, end in sorted((task.start, task.end) for task in tasks):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def dark(signals: Sequence[float], span: Span) -> list[Span]:
    """Where in this time the signals were missing."""
    marks = [span[0], *(signal for signal in signals if span[0] <= signal <= span[1]), span[1]]
    return [gap for gap in pairwise(marks) if gap[1] - gap[0] > INTERVAL + NOTICED]


def astray(signals: Sequence[float], spans: Sequence[Span]) -> list[float]:
    """The signals that belong to none of these times."""
    return [signal for signal in signals if not any(start <= signal <= end + NOTICED for start, end in spans)]
