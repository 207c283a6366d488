"""Reading operators' arguments while a DAG is parsed."""

from __future__ import annotations

import datetime as dt
import posixpath
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow_provider_b24.rest.errors import ConfigurationError


def is_known(value: Any) -> bool:
    """Whether a value is known while the DAG is parsed: it is no template, and not the result of another task."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    # What Airflow resolves when the task runs: results of tasks, DAG parameters, literals.
    return not hasattr(value, "iter_references")


def check_unless_template(check: Callable[..., object], value: Any, *names: str) -> None:
    """Check a value that is known now; any other is checked when the task runs.

    :param check: raises what the author of the DAG is to see.
    """
    if is_known(value):
        check(value, *names)


def same_file(one: object, other: object) -> bool:
    """Whether two paths name one file: a protocol of this machine, a connection and ``..`` make no difference."""
    return _place(one) == _place(other)


def _place(path: object) -> str:
    protocol, _, rest = str(path).strip().rpartition("://")
    if protocol in ("", "file", "local"):
        return posixpath.abspath(rest)
    return f"{protocol}://{rest.rpartition('@')[2]}".rstrip("/")


def are_known(values: Any) -> bool:
    """Whether blocks are known while the DAG is parsed: a list of them, or a mapping with such a list."""
    if isinstance(values, Mapping):
        return all(map(are_known, values.values()))
    return is_known(values) and (not isinstance(values, (list, tuple)) or all(map(is_known, values)))


def check_switches(*, or_none: bool = False, **given: object) -> None:
    """Refuse what is neither True nor False, of arguments that are not templated: any text counts as true.

    :param or_none: whether they may be None as well.
    :param given: the arguments by their names.
    :raises ConfigurationError: naming the first.
    """
    for name, value in given.items():
        if not isinstance(value, bool) and not (or_none and value is None):
            raise ConfigurationError(
                f"{name} is {value!r}",
                advice=f"It is True{', False or None' if or_none else ' or False'}; and it can not be a template.",
            )


def check_parallel(value: object) -> None:
    """Refuse what can not be a number of requests that are under way at once."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 40:
        raise ConfigurationError(f"parallel is {value!r}", advice="Give a number from 1 to 40.")


def seconds(value: dt.timedelta | float, argument: str) -> float:
    """A duration as seconds.

    :raises ConfigurationError: unless it is a timedelta or a number, above zero.
    """
    if isinstance(value, dt.timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise ConfigurationError(f"{argument} is {value!r}", advice="Give a timedelta or seconds, above zero.")
    return float(value)


def task_ids(tasks: Any, *, own: str) -> list[str]:
    """The ids of tasks that are given as ids, as operators, as the results of ``@task`` calls, or as groups.

    :param own: the id of the task that is to watch them.
    :raises ConfigurationError: if there are none, or one can not be a task, or is the watching task itself.
    """
    if isinstance(tasks, str) or not isinstance(tasks, Iterable) or hasattr(tasks, "operator"):
        tasks = [tasks]
    found: list[str] = []
    for task in tasks:
        if isinstance(task, str) and task.strip():
            found.append(task.strip())
        elif hasattr(task, "iter_tasks"):
            found.extend(member.task_id for member in task.iter_tasks())
        elif isinstance(getattr(task, "task_id", None), str):
            found.append(task.task_id)
        elif isinstance(getattr(getattr(task, "operator", None), "task_id", None), str):
            found.append(task.operator.task_id)
        else:
            raise ConfigurationError(
                f"while_running of {own!r} has {task!r}", advice="Give task ids, or the tasks themselves."
            )
    if not found:
        raise ConfigurationError(f"while_running of {own!r} is empty", advice="Name the tasks to watch.")
    if own in found:
        raise ConfigurationError(f"while_running of {own!r} names the task itself", advice="Name other tasks.")
    return list(dict.fromkeys(found))
