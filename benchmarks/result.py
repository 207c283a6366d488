"""What a benchmark says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One measured ratio.

    :ivar name: what was measured, beside what.
    :ivar ratio: ours divided by the other.
    :ivar details: the figures behind it, and the budget.
    :ivar good: whether it is within the budget.
    """

    name: str
    ratio: float
    details: str
    good: bool

    def __str__(self) -> str:
        return f"{self.ratio:.2f}x  {self.name}: {self.details}{'' if self.good else '  MISSED'}"
