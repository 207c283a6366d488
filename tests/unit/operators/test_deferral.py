"""A method whose execution time is used up: the worker slot is given back, and the task goes on where it was."""

from __future__ import annotations

import datetime as dt
import json
import time
from decimal import Decimal
from typing import Any

import pytest
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.serde import deserialize, serialize

from airflow_provider_b24.operators.dialog import DialogReadOperator, DialogUnreadOperator, DialogWritingOperator
from airflow_provider_b24.operators.message import MessageAddOperator
from airflow_provider_b24.operators.rest import RestOperator
from airflow_provider_b24.rest.clock import SystemClock
from airflow_provider_b24.rest.errors import OperatingLimitError
from airflow_provider_b24.rest.ledger import host_ledger
from airflow_provider_b24.testing import FakePortal

CHAT = "chat2935"


class Meanwhile:
    """A portal with a limit, and time that passes for it and for the ledger of this host when it is told to."""

    def __init__(self):
        self.ahead = 0.0
        self.slept = []
        self.portal = FakePortal(operating_limit=480.0, clock=lambda: time.time() + self.ahead)

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.ahead += seconds

    def use_up(self, method, *, seconds=500.0):
        """Somebody else with the same webhook does."""
        caller = self.portal.access.by_webhook(str(self.portal.access.user_id), self.portal.access.webhook_code)
        self.portal.operating.spend(caller.app, method, seconds)

    def calls(self, method):
        return [call for call in self.portal.calls if call.method == method]


@pytest.fixture(scope="module")
def lasting():
    made = Meanwhile()
    with made.portal:
        yield made


@pytest.fixture
def meanwhile(lasting, connect, monkeypatch, tmp_path):
    lasting.portal.clear()
    lasting.portal.costs.clear()
    lasting.slept.clear()
    monkeypatch.setenv("B24_LEDGER_DIR", str(tmp_path))
    monkeypatch.setattr(host_ledger(), "_clock", lambda: time.monotonic() + lasting.ahead)
    monkeypatch.setattr(SystemClock, "sleep", lambda _, seconds: lasting.sleep(seconds))
    connect(lasting.portal.connection())
    return lasting


def deferred(operator, context, **resumed):
    """Run it, or go on with it, until it defers: its trigger's moment, how it goes on, and with what."""
    with pytest.raises(TaskDeferred) as caught:
        operator.resume(context, None, **resumed) if resumed else operator.execute(context)
    path, arguments = caught.value.trigger.serialize()
    assert path == "airflow.providers.standard.triggers.temporal.DateTimeTrigger"
    assert caught.value.method_name == "resume"
    # As Airflow keeps it in its database.
    kept = deserialize(json.loads(json.dumps(serialize(caught.value.kwargs))))
    return (arguments["moment"] - dt.datetime.now(dt.timezone.utc)).total_seconds(), kept


OPERATORS = {
    "rest": ("crm.item.add", lambda task_id: RestOperator(
        task_id=task_id, method="crm.item.add", params={"entityTypeId": 2, "fields": {"title": "x"}}
    )),
    "message": ("im.message.add", lambda task_id: MessageAddOperator(task_id=task_id, dialog_id=CHAT, message="x")),
    "read": ("im.dialog.read", lambda task_id: DialogReadOperator(task_id=task_id, dialog_id=CHAT)),
    "unread": ("im.dialog.unread", lambda task_id: DialogUnreadOperator(task_id=task_id, dialog_id=CHAT, message_id=1)),
    "writing": ("im.dialog.writing", lambda task_id: DialogWritingOperator(task_id=task_id, dialog_id=CHAT)),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_the_slot_is_given_back_and_the_call_made_once(meanwhile, context, capsys, name):
    method, make = OPERATORS[name]
    first = meanwhile.portal.add_message(CHAT, 2, "read this")
    operator = make("first")
    if name == "unread":
        operator.message_id = first
    meanwhile.use_up(method)
    wait, kept = deferred(operator, context)
    # Refused, waited for a minute, refused again.
    assert [call.error for call in meanwhile.calls(method)] == ["OPERATION_TIME_LIMIT"] * 2
    assert meanwhile.slept == [pytest.approx(60, abs=1)]
    assert wait == pytest.approx(60, abs=2)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "slot" in line]
    assert "The worker slot is given back until " in line
    assert f" UTC: {method}: OPERATION_TIME_LIMIT (HTTP 429): blocked until " in line

    # Too early, by half a minute, which is slept; and the ten minutes are not over.
    meanwhile.ahead += 30
    wait, kept = deferred(make("second"), context, **kept)
    assert meanwhile.slept[1:] == [pytest.approx(30, abs=1)]
    assert wait == pytest.approx(60, abs=2)
    assert len(meanwhile.calls(method)) == 3

    meanwhile.ahead += 600
    again = make("third")
    again.message_id = first
    again.resume(context, None, **kept)
    assert [call.error for call in meanwhile.calls(method)] == ["OPERATION_TIME_LIMIT"] * 3 + [None]


