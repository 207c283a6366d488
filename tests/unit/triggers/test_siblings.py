"""How other tasks of the run stand, out of what Airflow answers."""

from __future__ import annotations

import asyncio

import pytest
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse

from airflow_provider_b24.triggers.siblings import Siblings, alook, can_look_from_trigger, look, questions
from tests.unit.triggers.comms import InProcessSupervisor, Supervisor

WORKING = Siblings(working=True, finished=False)
WAITING = Siblings(working=False, finished=False)
FINISHED = Siblings(working=False, finished=True)

RUN = {
    "none yet": ([("build", -1, None)], WAITING),
    "scheduled": ([("build", -1, "scheduled")], WAITING),
    "queued": ([("build", -1, "queued")], WAITING),
    "running": ([("build", -1, "running")], WORKING),
    "deferred": ([("build", -1, "deferred")], WORKING),
    "waits for a retry": ([("build", -1, "up_for_retry")], WAITING),
    "waits for its next poke": ([("build", -1, "up_for_reschedule")], WAITING),
    "restarting": ([("build", -1, "restarting")], WAITING),
    "waits for a human": ([("build", -1, "awaiting_input")], WAITING),
    "a state of days to come": ([("build", -1, "pondering")], WAITING),
    "success": ([("build", -1, "success")], FINISHED),
    "failed": ([("build", -1, "failed")], FINISHED),
    "skipped": ([("build", -1, "skipped")], FINISHED),
    "upstream failed": ([("build", -1, "upstream_failed")], FINISHED),
    "removed": ([("build", -1, "removed")], FINISHED),
    "not in the run any more": ([], FINISHED),
    "others do not count": ([("build", -1, "success"), ("load", -1, "running")], FINISHED),
    "mapped, not expanded": ([("build", -1, None)], WAITING),
    "mapped, over nothing": ([("build", -1, "skipped")], FINISHED),
    "mapped, one part runs": ([("build", 0, "success"), ("build", 1, "running"), ("build", 2, None)], WORKING),
    "mapped, one part waits": ([("build", 0, "success"), ("build", 1, "up_for_retry")], WAITING),
    "mapped, all parts done": ([("build", 0, "success"), ("build", 1, "failed"), ("build", 10, "removed")], FINISHED),
}


@pytest.fixture(params=["sync", "async"])
def ask(request, supervised):
    def asking(instances, task_ids=("build",)):
        supervisor = supervised(Supervisor(instances))
        if request.param == "sync":
            answer = look("dag", "run", list(task_ids))
        else:
            stands = asyncio.run(alook("dag", ["run"], list(task_ids)))["run"]
            assert list(stands) == [task_id for group in questions(task_ids) for task_id in group]
            answer = Siblings.together(stands.values())
        return answer, supervisor

    return asking


@pytest.mark.parametrize(("instances", "stand"), RUN.values(), ids=RUN)
def test_one_task(ask, instances, stand):
    assert ask(instances)[0] == stand


@pytest.mark.parametrize(
    ("states", "stand"),
    [
        (("success", "running"), WORKING),
        (("queued", "deferred"), WORKING),
        (("success", "queued"), WAITING),
        (("failed", "up_for_retry"), WAITING),
        (("failed", "success"), FINISHED),
    ],
)
def test_two_tasks(ask, states, stand):
    answer, supervisor = ask([("a", -1, states[0]), ("b", -1, states[1])], ["a", "b"])
    assert answer == stand
    assert len(supervisor.questions) == 1, "they are asked for together"


@pytest.mark.parametrize(
    ("instances", "stand"),
    [
        # The key "build_1" may be part 1 of "build", or the task "build_1".
        ([("build", 0, "success"), ("build", 1, "success"), ("build_1", -1, "running")], WORKING),
        ([("build", 0, "success"), ("build", 1, "running"), ("build_1", -1, "success")], WORKING),
        ([("build", 0, "success"), ("build", 1, "queued"), ("build_1", -1, "success")], WAITING),
        ([("build", 0, "success"), ("build", 1, "success"), ("build_1", 1, "failed")], FINISHED),
    ],
)
def test_tasks_whose_parts_are_called_like_others(ask, instances, stand):
    answer, supervisor = ask(instances, ["build", "build_1", "load"])
    assert answer == stand
    assert [question.task_ids for question in supervisor.questions] == [["build", "load"], ["build_1"]]


def test_a_task_with_a_name_that_begins_alike(ask):
    instances = [("build", -1, "success"), ("build_all", -1, "running"), ("build2", -1, "running")]
    assert ask(instances, ["build"])[0] == FINISHED
    assert ask([("group.build", 3, "running")], ["group.build"])[0] == WORKING
    assert ask([("groupxbuild", -1, "running")], ["group.build"])[0] == FINISHED


@pytest.mark.parametrize(
    ("task_ids", "asked"),
    [
        (["a"], [["a"]]),
        (["a", "b"], [["a", "b"]]),
        (["a", "a_b", "b_1"], [["a", "a_b", "b_1"]]),
        (["a", "a_1"], [["a"], ["a_1"]]),
        (["a_1", "b", "a", "a_2"], [["b", "a"], ["a_1", "a_2"]]),
        (["a_1_2", "a"], [["a_1_2", "a"]]),
        (["a_1_2", "a_1", "a"], [["a_1_2", "a"], ["a_1"]]),
    ],
)
def test_what_is_asked_together(task_ids, asked):
    assert questions(task_ids) == asked


def test_an_error_is_not_taken_for_the_end(monkeypatch):
    class Refusing:
        async def asend(self, message):
            return ErrorResponse(error=ErrorType.GENERIC_ERROR, detail={"status_code": 500})

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Refusing(), raising=False)
    with pytest.raises(TypeError, match="ErrorResponse in answer to GetTaskStates"):
        asyncio.run(alook("dag", ["run"], ["build"]))


def test_where_one_can_look(supervised, monkeypatch):
    assert can_look_from_trigger()
    supervised(InProcessSupervisor())
    assert not can_look_from_trigger()
    monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS")
    assert not can_look_from_trigger()
