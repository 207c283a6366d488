"""What a task's context says of what is kept of its messages."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace

import pytest

from airflow_provider_b24.hooks.delivery import memory_here, memory_of
from airflow_provider_b24.rest.errors import ConfigurationError

BEGAN = dt.datetime(2026, 10, 1, tzinfo=dt.timezone.utc)


class Accessor(dict):
    def set(self, key, value):
        self[key] = value


def context(*, try_number=1, max_tries=2, retries=2, **more):
    ti = SimpleNamespace(id="0199-7", try_number=try_number, max_tries=max_tries, task=SimpleNamespace(retries=retries))
    return {"ti": ti, "dag_run": SimpleNamespace(start_date=BEGAN), **more}


def test_a_state_store_is_a_mapping():
    store = Accessor()
    memory = memory_of(context(task_state_store=store), "summary")
    assert memory.lasting
    assert memory.store.get(memory.key) is None
    memory.store[memory.key] = {"id": 5}
    assert store == {"bitrix24/message/summary": {"id": 5}}
    assert memory.store.get(memory.key) == {"id": 5}


def test_a_retry_has_the_same_life_and_a_clear_another():
    def life(**more):
        return memory_of(context(task_state_store=Accessor(), **more), "m").life

    assert life(try_number=1) == life(try_number=3)
    # Cleared after its first try: max_tries is that try and the retries.
    assert life(try_number=2, max_tries=3) != life(try_number=1)
    assert memory_of(context(task_state_store=Accessor()), "m", post_again_when_cleared=False).any_life


@pytest.mark.parametrize(
    ("more", "since"),
    [
        ({"try_number": 1}, None),
        ({"try_number": 2}, BEGAN.timestamp()),
        ({"try_number": 2, "max_tries": 3}, None),
        ({"try_number": 3, "max_tries": 3}, BEGAN.timestamp()),
        ({"try_number": 2, "dag_run": None}, None),
    ],
)
def test_without_a_store_a_retry_knows_when_the_run_began(more, since):
    memory = memory_of(context(**more), "m")
    assert (memory.since, memory.lasting) == (since, False)


@pytest.mark.parametrize("store", [{}, {"task_state_store": Accessor()}])
def test_two_messages_of_a_task_are_two(store):
    first, second = (memory_of(context(**store), name) for name in ("summary", "details"))
    assert (first.seed, first.key) != (second.seed, second.key), "a bot's UUID is made of these"


@pytest.mark.parametrize("given", [{}, {"ti": SimpleNamespace()}, {"ti": SimpleNamespace(max_tries=1)}])
def test_a_context_that_says_nothing(given):
    memory = memory_of(given, "m")
    assert (memory.since, memory.lasting) == (None, False)


def test_outside_a_task():
    with pytest.raises(ConfigurationError, match="once is 'summary', and no task is running here"):
        memory_here("summary")
