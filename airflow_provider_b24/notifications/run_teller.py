"""From a callback's context to the portal: what a message about a run is told, by whom, and when."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.chat.run_message import Tasks
from airflow_provider_b24.chat.run_record import Event, add, view_of
from airflow_provider_b24.hooks.loop import asked_by, running_loop
from airflow_provider_b24.notifications.run_context import (
    RunFacts,
    end_of,
    event_of,
    facts_of,
    shortened,
    state_of,
    task_ids_of,
)
from airflow_provider_b24.notifications.telling import telling
from airflow_provider_b24.rest.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_b24.chat.living_message import Living, SharedStore
    from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
    from airflow_provider_b24.notifications.run_message import RunMessage
    from airflow_provider_b24.rest.peer import Patience, Peer
    from airflow_provider_b24.rest.steps import Step

    States = Callable[[Mapping[str, Any], RunFacts], dict[str, "str | None"]]

_KEY, _INDEX = "bitrix24_run_", "bitrix24_runs_"
# What ends a task's process in an orderly way.
_ENDS = ("on_success_callback", "on_failure_callback", "on_retry_callback", "on_skipped_callback")
# Seconds that the loop of an event is given to let a question be answered.
_ANSWERED_SECONDS = 60.0
# For so many seconds it is tried to show the end. Airflow gives the callbacks of a DAG 50 s in all (``[dag_processor]
# dag_file_processor_timeout``), and a task that has ended 20 s (``[core] task_success_overtime``).
_INSISTS_FOR_DAG, _INSISTS_FOR_TASK = 30.0, 10.0
# So long the process waits for the traceback to be posted.
_DETAILS_SECONDS = 15.0

_who: dict[int, str] = {}


@dataclass(frozen=True)
class _Change:
    """What is new of a run, for :func:`~.chat.living_message.show`."""

    events: tuple[Event, ...]
    look: Callable[[Mapping[str, Any], bool], str]

    @property
    def final(self) -> bool:
        return _is_final(self.events)

    def add(self, known: Mapping[str, Any], /) -> dict[str, Any] | None:
        return add(known, self.events)

    def render(self, known: Mapping[str, Any], /, *, anew: bool) -> str:
        return self.look(known, anew)


class Teller:
    """Tells the message about a run what a context says.

    :param message: the message, for this run.
    :param context: of a callback, or of the task that is running.
    :param hook: makes a hook of a connection.
    :param store: where what is known is shared.
    :param states: how the tasks of the run stand.
    :raises ConfigurationError: if the context does not say which run it is of, or nothing can be kept here.
    """

    def __init__(
        self,
        message: RunMessage,
        context: Mapping[str, Any],
        *,
        hook: Callable[[str], Bitrix24Hook],
        store: Callable[[], SharedStore | None],
        states: States,
    ) -> None:
        facts = facts_of(context)
        if facts is None:
            raise ConfigurationError("the context of the callback does not say which run it is of")
        self._message = message
        self._context = context
        self._facts = facts
        self._hook = hook
        self._store = store
        self._loop = running_loop()
        self._states = states
        kind = (message.bitrix24_conn_id, str(message.dialog_id), message.name, facts.dag_id)
        self._key = _KEY + _digest(*kind, facts.run_id)
        self._index = _INDEX + _digest(*kind)
        self.telling = telling(self._key, message.interval)

    def is_for(self, context: Mapping[str, Any]) -> bool:
        """Whether it is the one for this context, here."""
        return self._context is context and self._loop is running_loop()

    def tell(self) -> None:
        """Tell what has happened; where the process goes on, it may be shown a moment later."""
        self.telling.tell(self._events(), self.say, wait=not self._begins, later=self._may_ask_from_threads)
        self._flush_at_the_end()

    async def atell(self) -> None:
        """Like :meth:`tell`, shown when it returns."""
        async with self._hook(self._message.bitrix24_conn_id) as hook:
            # Its settings are read here, where an event loop may do so.
            await hook.aread()
            event = self._event(hook)
        # Airflow is asked from a thread, by way of the loop.
        events = await asyncio.to_thread(self._with_end, event)
        await self.telling.atell(events, self.asay, self.say, wait=True)

    def update(self, progress: float | None, text: str | None) -> None:
        """Tell what somebody says of the run."""
        self.telling.tell([self._word(progress, text)], self.say, later=self._may_ask_from_threads)
        self._flush_at_the_end()

    async def aupdate(self, progress: float | None, text: str | None) -> None:
        """Like :meth:`update`."""
        await self.telling.atell([self._word(progress, text)], self.asay, self.say)
        self._flush_at_the_end()

    def flush(self) -> None:
        """Tell what is left."""
        self.telling.flush()

    async def aflush(self) -> None:
        """Tell what is left."""
        await self.telling.aflush(self.asay)

    def say(self, events: tuple[Event, ...], wait: bool) -> float | None:
        """Show these events; when to do so again, if need be."""
        from airflow_provider_b24.chat.living_message import show

        with self._hook(self._message.bitrix24_conn_id) as hook:
            client = hook.get_conn()
            client.peer.patience = _patience(client.peer.patience, final=_is_final(events))
            return client.run(partial(show, living=self._living(hook), **self._shown(events, wait)))

    async def asay(self, events: tuple[Event, ...], wait: bool) -> float | None:
        """Like :meth:`say`."""
        from airflow_provider_b24.chat.living_message import show

        async with self._hook(self._message.bitrix24_conn_id) as hook:
            client = await hook.aget_conn()
            client.peer.patience = _patience(client.peer.patience, final=_is_final(events))
            return await client.run(partial(show, living=self._living(hook), **self._shown(events, wait)))

    def reply(self, message: str, once: str | None) -> int:
        """Answer the message, which is posted first where there is none."""
        from airflow_provider_b24.chat.living_message import read, reply

        with self._hook(self._message.bitrix24_conn_id) as hook:
            client, living = hook.get_conn(), self._living(hook)
            if client.run(lambda _: read(living)) is None:
                self.say((self._word(None, None),), False)
            return client.run(partial(reply, living=living, message=message, memory=_memory(once)))

    async def areply(self, message: str, once: str | None) -> int:
        """Like :meth:`reply`."""
        from airflow_provider_b24.chat.living_message import read, reply

        async with self._hook(self._message.bitrix24_conn_id) as hook:
            client = await hook.aget_conn()
            living = self._living(hook)
            if await client.run(lambda _: read(living)) is None:
                await self.asay((self._word(None, None),), False)
            return await client.run(partial(reply, living=living, message=message, memory=_memory(once)))

    def answer_with_details(self) -> None:
        """Answer the message with the traceback of a task that has failed for good; once, whoever calls back again.

        :raises OutcomeUnknownError: if that was not done in 15 s.
        """
        with self._hook(self._message.bitrix24_conn_id) as hook:
            if answer := self._details(hook):
                hook.get_conn().run(answer)

    async def aanswer_with_details(self) -> None:
        """Like :meth:`answer_with_details`."""
        async with self._hook(self._message.bitrix24_conn_id) as hook:
            await hook.aread()
            if answer := self._details(hook):
                await (await hook.aget_conn()).run(answer)

    def _details(self, hook: Bitrix24Hook) -> Callable[[Peer], Generator[Step, Any, int]] | None:
        """The conversation that posts the traceback; None where there is none to post."""
        from airflow_provider_b24.chat.alerts_delivery import within
        from airflow_provider_b24.chat.living_message import reply
        from airflow_provider_b24.chat.text import bold, code
        from airflow_provider_b24.hooks.delivery import memory_of

        error = self._context.get("exception")
        event = self._event(hook)
        if event.end or event.failure is None or event.failure.again or not isinstance(error, BaseException):
            return None
        words = f"{bold(event.task)}\n{code(hook.excerpt(error))}"
        memory = memory_of(self._context, f"details of {self._key}")
        living = self._living(hook)

        def answer(peer: Peer) -> Generator[Step, Any, int]:
            peer.patience = _patience(peer.patience, final=True)
            return (yield from within(peer, reply(peer, living, words, memory), _DETAILS_SECONDS))

        return answer

    @property
    def _begins(self) -> bool:
        """Whether the context is that of a task which goes on: its process has time yet."""
        return "reason" not in self._context and state_of(self._context.get("ti")) == "running"

    @property
    def _may_ask_from_threads(self) -> bool:
        """Whether a thread may ask Airflow beside the task.

        In ``dag.test()`` it could take the answer to a question of the task; in a task with an event loop, the task's
        own questions would fail meanwhile.
        """
        task_runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
        comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
        asynchronous = getattr(getattr(self._context.get("ti"), "task", None), "is_async", False)
        return type(comms).__name__ != "InProcessSupervisorComms" and not asynchronous

    def _events(self) -> Sequence[Event]:
        with self._hook(self._message.bitrix24_conn_id) as hook:
            event = self._event(hook)
        return self._with_end(event)

    def _with_end(self, event: Event) -> Sequence[Event]:
        """With the end of the run, if this was the last of its tasks."""
        if event.end or self._begins:
            return [event]
        end = end_of(self._context, self._facts, self._states_now(), event.at)
        return [event] if end is None else [event, end]

    def _event(self, hook: Bitrix24Hook) -> Event:
        def excerpt(words: str) -> str:
            return shortened(hook.excerpt(words, most=len(words) + 1000))

        return event_of(self._context, self._facts, time.time(), excerpt)

    def _states_now(self) -> dict[str, str | None]:
        return asked_by(self._loop, _ANSWERED_SECONDS, self._states, self._context, self._facts)

    def _shown(self, events: tuple[Event, ...], wait: bool) -> dict[str, Any]:
        """How these events are to be shown."""
        insist = _INSISTS_FOR_DAG if "reason" in self._context else _INSISTS_FOR_TASK
        return {
            "change": _Change(events, self._look),
            "who": _this_process(),
            "wait": wait,
            "insist": insist if _is_final(events) else 0.0,
        }

    def _word(self, progress: float | None, text: str | None) -> Event:
        return Event(self._facts.life, time.time(), started=self._facts.started, progress=progress, text=text)

    def _look(self, known: Mapping[str, Any], anew: bool) -> str:
        view = view_of(
            known,
            dag_id=self._facts.dag_id,
            run_id=self._facts.run_id,
            tasks=Tasks.of(self._states_now(), task_ids_of(self._context)),
            url=self._facts.url,
            anew=anew,
        )
        return self._message.shown(view, self._context)

    def _living(self, hook: Bitrix24Hook) -> Living:
        from airflow_provider_b24.chat.living_message import Living

        store = self._store()
        if store is None:
            raise ConfigurationError(
                "what is known of the message can not be kept here, so that it is not shown",
                advice="Airflow's Variables can not be written in a plain Python process, nor in a callback that an "
                "executor runs: use AsyncCallback instead of SyncCallback.",
            )
        bot = hook.speaker(self._message.as_bot)
        return Living(store, self._key, self._index, str(self._message.dialog_id), bot, self._message.interval)

    def _flush_at_the_end(self) -> None:
        """Have what is left told when the task ends, by callbacks of its own."""
        task = getattr(self._context.get("ti"), "task", None)
        if self.telling.flushed_at_the_end or task is None or not self._begins:
            return
        self.telling.flushed_at_the_end = True

        def flush(_: object) -> None:
            try:
                self.telling.flush()
            except Exception as error:
                self.telling.complain(error)

        for kind in _ENDS:
            setattr(task, kind, [*(getattr(task, kind, None) or ()), flush])


def _is_final(events: Sequence[Event]) -> bool:
    return any(event.end for event in events)


def _patience(own: Patience, *, final: bool) -> Patience:
    """How long a run may be kept waiting for its message: less for what will be shown again soon."""
    if final:
        return replace(own, tries=2, answer=8.0, limits=20.0, operating=10.0)
    return replace(own, tries=2, answer=8.0, limits=5.0, operating=0.0)


def _memory(once: str | None) -> Any:
    from airflow_provider_b24.hooks.delivery import memory_here

    return None if once is None else memory_here(once)


def _this_process() -> str:
    """This process, whichever host it is on."""
    return _who.setdefault(os.getpid(), secrets.token_hex(6))


def _digest(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:24]
