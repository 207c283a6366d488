"""Bitrix24Notifier called as Airflow calls it, against a portal."""

from __future__ import annotations

import json
import logging
import threading
from typing import Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG

from airflow_provider_b24.notifications.bitrix24 import Bitrix24Notifier
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError, OutcomeUnknownError
from airflow_provider_b24.testing import Fault
from tests.portal.alerts.conftest import called
from tests.portal.alerts.contexts import of_dag, of_deadline, of_task
from tests.portal.rest.leaks import forms

CHAT = "chat2935"
HOUR = 3600.0
pytestmark = pytest.mark.usefixtures("variables", "clock")


def texts(portal, dialog=CHAT):
    return [message.text for message in portal.messages(dialog)]


def first_lines(portal, dialog=CHAT):
    return [text.split("\n")[0] for text in texts(portal, dialog)]


def failure(error="the warehouse is closed", **more):
    return of_task(error=RuntimeError(error), **more)


def test_a_task_failed(portal, tell):
    tell(failure("no [b]route[/b] to 10.0.0.1", try_number=3, max_tries=2, map_index=7))
    (message,) = portal.messages(CHAT)
    log = "http://localhost:8080/dags/sales/runs/scheduled__2026-05-04/tasks/load/mapped/7?try_number=3"
    assert message.text == (
        "❌ [B]Task failed: sales.load[7][/B]\n"
        "RuntimeError: no [\u200bb]route[\u200b/b] to 10.0.0.1\n"
        "try 3 of 3 · 12 s · run scheduled__2026-05-04\n"
        f"[URL={log}]Log[/URL] · [URL=http://localhost:8080/dags/sales/runs/scheduled__2026-05-04]Run[/URL]"
    )
    assert message.params["URL_PREVIEW"] == "N"


def test_one_event_is_told_once(portal, tell):
    context = failure()
    for _ in range(2):
        tell(context)
    # The dag-processor knows neither state nor exception of what has lost its heartbeat.
    tell(of_task("other", state=None))
    tell(of_task("other", state=None))
    assert first_lines(portal) == ["❌ [B]Task failed: sales.load[/B]", "❌ [B]Task failed: sales.other[/B]"]


@pytest.mark.parametrize(
    ("context", "arguments", "line"),
    [
        (of_task(state="up_for_retry", error=ValueError("x"), max_tries=2), {}, None),
        (of_task(state=None, try_number=1, max_tries=2), {}, None),
        (of_task(state="up_for_retry", error=ValueError("x"), max_tries=2), {"on_retry": True}, "⚠ [B]Task failed and"),
        (of_task(state="success"), {}, None),
        (of_task(state="success"), {"on_success": True}, "✅ [B]Task succeeded: sales.load[/B]"),
        (of_task(state="skipped"), {}, "ℹ [B]Task skipped: sales.load[/B]"),
        (of_task(state="running"), {}, "ℹ [B]Task started: sales.load[/B]"),
        (of_task(state="failed", error="killed"), {"severity": "critical"}, "⛔ [B]Task failed: sales.load[/B]"),
        (of_dag(), {}, "❌ [B]DAG failed: sales[/B]"),
        (of_dag("success", state="success"), {}, None),
        (of_dag("success", state="success"), {"on_success": True}, "✅ [B]DAG succeeded: sales[/B]"),
        (of_deadline(), {}, "⚠ [B]Deadline missed: sales[/B]"),
        ({}, {}, "❌ [B]Task failed: ?[/B]"),
        ({"reason": "timed_out", "run_id": "r"}, {}, "❌ [B]DAG failed: ?[/B]"),
        ({"dag_run": {}, "deadline": {}}, {}, "⚠ [B]Deadline missed: ?[/B]"),
        ({"dag_run": None, "ti": object(), "exception": object()}, {}, "❌ [B]Task failed: ?[/B]"),
    ],
    ids=lambda value: None,
)
def test_what_is_told_of_what(portal, tell, context, arguments, line):
    tell(context, **arguments)
    tell(context, **arguments)
    assert [found.startswith(line) for found in first_lines(portal)] == ([True] if line else []), texts(portal)


RUN_URL = "http://localhost:8080/dags/sales/runs/scheduled__2026-05-04"


PARTS = dict.fromkeys(("part_1", "killed", "load_2"), "failed") | {"part_2": "success", "load": "upstream_failed"}


