"""Where a task keeps what becomes of its messages: Airflow's task state store, where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.hooks.task_state import life_of, task_state, tried_before

if TYPE_CHECKING:
    from airflow_provider_b24.chat.delivery import Memory

_PREFIX = "bitrix24/message/"


def memory_of(context: Mapping[str, Any], name: str, *, post_again_when_cleared: bool = True) -> Memory:
    """What is kept of one message of a task, for its later tries.

    On Airflow 3.2, which has no state store, a retry knows only when its run has begun. Outside a task (an empty
    context) all is forgotten when the call ends.

    :param context: of the task.
    :param name: tells this message from the task's others.
    :param post_again_when_cleared: whether a clear of the task makes it a new message.
    """
    from airflow_provider_b24.chat.delivery import Memory

    ti: Any = context.get("ti")
    seed = str(getattr(ti, "id", ""))
    key = f"{_PREFIX}{name}"
    store = task_state(context)
    if store is None:
        return Memory(key=key, since=_earliest(context), seed=seed)
    return Memory(
        store,
        key,
        lasting=True,
        life=life_of(context),
        any_life=not post_again_when_cleared,
        seed=seed,
    )


def memory_here(name: str, *, post_again_when_cleared: bool = True) -> Memory:
    """Like :func:`memory_of`, for the task that is running here.

    :raises ConfigurationError: outside a task.
    """
    from airflow.sdk import get_current_context

    from airflow_provider_b24.rest.errors import ConfigurationError

    context: Mapping[str, Any] | None = None
    with suppress(RuntimeError):
        context = get_current_context()
    if context is None:
        raise ConfigurationError(
            f"once is {name!r}, and no task is running here",
            advice="Only a task's messages can be told from those of its earlier tries. In a thread of the task's own, "
            "send without once.",
        )
    return memory_of(context, name, post_again_when_cleared=post_again_when_cleared)


def _earliest(context: Mapping[str, Any]) -> float | None:
    """Since when an earlier try may have posted; None on the first try, also of a task that was cleared."""
    began = getattr(context.get("dag_run"), "start_date", None)
    return float(began.timestamp()) if began is not None and tried_before(context) else None
