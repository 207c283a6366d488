"""A message that several processes keep up to date, in simulated time: all at once, over a slow store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_b24.chat.delivery import Memory
from airflow_provider_b24.chat.living_message import Living, show
from airflow_provider_b24.chat.message import post
from tests.unit.chat.dialog import Dialog, Editable, Kept, Side

# How long the way to the store and back may take: a machine that has too much to do is as slow as that.
slow = st.floats(0, 1.5)
starts = st.lists(st.floats(0, 1), min_size=2, max_size=6)
seeds = st.integers(0, 2**32)


@dataclass(frozen=True)
class Task:
    """One more task has begun, or the last has ended."""

    number: int
    final: bool = False

    def add(self, known: Mapping[str, Any]) -> dict[str, Any] | None:
        if known.get("over"):
            return None
        return {"begun": sorted({*known.get("begun", ()), self.number}), "over": self.final}

    def render(self, known: Mapping[str, Any], *, anew: bool) -> str:
        return f"{known['begun']} {'over' if known['over'] else 'running'}"


@given(starts, slow, seeds)
@settings(max_examples=60)
def test_those_who_begin_at_once_post_one_message(starts: list[float], seconds: float, seed: int) -> None:
    random = Random(seed)
    dialog, store = Dialog(), Kept()
    side = Side(dialog, lambda what: random.uniform(0, seconds if what == "store" else 0.1))
    for number, start in enumerate(starts):
        memory = Memory(store, "k", lasting=True, any_life=True, crowded=True)
        side.start(post(dialog.peer(), dialog_id="chat2935", message=f"from {number}", memory=memory), start)
    side.run()
    (message,) = dialog.of()
    assert side.outcomes == [message["id"]] * len(starts)


@given(starts, slow, seeds)
@settings(max_examples=60)
def test_a_run_whose_tasks_start_at_once_has_one_message_which_ends(
    starts: list[float], seconds: float, seed: int
) -> None:
    random = Random(seed)
    dialog, store = Editable(), Kept()
    side = Side(dialog, lambda what: random.uniform(0, seconds if what == "store" else 0.1))
    living = Living(store, "run", "runs", "chat2935")
    for number, start in enumerate(starts):
        side.start(show(dialog.peer(), living, Task(number), who=str(number), wait=True), start)
    side.start(show(dialog.peer(), living, Task(99, final=True), who="end", wait=True), 300.0)
    side.run()
    (message,) = dialog.of()
    assert message["text"].endswith("over")
    assert not [outcome for outcome in side.outcomes if isinstance(outcome, Exception)]