@pytest.mark.parametrize(
    ("state", "reason", "named"),
    [
        ("failed", "task_failure", [f"• load [URL={RUN_URL}/tasks/load?try_number=1]Log[/URL]"]),
        (None, "task_failure", [f"• load [URL={RUN_URL}/tasks/load?try_number=1]Log[/URL]"]),
        ("success", "task_failure", []),
        (None, "timed_out", []),
    ],
    ids=["failed", "unknown", "another", "no task"],
)
def test_a_failed_run_names_the_last_task(portal, tell, state, reason, named):
    tell({**of_dag(reason), "ti": of_task(state=state)["ti"]})
    (text,) = texts(portal)
    assert [line for line in text.split("\n") if line.startswith("•")] == named
    assert ("Failed tasks: 1\n" in text) is bool(named)


def test_a_failed_run_names_all_tasks_that_airflow_knows_to_have_failed(portal, tell, variables):
    with DAG("sales") as dag:
        for task_id in ("load", "part", "killed", "load_2"):
            EmptyOperator(task_id=task_id)
    variables.states = PARTS
    tell({**of_dag(dag=dag), "ti": of_task(state=None)["ti"]})
    (text,) = texts(portal)
    assert text.split("\n")[3:7] == [
        "Failed tasks: 3",
        f"• part[1] [URL={RUN_URL}/tasks/part/mapped/1]Log[/URL]",
        f"• killed [URL={RUN_URL}/tasks/killed]Log[/URL]",
        f"• load_2 [URL={RUN_URL}/tasks/load_2]Log[/URL]",
    ]


def test_people_are_mentioned_where_the_author_says_so(portal, tell):
    given = {"title": "@anna@example.com: {{ alert.name }} failed", "footer": "@nobody@example.com"}
    tell(failure("ask @anna@example.com", run_id="1"), **given)
    tell(failure("ask @anna@example.com", task_id="other"), mentions=True, **given)
    plain, mentioned = texts(portal)
    assert plain.startswith("@anna@example.com: sales.load failed\nRuntimeError: ask @\u200banna@")
    assert mentioned.startswith("[user=1]Anna Petrova[/user]: sales.other failed\nRuntimeError: ask @\u200banna@")
    assert mentioned.endswith("\n@nobody@example.com")


def test_failures_without_a_task_are_told_apart(portal, tell, clock):
    for error, seconds in (("one", 0.0), ("one", 1.0), ("two", 0.0), ("one", HOUR)):
        clock.now += seconds
        tell({"exception": ValueError(error)}, window=None)
    assert [text.split("\n")[1] for text in texts(portal)] == [
        f"ValueError: {error}" for error in ("one", "two", "one")
    ]


def test_a_decision(portal, variables):
    with DAG("sales"):
        task = HITLOperator(
            task_id="ask",
            subject="Pay [b]now[/b]?",
            options=["Yes", "No"],
            body="*5* bills of [url=x]y[/url]",
            notifiers=[],
        )
    context = of_task(task=task, state="running")
    notifier = Bitrix24Notifier(CHAT, language="ru", message=None)
    for _ in range(2):
        notifier(context)
    (text,) = texts(portal)
    assert text.startswith(
        "ℹ [B]Нужно решение: sales.ask[/B]\nPay [\u200bb]now[\u200b/b]?\n"
        "[i]5[/i] bills of [\u200burl=x]y[\u200b/url]\nВарианты: Yes, No\n"
        "запуск scheduled__2026-05-04\n[URL=http"
    )
    assert "/tasks/ask/required_actions?map_index=-1]Решить[/URL]" in text


def test_the_same_failure_is_counted_in_the_first_message(portal, tell, clock):
    for number, (run, error) in enumerate([("1", "row 17"), ("2", "row 4711"), ("3", "row 5"), ("4", "column 5")]):
        clock.now += 60 * number
        tell(failure(error, run_id=run))
    first, other = texts(portal)
    assert "RuntimeError: row 5\n" in first
    assert first.endswith("×3, last at 14:33")
    assert {message.params["URL_PREVIEW"] for message in portal.messages(CHAT)} == {"N"}
    assert {call.params["URL_PREVIEW"] for call in portal.calls if call.method == "im.message.update"} == {"N"}
    assert "column 5" in other
    assert "×" not in other


def test_a_clear_and_a_new_failure_is_a_new_event(portal, tell):
    tell(failure())
    tell(failure(try_number=2, max_tries=1))
    assert texts(portal)[0].endswith("×2, last at 14:30")