def test_what_another_task_has_learned_is_enough(meanwhile, context):
    meanwhile.portal.costs["crm.item.list"] = 490.0
    operator = RestOperator(task_id="t", method="crm.item.list", params={"entityTypeId": 2})
    operator.execute(context)
    wait, _ = deferred(operator, context)
    assert wait == pytest.approx(601, abs=2)
    assert len(meanwhile.calls("crm.item.list")) == 1
    assert meanwhile.slept == []
    # Others are not kept.
    RestOperator(task_id="u", method="profile").execute(context)


def test_it_is_deferred_for_an_hour_at_the_most(meanwhile, context):
    meanwhile.use_up("im.message.add")
    operator = MessageAddOperator(task_id="t", dialog_id=CHAT, message="x")
    _, kept = deferred(operator, context)
    kept["since"] = time.time() - 3590
    with pytest.raises(OperatingLimitError) as caught:
        operator.resume(context, None, **kept)
    assert caught.value.retry_after == pytest.approx(60, abs=2)
    assert not caught.value.permanent


def test_a_report_is_posted_later_and_its_function_runs_once(meanwhile, context):
    ran = []

    @task.bitrix24_report(dialog_id=CHAT, interval=24)
    def weekly():
        ran.append(1)
        meanwhile.use_up("im.message.add")
        return {
            "message": "Revenue",
            "attach": [{"MESSAGE": Decimal("12.50")}, {"MESSAGE": dt.date(2026, 5, 4)}],
        }

    with DAG("reports"):
        operator: Any = weekly().operator  # type: ignore[attr-defined]
    _, kept = deferred(operator, context)
    meanwhile.ahead += 600
    message_id = operator.resume(context, None, **kept)
    assert ran == [1]
    (message,) = meanwhile.portal.messages(CHAT)
    assert message.id == message_id
    assert message.text == "Revenue"
    assert message.params["ATTACH"] == [{"MESSAGE": "12.50"}, {"MESSAGE": "2026-05-04"}]


def test_a_report_may_be_deferred_again(meanwhile, context):
    @task.bitrix24_report(dialog_id=CHAT, interval=24)
    def weekly():
        meanwhile.use_up("im.message.add")
        return "Revenue"

    with DAG("reports"):
        operator: Any = weekly().operator  # type: ignore[attr-defined]
    _, kept = deferred(operator, context)
    _, again = deferred(operator, context, **kept)
    assert again == kept
    assert meanwhile.portal.messages(CHAT) == []


def test_a_report_whose_function_meets_the_limit_is_not_half_done(meanwhile, context):
    @task.bitrix24_report(dialog_id=CHAT, interval=24)
    def weekly():
        raise OperatingLimitError("used up", method="crm.item.list", retry_after=300)

    with DAG("reports"):
        operator: Any = weekly().operator  # type: ignore[attr-defined]
    with pytest.raises(OperatingLimitError):
        operator.execute(context)


def test_a_mapped_task_defers_too(meanwhile, context, dag):
    meanwhile.use_up("user.get")
    with dag:
        mapped = RestOperator.partial(task_id="m", method="user.get").expand(params=[{"ID": 4}])
    operator: Any = mapped.unmap({"rest_params": {"ID": 4}})
    _, kept = deferred(operator, context)
    meanwhile.ahead += 600
    assert operator.resume(context, None, **kept)[0]["NAME"] == "Daniel"
