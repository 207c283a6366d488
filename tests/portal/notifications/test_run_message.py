"""The message about a run, from the callbacks of its tasks and from inside a task."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
import json
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.api.datamodels._generated import DagRunState, TaskInstanceState

from airflow_provider_b24.notifications import run_teller
from airflow_provider_b24.notifications.run_context import state_of
from airflow_provider_b24.notifications.run_message import RunMessage
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.testing import Fault
from tests.portal.chat.test_living_message import CHAT, UPDATE, Shared, texts
from tests.portal.hook.faces import eventually

BEGAN = dt.datetime(2026, 9, 1, 9, tzinfo=dt.timezone.utc)


class Kept(RunMessage):
    """With a store in memory, and tasks whose states are set by hand."""

    store: Shared | None
    states: dict[str, str | None]

    def _store(self) -> Shared | None:
        return self.store

    def _states(self, context: Any, facts: Any) -> dict[str, str | None]:
        ti = context.get("ti")
        return {**self.states, **({ti.task_id: state_of(ti)} if ti is not None and "reason" not in context else {})}


class Run:
    """A run of a DAG with two tasks, one after the other."""

    def __init__(self, of: str, /, **arguments: Any) -> None:
        with DAG("weekly", schedule=None) as dag:
            BaseOperator(task_id="load") >> BaseOperator(task_id="post")
        self.dag = dag
        self.run_id = f"manual__{of}"
        self.message = Kept(CHAT, **arguments)
        self.message.store = Shared()
        self.message.states = {"load": None, "post": None}
        self.life = 0

    def run(self, **fields: Any) -> SimpleNamespace:
        given = {"start_date": BEGAN, "end_date": None, "clear_number": self.life, "state": "running"} | fields
        return SimpleNamespace(dag_id="weekly", run_id=self.run_id, **given)

    def context(self, task_id: str, state: str, exception: Any = None, try_number: int = 1) -> dict[str, Any]:
        ti = SimpleNamespace(
            dag_id="weekly",
            run_id=self.run_id,
            task_id=task_id,
            map_index=-1,
            state=TaskInstanceState(state),
            try_number=try_number,
            max_tries=1,
            log_url="http://airflow/log",
            task=self.dag.get_task(task_id),
        )
        more = {"exception": exception} if exception is not None else {}
        return {"dag": self.dag, "dag_run": self.run(), "ti": ti, **more}

    def task(self, task_id: str, state: str, exception: Any = None, try_number: int = 1) -> None:
        context = self.context(task_id, state, exception, try_number)
        self.message(context)
        self.message.states[task_id] = state

    def end(self, state: str, reason: str, task_id: str = "post") -> dict[str, Any]:
        run = self.run(state=DagRunState(state), end_date=BEGAN + dt.timedelta(seconds=192))
        return {"dag": self.dag, "dag_run": run, "reason": reason, "ti": self.context(task_id, state)["ti"]}


@pytest.fixture
def begin(request, portal):
    """Begins a run whose edits follow each other at once, under a name of its own."""
    yield lambda **arguments: Run(request.node.name, **({"interval": 0.001} | arguments))
    # What is still to be told is not told to the portal of the next test.
    for timer in threading.enumerate():
        if isinstance(timer, threading.Timer):
            timer.cancel()
            timer.join(10)


@pytest.fixture
def in_task(monkeypatch):
    """Acts as a task that is running here."""

    @contextmanager
    def running(context: dict[str, Any]):
        with monkeypatch.context() as patched:
            patched.setattr("airflow.sdk.get_current_context", lambda: context)
            yield

    return running


def only(portal) -> list[str]:
    (text,) = texts(portal)
    return text.splitlines()


def test_a_run_from_its_first_task_to_its_end(portal, begin):
    run = begin()
    run.task("load", "running")
    assert only(portal)[:2] == ["▶️ [b]weekly[/b] is running", "▱▱▱▱▱▱▱▱▱▱ 0 % · 0 of 2 tasks · now: load"]
    run.task("load", "success")
    assert only(portal)[:2] == ["▶️ [b]weekly[/b] is running", "▰▰▰▰▰▱▱▱▱▱ 50 % · 1 of 2 tasks · waiting"]
    run.task("post", "running")
    run.task("post", "success")
    run.message(run.end("success", "success"))
    assert only(portal)[0].startswith("✅ [b]weekly[/b] is done in ")
    assert "1 of 2" not in only(portal)[1]


def test_it_is_queued_until_something_has_begun(portal, begin):
    run = begin()
    run.message({"dag": run.dag, "dag_run": run.run(start_date=None)})
    assert only(portal)[:2] == ["🕓 [b]weekly[/b] is queued", "▱▱▱▱▱▱▱▱▱▱ 0 % · 0 of 2 tasks"]
    run.task("load", "up_for_retry", ValueError("first"))
    assert only(portal)[:2] == ["▶️ [b]weekly[/b] is running", "▱▱▱▱▱▱▱▱▱▱ 0 % · 0 of 2 tasks · waiting for load"]


def test_that_the_run_has_begun_takes_nothing_away(portal, begin):
    """The scheduler does not know how the tasks stand, and is heard after the first of them."""
    run = begin()
    run.task("load", "running")
    shown = texts(portal)
    run.message.states = {}
    run.message({"dag_run": {"dag_id": "weekly", "run_id": run.run_id, "start_date": BEGAN, "clear_number": 0}})
    assert texts(portal) == shown


def test_a_run_that_fails_after_a_retry(portal, begin):
    run = begin(language="ru")
    run.task("load", "running")
    run.task("load", "up_for_retry", ValueError("first [b]try[/b]\nmore"))
    assert "[b]load[/b]: попытка 1 из 2 не удалась: ValueError: first [\u200bb]try[\u200b/b] · [url=" in only(portal)[2]
    run.task("load", "failed", ValueError("second"), 2)
    shown = only(portal)
    assert shown[0].startswith("❌ [b]weekly[/b]: ошибка через "), "no other task can run any more"
    assert "ошибка (попытка 2 из 2): ValueError: second" in shown[2]
    edits = [call.method for call in portal.calls].count(UPDATE)
    run.message.states = {"load": "failed", "post": "upstream_failed"}
    run.message(run.end("failed", "task_failure", "load"))
    run.message(run.end("failed", "task_failure", "load"))
    run.task("load", "running")
    assert [call.method for call in portal.calls].count(UPDATE) - edits <= 1, "it is known already"
    assert only(portal)[0].startswith("❌")


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("state", ["success", "skipped"])
def test_the_end_is_concluded_from_the_last_task(portal, begin, asynchronous, state):
    run = begin()
    run.task("load", "running")
    run.task("load", "success")
    context = run.context("post", state)
    if asynchronous:
        asyncio.run(run.message.async_notify(context))
    else:
        run.message(context)
    assert only(portal)[0].startswith("✅ [b]weekly[/b] is done in ")


def test_an_end_that_the_portal_did_not_take_is_shown_by_the_next_run(portal, begin, monkeypatch):
    monkeypatch.setattr(run_teller, "_INSISTS_FOR_DAG", 0.1)
    run = begin()
    run.task("load", "running")
    fault = portal.faults.add(Fault("html_502", UPDATE, times=None))
    run.message(run.end("success", "success"))
    portal.faults.remove(fault)
    assert only(portal)[0] == "▶️ [b]weekly[/b] is running"
    run.run_id += "_next"
    run.task("load", "running")
    assert [text.splitlines()[0] for text in texts(portal)] == [
        "✅ [b]weekly[/b] is done in 3 min 12 s",
        "▶️ [b]weekly[/b] is running",
    ]


def test_a_run_that_only_the_dag_tells_of(portal, begin):
    run = begin()
    run.message(run.end("failed", "timed_out", "load"))
    assert only(portal)[0] == "❌ [b]weekly[/b] failed after 3 min 12 s (timed out)"
    assert "[timestamp" not in texts(portal)[0], "the message shows by itself when it was posted"


def test_a_cleared_run_goes_on_with_its_message(portal, begin):
    run = begin()
    run.task("load", "running")
    run.message(run.end("failed", "task_failure", "load"))
    assert "[timestamp=1788253392 " in only(portal)[-1]
    run.life = 1
    run.task("load", "running")
    eventually(lambda: only(portal)[0] == "▶️ [b]weekly[/b] is running")


@pytest.mark.parametrize(
    "context",
    [
        {"dag_run": {"dag_id": "weekly", "dag_run_id": "r1", "start_date": "2026-09-01T09:00:00Z"}, "deadline": {}},
        {"dag_run": SimpleNamespace(dag_id="weekly", run_id="r2")},
        {"run_id": "r3", "dag": SimpleNamespace(dag_id="weekly"), "reason": "success"},
        {"ti": SimpleNamespace(dag_id="weekly", run_id="r4", task_id="load", state="failed"), "exception": "killed"},
    ],
    ids=["deadline", "run", "minimal", "task"],
)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_what_is_missing_is_not_missed(portal, begin, context, asynchronous):
    message = begin().message
    message.states = {}
    message.name = str(asynchronous)
    if asynchronous:
        message.context = context

        async def call() -> None:
            await message

        asyncio.run(call())
    else:
        message(context)
    assert "[b]weekly[/b]" in only(portal)[0]


def test_the_context_and_the_message_stay_as_they_were(portal, begin):
    run = begin(title="{{ message.dag }} at {{ message.percent }} % for {{ ti.task_id }}")
    context = run.context("load", "running")
    before = set(context)
    run.message(context)
    assert set(context) == before
    assert run.message.title.startswith("{{")
    assert only(portal)[0] == "weekly at 0 % for load"


def test_every_part_is_a_template_and_one_that_is_empty_is_left_out(portal, begin):
    run = begin(bar="{{ message.bar }}", text="{{ message.done }}/{{ message.total }}", failure="", footer="")
    run.task("load", "running")
    assert only(portal) == ["▶️ [b]weekly[/b] is running", "▱▱▱▱▱▱▱▱▱▱ 0 %", "0/2"]


def test_a_template_that_can_not_be_rendered_is_not_shown(portal, begin, caplog):
    run = begin(footer="{{ nothing.at.all }}")
    run.task("load", "running")
    assert only(portal)[-1].endswith(f"{run.run_id}[/url]") or only(portal)[-1] == run.run_id
    assert "The template of footer could not be rendered" in caplog.text


def test_where_to_is_a_template_too(portal, begin):
    run = begin()
    run.message.dialog_id = "{{ dag_run.conf['dialog'] }}"
    context = run.context("load", "running")
    context["dag_run"].conf = {"dialog": "chat2938"}
    run.message(context)
    assert len(portal.messages("chat2938")) == 1


def test_secrets_are_not_shown(portal, begin):
    run = begin()
    run.task("load", "failed", ValueError(f"no answer from {portal.webhook_url}profile"))
    assert portal.access.webhook_code not in texts(portal)[0]
    assert portal.access.webhook_code not in json.dumps(run.message.store.texts)


def test_as_the_bot_where_there_is_one(portal, connect, begin):
    connect(portal.bot_connection())
    run = begin()
    run.task("load", "running")
    run.task("load", "success")
    assert [message.author_id for message in portal.messages(CHAT)] == [101]
    assert "50 %" in texts(portal)[0]
    run = begin(as_bot=False, name="other")
    run.task("load", "running")
    assert portal.messages(CHAT)[-1].author_id == 1


def test_trouble_is_told_once_and_costs_the_run_nothing(portal, begin, caplog):
    portal.faults.add(Fault("error", "im.message.add", times=None, code="ACCESS_ERROR"))
    run = begin()
    for _ in range(3):
        run.task("load", "running")
        run.task("load", "success")
    assert caplog.text.count("could not be brought up to date") == 1
    assert "ACCESS_ERROR" in caplog.text


def test_unless_it_is_to_be_raised(portal, begin):
    portal.faults.add(Fault("error", "im.message.add", times=None, code="ACCESS_ERROR"))
    with pytest.raises(Exception, match="ACCESS_ERROR"):
        begin(raise_errors=True).task("load", "running")


def test_where_nothing_can_be_kept_nothing_is_shown(portal, begin, caplog):
    run = begin()
    run.message.store = None
    run.task("load", "running")
    assert portal.messages(CHAT) == []
    assert "use AsyncCallback instead of SyncCallback" in caplog.text


# ---- by hand


def test_thousands_of_updates_are_few_requests(portal, begin, in_task):
    run = begin(interval=0.25)
    run.message.dialog_id = "{{ 'chat2935' }}"
    context = run.context("load", "running")
    begun = time.monotonic()
    with in_task(context):
        for number in range(10_001):
            run.message.update(progress=number / 10_000, text=f"row {number}")
    took = time.monotonic() - begun
    eventually(lambda: texts(portal) and "row 10000" in texts(portal)[0])
    assert "100 % · 0 of 2 tasks" in only(portal)[1]
    assert [call.method for call in portal.calls].count(UPDATE) <= took / 0.25 + 1


def test_the_last_update_is_shown_when_the_task_ends(portal, begin, in_task):
    run = begin(interval=30)
    context = run.context("load", "running")
    task = context["ti"].task
    with in_task(context):
        run.message.update(text="first")
        run.message.update(progress=0.7)
        run.message.update(text="last")
    assert only(portal)[2] == "first"
    # Airflow calls them when the task has ended; the run's message need not be among them.
    context["ti"].state = TaskInstanceState.FAILED
    hurry(run)
    for callback in task.on_failure_callback:
        callback(context)
    assert only(portal)[1].startswith("▰▰▰▰▰▰▰▱▱▱ 70 %")
    assert only(portal)[2] == "last"


def hurry(run: Run) -> None:
    """As if the last edit were long ago, for whoever would wait for it."""
    store = run.message.store
    assert store is not None
    (key,) = [key for key, text in store.texts.items() if "edited" in text]
    store[key] = {**store.get(key), "edited": 0.0}


def test_flush_for_a_task_that_defers(portal, begin, in_task):
    run = begin(interval=30)
    with in_task(run.context("load", "running")):
        run.message.update(text="first")
        run.message.update(text="last")
        hurry(run)
        run.message.flush()
    assert only(portal)[2] == "last"


def test_updates_in_an_event_loop(portal, begin, in_task):
    run = begin(interval=0.3)

    async def work() -> None:
        for number in range(1000):
            await run.message.aupdate(text=f"row {number}")
        assert "row 999" not in texts(portal)[0], "nothing goes on beside the loop"
        await run.message.aflush()

    with in_task(run.context("load", "running")):
        asyncio.run(work())
    assert only(portal)[2] == "row 999"
    assert [call.method for call in portal.calls].count(UPDATE) <= 3


def test_what_an_event_loop_left_is_shown_when_the_task_ends(portal, begin, in_task):
    run = begin(interval=30)

    async def work() -> None:
        for number in range(3):
            await run.message.aupdate(progress=number / 2)

    context = run.context("load", "running")
    with in_task(context):
        asyncio.run(work())
    hurry(run)
    for callback in context["ti"].task.on_success_callback:
        callback(context)
    assert "100 %" in only(portal)[1]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_details_are_answers(portal, begin, in_task, asynchronous):
    run = begin()

    def reply(text: str) -> Any:
        return asyncio.run(run.message.areply(text)) if asynchronous else run.message.reply(text)

    with in_task(run.context("load", "running")):
        answer = reply("details")
        assert reply("more") == answer + 2
    first = portal.messages(CHAT)[0]
    assert [call.params["REPLY_ID"] for call in portal.calls if "REPLY_ID" in call.params] == [first.id, first.id]
    assert texts(portal)[1:] == ["details", "more"]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_the_traceback_of_what_failed_for_good_is_an_answer(portal, begin, asynchronous):
    run = begin(details=True)
    store: dict[str, Any] = {}
    accessor = SimpleNamespace(get=store.get, set=store.__setitem__)
    run.task("load", "running")
    run.task("load", "up_for_retry", ValueError("first"))
    context = {**run.context("load", "failed", ValueError("second [b]"), 2), "task_state_store": accessor}
    for _ in range(2):
        if asynchronous:
            asyncio.run(run.message.async_notify(context))
        else:
            run.message(context)
    _, details = portal.messages(CHAT)
    assert details.text == "[b]load[/b]\n[code]ValueError: second [\u200bb][/code]"
    assert details.params["REPLY_ID"] == portal.messages(CHAT)[0].id


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_the_traceback_does_not_keep_the_task_waiting(portal, begin, caplog, monkeypatch, asynchronous):
    monkeypatch.setattr(run_teller, "_DETAILS_SECONDS", 0.3)
    run = begin(details=True)
    run.task("load", "running")
    portal.faults.add(Fault("timeout", "im.message.add", times=None))
    context = run.context("load", "failed", ValueError("second"), 2)
    begun = time.monotonic()
    if asynchronous:
        asyncio.run(run.message.async_notify(context))
    else:
        run.message(context)
    assert time.monotonic() - begun < 5
    assert "could not be brought up to date" in caplog.text
    assert only(portal)[0].startswith("❌")


def test_an_answer_to_a_message_that_is_gone_stands_by_itself(portal, begin, in_task):
    run = begin()
    run.task("load", "running")
    portal.messages(CHAT)[0].deleted = True
    with in_task(run.context("load", "running")):
        run.message.reply("details")
    assert texts(portal) == ["details"]


def test_outside_a_task_there_is_nothing_to_update(begin):
    with pytest.raises(ConfigurationError, match="no task is running here"):
        begin().message.update(progress=0.5)


# ---- arguments


@pytest.mark.parametrize(
    "arguments", [{"dialog_id": "CHAT5"}, {"dialog_id": CHAT, "language": "de"}, {"dialog_id": CHAT, "interval": 0}]
)
def test_what_can_not_be_right_is_refused_at_once(arguments):
    with pytest.raises(ConfigurationError):
        RunMessage(**arguments)


def test_the_callbacks_of_a_dag():
    message = RunMessage(CHAT)
    with DAG("d", schedule=None, default_args=message.task_callbacks, **message.dag_callbacks) as dag:
        task = BaseOperator(task_id="t")
    for told in ("execute", "success", "failure", "retry", "skipped"):
        assert [type(one) for one in getattr(task, f"on_{told}_callback")] == [RunMessage]
    assert dag.on_failure_callback is message
    assert vars(copy.deepcopy(message)).keys() == vars(message).keys()


def test_the_first_tasks_start_together(portal, begin):
    run = begin()
    workers = [threading.Thread(target=run.task, args=(task, "running")) for task in ("load", "post")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert len(texts(portal)) == 1