@pytest.mark.parametrize(("window", "messages"), [(HOUR, 2), (None, 4), (8 * HOUR, 1)])
def test_a_window_begins_with_the_first_message(portal, tell, clock, window, messages):
    for run in range(4):
        tell(failure(run_id=str(run)), window=window)
        clock.now += 0.4 * HOUR
    assert len(texts(portal)) == messages


def test_where_the_message_may_not_be_edited_there_is_a_new_one(portal, tell):
    tell(failure(run_id="1"))
    portal.faults.add(Fault("error", "im.message.update", code="CANT_EDIT_MESSAGE", status=403))
    for run in "223":
        tell(failure(run_id=run))
    old, new = texts(portal)
    assert "×" not in old
    assert new.endswith("×3, last at 14:30")


def test_recovered_is_a_reply(portal, tell, variables):
    tell(failure(run_id="1"))
    for _ in range(2):
        tell(of_task(state="success", run_id="2"))
    told, well = portal.messages(CHAT)
    assert well.text.startswith("✅ [B]Recovered: sales.load[/B]\n")
    assert well.params["REPLY_ID"] == told.id
    # What fails again is told anew, though the window is open.
    tell(failure(run_id="3"))
    assert len(texts(portal)) == 3


def test_a_success_of_others_is_no_recovery(portal, tell):
    later: Any = {"run_after": "2026-05-05T12:00:00+00:00"}
    tell(failure(run_id="2", map_index=1, **later))
    tell(failure(run_id="2", map_index=2, **later))
    for run in ({"run_id": "1"}, {"run_id": "2", **later}):
        tell(of_task(state="success", map_index=1, **run))
    assert len(texts(portal)) == 1
    tell(of_task(state="success", map_index=2, run_id="2", **later))
    assert len(texts(portal)) == 2


def test_a_success_costs_two_looks(portal, tell, variables):
    """At what is known of the task, and at what could not be sent."""
    tell(of_task(state="success"))
    assert variables.asked == ["Get", "Get"]
    assert portal.calls == []


def test_a_deleted_message_can_not_be_answered(portal, tell):
    tell(failure())
    portal.faults.add(Fault("error", "im.message.add", code="REPLY_ACCESS_ERROR", status=400))
    tell(of_task(state="success"))
    assert "REPLY_ID" not in portal.messages(CHAT)[-1].params
    assert first_lines(portal)[-1] == "✅ [B]Recovered: sales.load[/B]"


def test_quiet_hours(portal, tell, clock):
    # It is 14:30 in UTC.
    quiet = {"quiet": ("14:00", "15:00"), "timezone": "UTC"}
    tell(failure("first", run_id="1"), **quiet)
    tell(failure("first", run_id="1"), **quiet)
    tell(of_dag(), **quiet)
    tell(of_deadline(), **quiet)
    assert texts(portal) == []
    tell(failure("loud"), severity="critical", **quiet)
    assert [text.split("\n")[1] for text in texts(portal)] == ["RuntimeError: loud"]
    clock.now += 0.6 * HOUR
    tell(of_task(state="success", task_id="any"), **quiet)
    tell(failure("second", run_id="2"), **quiet)
    _, held, second = texts(portal)
    lines = held.split("\n")
    assert lines[0] == "ℹ [B]Held back in the quiet hours 14:00–15:00: 3[/B]"
    assert lines[1].startswith("14:30 ❌ Task failed: sales.load — RuntimeError: first [URL=http")
    assert lines[2].startswith("14:30 ❌ DAG failed: sales — a task failed")
    assert lines[3].startswith("14:30 ⚠ Deadline missed: sales")
    assert "RuntimeError: second" in second


def test_quiet_hours_of_others(portal, tell, clock):
    """Two notifiers of one dialog: each tells what its own hours have held back, when they are over."""
    noon, night = (
        {"quiet": ("14:00", "15:00"), "timezone": "UTC"},
        # It is 19:30 there.
        {"quiet": ("14:00", "20:00"), "timezone": "Asia/Yekaterinburg"},
    )
    tell(failure("first", task_id="one"), **noon)
    tell(failure("second", task_id="two"), **night)
    tell(failure("awake", task_id="three"), quiet=("03:00", "04:00"), timezone="UTC")
    assert [text.split("\n")[1] for text in texts(portal)] == ["RuntimeError: awake"]
    clock.now += 0.6 * HOUR
    for quiet in (noon, noon, night, night):
        tell(of_task(state="success", task_id="any"), **quiet)
    held = texts(portal)[1:]
    assert [text.split("\n")[0] for text in held] == [
        "ℹ [B]Held back in the quiet hours 14:00–15:00: 1[/B]",
        "ℹ [B]Held back in the quiet hours 14:00–20:00: 1[/B]",
    ]
    assert ["first" in held[0], "second" in held[1]] == [True, True]


