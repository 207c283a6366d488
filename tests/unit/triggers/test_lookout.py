"""Looking for many at once, in time that leaps; Airflow's supervisor is played, and takes its time to answer."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import pytest
from airflow.sdk.execution_time.comms import GetTaskStates, TaskStatesResult

from airflow_provider_b24.triggers import lookout
from airflow_provider_b24.triggers.lookout import watching
from airflow_provider_b24.triggers.siblings import Siblings
from tests.unit.chat.loops import run_at_once

WORKING = Siblings(working=True, finished=False)
FINISHED = Siblings(working=False, finished=True)


class Supervisor:
    """Answers one question after the other, as Airflow's does.

    :ivar states: of a task in a run, by DAG, run and task (with its map index, where it has one); running by default.
    :ivar questions: when each was asked, and of how many runs.
    """

    def __init__(self, base: float = 0.006, each: float = 0.00007) -> None:
        self.states: dict[tuple[str, str], dict[str, str]] = defaultdict(lambda: {"work": "running"})
        self.questions: list[tuple[float, str, int]] = []
        self.failing = False
        self.busy = 0.0
        self._base, self._each = base, each
        self._turn = asyncio.Lock()

    async def asend(self, message: GetTaskStates) -> TaskStatesResult:
        async with self._turn:
            loop = asyncio.get_running_loop()
            runs = message.run_ids or []
            self.questions.append((loop.time(), message.dag_id, len(runs)))
            if self.failing:
                raise RuntimeError("s3cret")
            answer = {
                run: {
                    key: state
                    for key, state in self.states[message.dag_id, run].items()
                    if (key if key in (message.task_ids or ()) else key.split("_")[0]) in (message.task_ids or ())
                }
                for run in runs
            }
            cost = self._base + self._each * sum(map(len, answer.values()))
            self.busy += cost
            await asyncio.sleep(cost)
            return TaskStatesResult(task_states=answer)


def play(main: Coroutine[Any, Any, None]) -> None:
    """Run it, until nobody looks any more."""

    async def whole() -> None:
        await main
        await asyncio.sleep(60)

    run_at_once(whole())


async def seen(watch: lookout.Watch, wanted: Siblings, patience: float = 60.0) -> float:
    """When the watch has first seen that."""
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    while await watch.news(end - loop.time()) != wanted:
        assert loop.time() < end, f"{watch.seen} instead of {wanted}"
    return loop.time()


def test_one_is_looked_at_as_often_as_it_asks(supervised):
    async def main() -> None:
        supervisor = supervised(Supervisor())
        with watching("dag", "run", ["work"], 2.0) as watch:
            assert await watch.news(5) == WORKING
            assert await watch.news(9) is None, "nothing new"
            supervisor.states["dag", "run"] = {"work": "success"}
            assert await watch.news(5) == FINISHED
        times = [time for time, _, _ in supervisor.questions]
        assert times == pytest.approx([0.1, 2.1, 4.1, 6.1, 8.1, 10.1])
        await asyncio.sleep(60)
        assert len(supervisor.questions) == len(times), "nobody watches any more"
        assert not lookout._lookouts

    play(main())


@pytest.mark.parametrize("runs", [1, 1000])
def test_a_thousand_share_their_looks(supervised, runs):
    async def main() -> None:
        supervisor = supervised(Supervisor())
        loop = asyncio.get_running_loop()
        with ExitStack() as stack:
            watches = [
                stack.enter_context(watching("dag", f"run{number % runs}", ["work"], 2.0)) for number in range(1000)
            ]
            await asyncio.gather(*(seen(watch, WORKING) for watch in watches))
            assert loop.time() < 3, "all have seen something soon"
            begun, busy = loop.time(), supervisor.busy
            for number in range(0, runs, 100):
                await asyncio.sleep(7)
                supervisor.states["dag", f"run{number}"] = {"work": "failed"}
                ended = loop.time()
                assert await seen(watches[number], FINISHED) - ended < 3, "hardly later than if it were alone"
            assert (supervisor.busy - busy) / (loop.time() - begun) < 0.1
        assert max(count for _, _, count in supervisor.questions) <= 200

    play(main())


def test_a_thousand_parts_of_a_task(supervised):
    async def main() -> None:
        supervisor = supervised(Supervisor())
        parts = supervisor.states["dag", "run"] = {f"work_{number}": "running" for number in range(1000)}
        with ExitStack() as stack:
            watches = [stack.enter_context(watching("dag", "run", ["work"], 2.0)) for _ in range(1000)]
            await seen(watches[999], WORKING)
            parts.update(dict.fromkeys(parts, "success"))
            parts["work_7"] = "up_for_retry"
            await seen(watches[999], Siblings(working=False, finished=False))
            parts["work_7"] = "success"
            ended = asyncio.get_running_loop().time()
            assert await seen(watches[0], FINISHED) - ended < 3

    play(main())


def test_many_dags_take_turns(supervised):
    async def main() -> None:
        supervisor = supervised(Supervisor())
        loop = asyncio.get_running_loop()
        with ExitStack() as stack:
            watches = [stack.enter_context(watching(f"dag{number}", "run", ["work"], 2.0)) for number in range(200)]
            await asyncio.gather(*(seen(watch, WORKING) for watch in watches))
            begun, busy = loop.time(), supervisor.busy
            await asyncio.sleep(30)
            assert (supervisor.busy - busy) / (loop.time() - begun) < 0.11
            late = stack.enter_context(watching("late", "run", ["work"], 2.0))
            assert await seen(late, WORKING) - loop.time() < 1, "who has seen nothing goes first"
            asked = [dag for time, dag, _ in supervisor.questions if time > 20]
            assert {f"dag{number}" for number in range(200)} <= set(asked), "nobody is forgotten"

    play(main())


def test_each_sees_its_own_tasks(supervised):
    async def main() -> None:
        supervisor = supervised(Supervisor())
        supervisor.states["dag", "one"] = {"build": "success", "test": "running", "load": "queued"}
        supervisor.states["dag", "two"] = {"build": "running", "test": "queued"}
        wanted = {
            ("one", "build"): FINISHED,
            ("one", "build", "test"): WORKING,
            ("one", "load"): Siblings(working=False, finished=False),
            ("two", "build"): WORKING,
            ("two", "load"): FINISHED,
            ("three", "load"): FINISHED,
        }
        supervisor.states["dag", "three"] = {}
        async with AsyncExitStack() as stack:
            for (run, *task_ids), stand in wanted.items():
                watch = stack.enter_context(watching("dag", run, task_ids, 2.0))
                assert await watch.news(5) == stand

    play(main())


def test_a_question_that_was_asked_gets_its_answer(supervised):
    """On Airflow 3.2 an answer that nobody waits for goes to the next who asks, and the triggerer dies."""

    class Answering(Supervisor):
        given_up = 0

        async def asend(self, message: GetTaskStates) -> TaskStatesResult:
            try:
                return await super().asend(message)
            except asyncio.CancelledError:
                self.given_up += 1
                raise

    async def watch() -> None:
        with watching("dag", "run", ["work"], 2.0) as watch:
            while True:
                await watch.news(60)

    async def main() -> None:
        supervisor = supervised(Answering(base=1.0))
        before = asyncio.all_tasks()
        for asking in (True, False):
            one = asyncio.create_task(watch())
            await asyncio.sleep(0.5 if asking else 1.5)
            one.cancel()
            await asyncio.sleep(10)
        assert supervisor.given_up == 0
        assert len(supervisor.questions) == 2
        assert asyncio.all_tasks() == before, "nobody looks any more"

    play(main())


def test_a_look_that_fails_is_told_once_and_repeated(supervised):
    async def main() -> None:
        supervisor = supervised(Supervisor())
        with watching("dag", "run", ["work"], 2.0) as watch:
            assert await watch.news(5) == WORKING
            supervisor.failing = True
            with pytest.raises(RuntimeError):
                await watch.news(5)
            assert await watch.news(20) is None
            supervisor.failing = False
            assert await watch.news(5) == WORKING

    play(main())


def test_a_busy_supervisor_is_asked_less_often_and_not_forgotten(supervised):
    async def main() -> None:
        supervisor = supervised(Supervisor(base=4.0))
        with watching("dag", "run", ["work"], 2.0) as watch:
            assert await watch.news(10) == WORKING
            await asyncio.sleep(60)
        assert 12 <= len(supervisor.questions) <= 16

    play(main())
