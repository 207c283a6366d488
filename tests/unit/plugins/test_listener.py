"""The listener: nothing where it is off, and no trouble where it is on."""

from __future__ import annotations

import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_b24.plugins import marked
from airflow_provider_b24.plugins.listener import Bitrix24ListenerPlugin
from airflow_provider_b24.plugins.marked import Outbox, marks_of, quiet

LOADED = """
import sys
from airflow.sdk import DAG
from airflow.sdk.listener import get_listener_manager
before = set(sys.modules)
manager = get_listener_manager()
ours = [name for name in set(sys.modules) - before if name.startswith("airflow_provider_b24")]
print(sorted(ours), any("marked" in str(one) for one in manager.pm.get_plugins()))
"""


def test_off_nothing_listens_and_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW__BITRIX24__LISTENER", raising=False)
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    plugin = ["airflow_provider_b24.plugins", "airflow_provider_b24.plugins.listener"]
    assert done.stdout.splitlines()[-1] == f"{plugin} False"


def test_on_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__BITRIX24__LISTENER", "True")
    monkeypatch.setattr(Bitrix24ListenerPlugin, "listeners", [])
    Bitrix24ListenerPlugin.on_load()
    assert Bitrix24ListenerPlugin.listeners == [marked]


def test_it_has_a_name_of_its_own() -> None:
    assert Bitrix24ListenerPlugin.name == "bitrix24_listener"


@pytest.mark.parametrize(
    ("tags", "marks"),
    [
        ([], []),
        (["bitrix24", "example", "bitrix24x:chat1"], []),
        (["bitrix24:chat2935"], [(None, "chat2935")]),
        (["bitrix24:deal:1663"], [(None, "deal:1663")]),
        (["bitrix24@sales:4", "bitrix24:sg17"], [(None, "sg17"), ("sales", "4")]),
        (["bitrix24:reports"], []),
    ],
    ids=str,
)
def test_tags(tags: list[str], marks: list[Any]) -> None:
    assert marks_of(tags) == marks


def test_nothing_reaches_airflow_and_each_trouble_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    @quiet
    def broken(dag_run: Any) -> None:
        raise LookupError("with something secret")

    for _ in range(3):
        broken(dag_run=SimpleNamespace())
    assert caplog.text.count("could not do its part; the work goes on. LookupError") == 1
    assert "secret" not in caplog.text


def test_the_scheduler_is_not_kept_waiting(caplog: pytest.LogCaptureFixture) -> None:
    """While the portal hangs, ends are taken up without a wait, and those that are too many are left out."""
    goes_on, told = threading.Event(), []

    def message(connection: str | None, dialog_id: str) -> Any:
        def tell(context: dict[str, Any]) -> None:
            goes_on.wait(10)
            told.append((dialog_id, context["reason"]))

        return tell

    ends = Outbox(2, message)
    for number in range(5):
        ends.put([(None, "chat1")], {"reason": str(number)})
    assert told == []
    assert "is left out" in caplog.text
    goes_on.set()
    ends.drain(10)
    assert told[0] == ("chat1", "0")
    assert 2 <= len(told) <= 3


def test_one_that_can_not_be_told_does_not_stop_the_others() -> None:
    told: list[dict[str, Any]] = []

    def message(connection: str | None, dialog_id: str) -> Any:
        if dialog_id == "chat1":
            raise RuntimeError("broken")
        return told.append

    ends = Outbox(9, message)
    ends.put([(None, "chat1"), (None, "chat2")], {"reason": "success"})
    ends.drain(10)
    assert told == [{"reason": "success"}]


def test_that_a_run_begins_is_told_before_that_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    outbox = Outbox(9, lambda connection, dialog_id: lambda context: told.append((dialog_id, context)))
    monkeypatch.setattr(marked, "outbox", outbox)
    facts = {"dag_id": "d", "run_id": "r", "start_date": None, "end_date": None, "clear_number": 0}
    run = SimpleNamespace(dag=SimpleNamespace(tags=["bitrix24:chat1"]), **facts)
    marked.on_dag_run_running(dag_run=run, msg="started")
    marked.on_dag_run_success(dag_run=run, msg="success")
    marked.on_dag_run_running(dag_run=SimpleNamespace(dag=SimpleNamespace(tags=["other"])), msg="started")
    outbox.drain(10)
    assert told == [("chat1", {"dag_run": facts}), ("chat1", {"dag_run": facts, "reason": "success"})]


def test_beginnings_leave_room_for_ends() -> None:
    """The first task posts the message if the scheduler does not; an end has nobody else who tells it."""
    goes_on, told = threading.Event(), []

    def message(connection: str | None, dialog_id: str) -> Any:
        def tell(context: dict[str, Any]) -> None:
            goes_on.wait(10)
            told.append(context["name"])

        return tell

    outbox = Outbox(4, message)
    for number in range(9):
        outbox.put([(None, "chat1")], {"name": f"begins {number}"}, needed=False)
    outbox.put([(None, "chat1")], {"name": "ends"})
    goes_on.set()
    outbox.drain(10)
    assert told[-1] == "ends"
    assert len(told) <= 4