def test_what_is_held_back_while_it_is_told(portal, tell, clock, variables, monkeypatch):
    """Its clock is late, or it took its time: it is neither lost nor told twice."""
    quiet = {"quiet": ("14:00", "15:00"), "timezone": "UTC"}
    tell(failure("first", task_id="one"), **quiet)
    clock.now += 0.6 * HOUR
    told: list[str] = []

    def slowly(text):
        if not told and "Held back" in text:
            told.append(text)
            clock.now -= 0.6 * HOUR
            called(failure("second", task_id="two"), **quiet)
            clock.now += 0.6 * HOUR
        return text

    monkeypatch.setattr("airflow_provider_b24.chat.alerts_ways.beginning", lambda text, most: slowly(text))
    for _ in range(3):
        tell(of_task(state="success", task_id="any"), **quiet)
    first, second = texts(portal)
    assert ["RuntimeError: first" in first, "RuntimeError: second" in first] == [True, False]
    assert ["RuntimeError: first" in second, "RuntimeError: second" in second] == [False, True]


def test_an_outage_of_seconds(portal, tell, clock):
    portal.faults.add(Fault("html_502", "*", times=9))
    began = clock.now
    for _ in range(2):
        tell(failure())
    assert len(texts(portal)) == 1
    assert 5 < clock.now - began < 60


def test_an_outage_that_lasts(portal, tell, clock, variables):
    options = {"digest": True, "timezone": "UTC"}
    with DAG("sales", on_failure_callback=Bitrix24Notifier(CHAT, digest=True)) as dag:
        pass
    tell({**failure("collected", task_id="part"), "dag": dag}, **options)
    portal.faults.add(Fault("html_502", "*", times=None))
    for context in ({**of_dag(), "dag": dag}, failure("not sent")):
        began = clock.now
        with pytest.raises(Bitrix24Error, match="502"):
            tell({**context, "dag": dag if "reason" in context else None}, **options)
        assert 30 < clock.now - began < 65
    portal.faults.clear()
    for _ in range(2):
        # The second callback of one of them, and one of another task.
        tell(failure("not sent"))
        tell(of_task(state="success", task_id="any"))
    (text,) = texts(portal)
    lines = text.split("\n")
    assert lines[0] == "ℹ [B]Could not be told in time: 3[/B]"
    assert lines[1].startswith("14:30 ❌ DAG failed: sales — ")
    assert lines[2].startswith("• ❌ Task failed: sales.part — RuntimeError: collected [URL=")
    assert lines[3].startswith("14:30 ❌ Task failed: sales.load — RuntimeError: not sent [URL=")


def test_a_recovery_during_an_outage(portal, tell):
    tell(failure())
    portal.faults.add(Fault("html_502", "*", times=None))
    with pytest.raises(Bitrix24Error):
        tell(of_task(state="success", run_id="2"))
    portal.faults.clear()
    for _ in range(2):
        tell(of_task(state="success", run_id="3"))
    assert [line.split(":")[0] for line in first_lines(portal)] == ["❌ [B]Task failed", "✅ [B]Recovered"]


def test_a_digest_of_a_run(portal, tell):
    options = {"digest": True}
    with DAG("sales", on_failure_callback=Bitrix24Notifier(CHAT, digest=True)) as dag:
        pass
    for number in range(3):
        context = {**failure(f"row {number}", map_index=number), "dag": dag}
        for _ in range(2):
            tell(context, **options)
    assert texts(portal) == []
    for _ in range(2):
        tell({**of_dag(), "dag": dag}, **options)
    (text,) = texts(portal)
    lines = text.split("\n")
    assert lines[0] == "❌ [B]DAG failed: sales[/B]"
    assert "Failed tasks: 3" in lines
    assert sum(line.startswith("❌ Task failed: sales.load[") for line in lines) == 3
    # Its callback is called when the run is over already.
    for _ in range(2):
        tell({**failure("late", task_id="late"), "dag": dag}, **options)
    assert first_lines(portal)[1:] == ["❌ [B]Task failed: sales.late[/B]"]


