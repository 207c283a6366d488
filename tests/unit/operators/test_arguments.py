"""Arguments that are understood while a DAG is parsed."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from airflow.sdk import DAG, TaskGroup, literal, task

from airflow_provider_b24.operators.arguments import (
    are_known,
    check_switches,
    check_unless_template,
    is_known,
    seconds,
    task_ids,
)
from airflow_provider_b24.operators.rest import RestOperator
from airflow_provider_b24.rest.errors import ConfigurationError


@pytest.fixture
def dag():
    with DAG("dag") as made:
        yield made


@pytest.mark.parametrize("value", ["chat5", "", "{chat}", "{ {", 5, None, [], {"a": "{{ x }}"}, 5.0])
def test_known_while_parsing(value):
    assert is_known(value)


def test_known_only_when_the_task_runs(dag):
    first: Any = RestOperator(task_id="first", method="profile")
    assert not is_known("{{ params.chat }}")
    assert not is_known("chat{% if x %}5{% endif %}")
    assert not is_known(first.output)
    assert not is_known(first.output["ID"])
    assert not is_known(first.output.map(str))
    assert not is_known(dag.param("chat", "chat5"))
    assert not is_known(literal("{{ x }}"))


def test_only_what_is_known_is_checked():
    seen = []
    for value in ("chat5", 5, None, "{{ x }}"):
        check_unless_template(lambda *given: seen.append(given), value, "name")
    assert seen == [("chat5", "name"), (5, "name"), (None, "name")]


def test_blocks_that_are_known_while_parsing(dag):
    first: Any = RestOperator(task_id="first", method="profile")
    for known in ([], [1], [{"MESSAGE": "{{ x }}"}], {"BLOCKS": [{"MESSAGE": "{{ x }}"}]}, "[]", None):
        assert are_known(known)
    for unknown in ("{{ x }}", ["{{ x }}"], [first.output], {"BLOCKS": ["{{ x }}"]}, {"BLOCKS": first.output}):
        assert not are_known(unknown)


def test_switches():
    check_switches(a=True, b=False)
    check_switches(a=True, b=None, or_none=True)
    wrong: object
    for wrong in ("no", "", 1, 0, "{{ x }}", []):
        with pytest.raises(ConfigurationError, match=r"^b is .* It is True or False; and it can not be a template"):
            check_switches(a=True, b=wrong)
    with pytest.raises(ConfigurationError, match="a is None"):
        check_switches(a=None)


@pytest.mark.parametrize(
    ("value", "result"),
    [(dt.timedelta(minutes=2), 120.0), (90, 90.0), (0.5, 0.5), (dt.timedelta(milliseconds=1), 0.001)],
)
def test_seconds(value, result):
    assert seconds(value, "keep_for") == result


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (-1, "-1"),
        (dt.timedelta(0), "0.0"),
        (dt.timedelta(seconds=-5), "-5.0"),
        (True, "True"),
        ("60", "'60'"),
        (None, "None"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        ([5], "[5]"),
    ],
)
def test_no_seconds(value, shown):
    with pytest.raises(ConfigurationError) as caught:
        seconds(value, "keep_for")
    assert str(caught.value) == f"keep_for is {shown}. Give a timedelta or seconds, above zero."


def test_ids_of_tasks(dag):
    operator = RestOperator(task_id="operator", method="profile")

    @task
    def function():
        return 1

    @task
    def part(x):
        return x

    called = function()
    mapped = part.expand(x=[1, 2])
    with TaskGroup("group") as group:
        inner = RestOperator(task_id="inner", method="profile")
        with TaskGroup("deeper"):
            RestOperator(task_id="innermost", method="profile")
    partly = RestOperator.partial(task_id="partly", method="profile").expand(params=[{}])

    assert task_ids("build", own="x") == ["build"]
    assert task_ids([" build ", "test"], own="x") == ["build", "test"]
    assert task_ids(operator, own="x") == ["operator"]
    assert task_ids(called, own="x") == ["function"]
    assert task_ids(mapped, own="x") == ["part"]
    assert task_ids(partly, own="x") == ["partly"]
    assert task_ids(inner, own="x") == ["group.inner"]
    assert sorted(task_ids(group, own="x")) == ["group.deeper.innermost", "group.inner"]
    assert task_ids((operator, called, "operator", group, "b"), own="x") == [
        "operator",
        "function",
        *task_ids(group, own="x"),
        "b",
    ]
    assert task_ids({"build"}, own="x") == ["build"]


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ([], "while_running of 'own' is empty. Name the tasks to watch."),
        ("", "while_running of 'own' has ''. Give task ids, or the tasks themselves."),
        (5, "while_running of 'own' has 5. Give task ids"),
        ([None], "while_running of 'own' has None. Give task ids"),
        (["a", ["b"]], "while_running of 'own' has ['b']. Give task ids"),
        (["a", "own"], "while_running of 'own' names the task itself. Name other tasks."),
    ],
)
def test_no_tasks(tasks, words):
    with pytest.raises(ConfigurationError) as caught:
        task_ids(tasks, own="own")
    assert words in str(caught.value)


def test_a_function_that_was_not_called_is_no_task(dag):
    @task
    def function():
        return 1

    with pytest.raises(ConfigurationError, match="Give task ids, or the tasks themselves"):
        task_ids(function, own="own")
