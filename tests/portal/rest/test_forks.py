"""A client that a forked process inherits, and one that is called in a signal handler."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_b24.rest.client import Client
from airflow_provider_b24.rest.peer import Patience
from airflow_provider_b24.rest.protocol import Call
from tests.portal.rest.drivers import NEW, QUICK, app_peer, webhook_peer
from tests.portal.rest.scripted import Answer, Compute, Pour, Scripted, Seen, ok, refusal

READ = Call("crm.item.get", {"id": 1})
FRESH = {"access_token": NEW.access_token, "refresh_token": NEW.refresh_token, "expires_in": 3600}


def result_in_a_child(call: Callable[[], Any]) -> int:
    """What this returns in a forked process; 255 if it raises or takes too long."""
    with warnings.catch_warnings():
        # Newer Pythons warn of forks where there are threads; such are what this is about.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        signal.alarm(20)
        result = 255
        try:
            result = call()
        finally:
            os._exit(result)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def test_no_two_processes_ask_on_one_connection() -> None:
    # Each could be given the other's answer.
    with Scripted([ok(1), ok(2), ok(3)]) as server, Client(webhook_peer(server.url), QUICK) as client:
        assert client.call(READ).result == 1
        assert result_in_a_child(lambda: client.call(READ).result) == 2
        assert client.call(READ).result == 3
    first, child, second = (seen.connection for seen in server.seen)
    assert first == second != child


def test_a_renewal_is_not_waited_for_in_a_process_where_nobody_renews() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def answer(seen: Seen) -> Answer:
        if not seen.path.startswith("/oauth/"):
            return ok(17) if seen.json["auth"] == NEW.access_token else refusal(401, "expired_token")
        if not asked.is_set():
            asked.set()
            assert go_on.wait(20)
        return Answer(200, FRESH)

    with Scripted([Compute(answer)], forever=True) as server, Client(app_peer(server.url), QUICK) as client:
        caller = threading.Thread(target=client.call, args=[READ])
        caller.start()
        assert asked.wait(20)
        assert result_in_a_child(lambda: client.call(READ).result) == 17
        go_on.set()
        caller.join()


def test_a_thread_that_can_not_be_started_is_waited_for_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "bitrix24-renewal":
            raise RuntimeError("can't start new thread")
        start(thread)

    with (
        Scripted([refusal(401, "expired_token"), refusal(401, "expired_token"), Answer(200, FRESH), ok(17)]) as server,
        Client(app_peer(server.url), QUICK) as client,
    ):
        monkeypatch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            client.call(READ)
        monkeypatch.undo()
        outcome: list[Any] = []
        caller = threading.Thread(target=lambda: outcome.append(client.call(READ).result), daemon=True)
        caller.start()
        caller.join(20)
    assert outcome == [17]


def test_a_signal_handler_that_calls_does_not_change_how_long_the_interrupted_call_may_take() -> None:
    called = threading.Event()
    hurry = Patience(tries=1, answer=0.4)

    def call(number: int, frame: object) -> None:
        client.call(READ, patience=hurry)
        called.set()

    def slowly() -> Iterator[bytes]:
        whole = ok("at last").encode()
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        assert called.wait(10)
        yield whole[:20]
        # The other's time is over by now.
        threading.Event().wait(hurry.answer)
        yield whole[20:]

    before = signal.signal(signal.SIGALRM, call)
    try:
        with (
            Scripted([ok(), Pour(slowly), ok("meanwhile")]) as server,
            Client(webhook_peer(server.url), QUICK) as client,
        ):
            # Loads and connects, so that the hurry is none.
            client.call(READ)
            assert client.call(Call("crm.item.add", {"fields": {}})).result == "at last"
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_signal_handler_may_call_while_connections_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    with Scripted([ok(1), ok(2), ok(3)]) as server, Client(webhook_peer(server.url), QUICK) as client:
        client.call(READ)
        client.peer.clock.sleep(QUICK.idle + 1)
        results: list[Any] = []
        close = client._adapter.close

        def interrupted() -> None:
            results.append(client.call(READ).result)
            close()

        monkeypatch.setattr(client._adapter, "close", interrupted)
        caller = threading.Thread(target=lambda: results.append(client.call(READ).result), daemon=True)
        caller.start()
        caller.join(20)
        monkeypatch.undo()
    assert results == [2, 3]