def test_a_digest_of_a_run_that_is_cleared(portal, tell):
    with DAG("sales", on_failure_callback=Bitrix24Notifier(CHAT, digest=True)) as dag:
        pass
    for clears in range(2):
        tell({**failure("x", try_number=clears + 1, clear_number=clears), "dag": dag}, digest=True)
        tell({**of_dag(clear_number=clears), "dag": dag}, digest=True)
    (text,) = texts(portal)
    assert "Failed tasks: 1\n" in text
    assert text.endswith("×2, last at 14:30")


def test_a_run_that_succeeds_though_a_task_failed(portal, tell, variables):
    with DAG("sales", on_success_callback=Bitrix24Notifier(CHAT, digest=True)) as dag:
        pass
    tell({**failure(), "dag": dag}, digest=True)
    for _ in range(2):
        tell({**of_dag("success", state="success"), "dag": dag}, digest=True)
    (text,) = texts(portal)
    assert text.startswith("⚠ [B]DAG succeeded: sales[/B]")
    assert "Failed tasks: 1" in text


def test_a_digest_that_nobody_would_tell(portal, tell, caplog):
    tell(failure(), digest=True)
    assert len(texts(portal)) == 1
    assert "told by itself" in caplog.text


def test_what_is_rendered_and_what_can_not_be(portal, tell, caplog):
    tell(
        failure(),
        dialog_id="{{ 'chat' ~ 2935 }}",
        title="[B]{{ dag.dag_id }}[/B] of {{ ti.task_id }}",
        message="{{ nobody_knows }}",
        footer="{{ alert.error }}",
    )
    (text,) = texts(portal)
    assert text.split("\n")[0] == "[B]sales[/B] of load"
    assert "try 1 of 1" in text
    assert text.endswith("RuntimeError: the warehouse is closed")
    assert "message can not be rendered: UndefinedError: 'nobody_knows' is undefined" in caplog.text


def test_it_can_be_called_again(portal):
    notifier = Bitrix24Notifier(CHAT, message="{{ run_id }}", window=None)
    for run in "12":
        notifier(failure(run_id=run))
    assert [text.split("\n")[1] for text in texts(portal)] == ["1", "2"]


def test_a_person_is_notified(portal, tell):
    person = {"dialog_id": None, "channel": "notify", "user_id": "user:boris@example.com"}
    portal.faults.add(Fault("reset_after", "im.notify"))
    for run in "1123":
        tell(failure(run_id=run), **person)
    (sent,) = portal.company.notifications
    assert (sent.user_id, sent.text.split("\n")[-1]) == (2, "×3, last at 14:30")
    tell(of_task(state="success", run_id="4"), **person)
    (sent,) = portal.company.notifications
    assert sent.text.startswith("✅ [B]Recovered: sales.load[/B]")


def test_as_the_bot(portal, tell, connect):
    connect(portal.bot_connection())
    for run in "12":
        tell(failure(run_id=run))
    tell(of_task(state="success", run_id="3"))
    assert [message.author_id for message in portal.messages(CHAT)] == [101, 101]
    tell(failure(), as_bot=False)
    assert portal.messages(CHAT)[-1].author_id == 1


@pytest.mark.parametrize("kind", ["reset_after", "timeout", "html_502"])
def test_a_lost_answer(portal, tell, kind):
    """Found in the dialog: told once."""
    portal.faults.add(Fault(kind, "im.message.add", after_effect=True, seconds=0.05))
    tell(failure())
    tell(failure())
    assert len(texts(portal)) == 1


def test_a_message_that_was_not_seen_is_not_waited_for(portal, tell, clock):
    """Whether it comes is not known for 90 s, and nobody has so long."""
    portal.faults.add(Fault("reset", "im.message.add", times=None))
    began = clock.now
    portal.faults.add(Fault("reset", "im.dialog.messages.get", skip=1, times=None))
    with pytest.raises(Bitrix24Error) as caught:
        tell(failure())
    assert clock.now - began <= 60
    assert isinstance(caught.value, OutcomeUnknownError) or "not sent" in str(caught.value)


@pytest.mark.parametrize("works", [True, False], ids=["with Variables", "without"])
def test_a_portal_that_is_down(connect, variables, caplog, works):
    connect("bitrix24://1:c0dec0de@127.0.0.1:9/http")
    variables.works = works
    notifier = Bitrix24Notifier(CHAT)
    notifier(failure())
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "the connection was refused" in errors[0]
    assert not [form for form in forms("c0dec0de") if form in caplog.text]


def test_variables_that_fail_lose_no_alert(portal, tell, variables):
    variables.works = False
    for _ in range(2):
        tell(failure())
    assert len(texts(portal)) == 1


def test_where_there_are_no_variables(portal, tell, monkeypatch):
    from airflow.sdk.execution_time import task_runner

    monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS")
    for _ in range(2):
        tell(of_deadline())
    # What can not be kept is not held back.
    tell(of_deadline("0194"), quiet=("00:00", "23:59"))
    tell(of_task(state="success"))
    assert len(texts(portal)) == 1


def test_no_connection(variables, caplog):
    Bitrix24Notifier(CHAT, bitrix24_conn_id="nowhere")(failure())
    assert "An alert was not sent" in caplog.text
    with pytest.raises(Exception, match="nowhere"):
        called(failure(), bitrix24_conn_id="nowhere")


def test_secrets_of_an_exception_are_not_told(portal, tell, variables, clock):
    code = portal.access.webhook_code
    context = failure(f"GET https://acme.bitrix24.com/rest/1/{code}/profile")
    tell(context, quiet=("14:00", "15:00"))
    assert "/rest/1/***" in str(variables.kept)
    tell({**context, "ti": failure(run_id="2")["ti"], "dag_run": failure(run_id="2")["dag_run"]})
    (text,) = texts(portal)
    assert "/rest/1/***" in text
    assert not [form for form in forms(code) if form in text + str(variables.kept)]


def test_variables_do_not_pile_up(portal, variables, clock):
    for run in range(12):
        called(failure(f"{chr(97 + run)}x", run_id=str(run)))
        called(of_task(state="success", run_id=str(run)))
        clock.now += HOUR
    # The record, and what the last two messages have left.
    assert len(variables.kept) <= 1 + 2 * 2
    assert max(map(len, variables.kept.values())) < 2000


def test_many_at_once_are_one_message(portal, variables, monkeypatch):
    """The parts of a mapped task, each called back twice, with all clocks going."""
    monkeypatch.undo()
    monkeypatch.setenv("AIRFLOW_CONN_BITRIX24_DEFAULT", json.dumps(portal.connection()))
    monkeypatch.setattr("airflow.sdk.execution_time.task_runner.SUPERVISOR_COMMS", variables, raising=False)
    contexts = [failure(f"row {number}", map_index=number) for number in range(4)]
    threads = [threading.Thread(target=called, args=(context,)) for context in contexts + contexts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (text,) = texts(portal)
    assert "×4, last at" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dialog_id": "sales"}, "dialog_id is 'sales', which names no dialog"),
        ({"dialog_id": None}, "channel is 'chat', with no dialog_id. Give dialog_id"),
        ({"channel": "sms"}, "channel is 'sms'. It is one of chat, notify."),
        ({"channel": "notify", "user_id": 5}, "channel is 'notify', with dialog_id."),
        ({"user_id": 5}, "channel is 'chat', with user_id."),
        ({"dialog_id": None, "channel": "notify", "user_id": "chat5"}, "user_id is 'chat5', which names no person"),
        ({"language": "de"}, "language is 'de'. It is one of en, ru."),
        ({"severity": "bad"}, "severity is 'bad'. It is one of info, warning, error, critical."),
        ({"loud": ["bad"]}, "loud is 'bad'."),
        ({"window": -1}, "window is -1. Give a timedelta or seconds"),
        ({"quiet": "22:00"}, "quiet is '22:00'. Give two times of the day"),
        ({"quiet": ("22:00", "24:00")}, "quiet is ('22:00', '24:00')."),
        ({"quiet": ("22:00", "22:00")}, "quiet is ('22:00', '22:00')."),
        ({"as_bot": "no"}, "as_bot is 'no'. It is True or False."),
        ({"digest": 1}, "digest is 1. It is True or False."),
        ({"mentions": None}, "mentions is None. It is True or False."),
        ({"title": 5}, "title is a int. Give a text"),
        ({"message": "{{ alert.name }"}, "message is no valid template: "),
        ({"timezone": "Berlin"}, "timezone is 'Berlin', which is unknown here."),
    ],
    ids=str,
)
def test_what_can_not_be_right_is_refused_while_the_dag_is_parsed(arguments, words):
    with pytest.raises(ConfigurationError) as caught:
        Bitrix24Notifier(**{"dialog_id": CHAT, **arguments})
    assert words in str(caught.value)
