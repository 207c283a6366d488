"""Every fault with every kind of credential: no secret, in no form, in anything that is left of it."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferred

from airflow_provider_b24.chat.typing import Light, foreseen
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.operators.dialog import DialogWritingOperator
from airflow_provider_b24.operators.rest import RestOperator
from airflow_provider_b24.rest.peer import Patience
from airflow_provider_b24.rest.protocol import Call
from airflow_provider_b24.testing import Fault
from tests.portal.faults.cases import CASES, DIALOG, READ, WRITE, Case, World
from tests.portal.faults.credentials import CREDENTIALS, Connected, give_secrets
from tests.portal.rest.leaks import forms, found, leaks, leaks_of_ours
from tests.portal.rest.proxies import Proxy
from tests.unit.rest.clocks import FakeClock

CONTEXT: Any = {}
# The first repetition shows what a further one would.
PATIENCE = Patience(tries=2, limits=5.0)
ONCE = Patience(tries=1, limits=0.0)

by_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
by_credential = pytest.mark.parametrize("credential", list(CREDENTIALS))


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as world:
        give_secrets(world.portal)
        yield world


@pytest.fixture(scope="module")
def proxy() -> Iterator[str]:
    with Proxy() as proxy:
        yield proxy.url


@pytest.fixture(autouse=True)
def nothing_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's masking is a second net; this is about the first."""
    monkeypatch.setattr("airflow.sdk._shared.secrets_masker.SecretsMasker.add_mask", lambda *_: None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ledger")


@pytest.fixture(autouse=True)
def ledger(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """No time passes, and what one test learns of limits is not known to the next; what is kept on the disk of them."""
    world.clock = FakeClock()
    monkeypatch.setattr("airflow_provider_b24.rest.peer.SystemClock", lambda: world.clock)
    monkeypatch.setattr("airflow_provider_b24.rest.peer.Patience", lambda **_: PATIENCE)
    monkeypatch.setattr("airflow_provider_b24.rest.redis_ledger._ledgers", {})
    monkeypatch.setenv("B24_LEDGER_DIR", str(folder))
    for path in folder.iterdir():
        path.unlink()
    return lambda: "\n".join(f"{path.name} {path.read_bytes().decode('latin-1')}" for path in folder.iterdir())


@pytest.fixture
def logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], str]:
    """What was written so far: into the log of any library, down to DEBUG, or to the output of the process."""
    caplog.set_level(logging.DEBUG)
    # The portal's own, which is in this process as well.
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "disabled", True)

    def text() -> str:
        return "\n".join([caplog.text, *(repr(vars(record)) for record in caplog.records), *capfd.readouterr()])

    return text


@pytest.fixture
def connected(world: World, proxy: str, credential: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connected]:
    world.portal.clear()
    define = partial(monkeypatch.setenv, "AIRFLOW_CONN_BITRIX24_DEFAULT")
    yield Connected(credential, world.portal, proxy, define)
    world.portal.on_call = None


def failures(connect: Callable[[], None]) -> Iterator[BaseException]:
    """What is raised where a task writes, and where a signal is sent."""
    params = {"DIALOG_ID": DIALOG, "MESSAGE": "x"}
    for work in (
        lambda hook: RestOperator(task_id="write", method=WRITE, params=params).execute(CONTEXT),
        lambda hook: hook.get_conn().call(a_signal(hook), patience=ONCE),
    ):
        connect()
        with Bitrix24Hook() as hook:
            try:
                work(hook)
            except TaskDeferred as deferred:
                yield deferred
                # What Airflow keeps until it goes on.
                yield RuntimeError(deferred.trigger.serialize(), deferred.kwargs)
            except Exception as error:
                yield error


async def afailures(connect: Callable[[], None]) -> list[BaseException]:
    """What is raised where a coroutine reads, which it tries again, or where a bot's signal is sent."""
    connect()
    async with Bitrix24Hook() as hook:
        client = await hook.aget_conn()
        call = a_signal(hook) if hook._sync_settings().bot else Call(READ, {"DIALOG_ID": DIALOG})
        try:
            await client.call(call)
        except Exception as error:
            return [error]
    return []


def a_signal(hook: Bitrix24Hook) -> Call:
    """As the bot, where there is one: its token is a parameter."""
    return hook.signal(DIALOG, status="PROCESSING" if hook._sync_settings().bot else None)


@pytest.mark.parametrize("half", ["sync", "async"])
@by_credential
@by_case
def test_no_failure_shows_a_secret(
    *, world: World, case: Case, connected: Connected, half: str, logged: Callable[[], str], ledger: Callable[[], str]
) -> None:
    with case.meets(world, None) as ground:
        connect = partial(connected.anew, ground)
        raised = list(failures(connect)) if half == "sync" else asyncio.run(afailures(connect))
    light = Light(DIALOG)
    for error in raised:
        if isinstance(error, Exception):
            light.failed(0.0, foreseen(error))
    log = logged()
    assert {"sync": "urllib3.connectionpool", "async": "httpcore.connection"}[half] in log
    assert found(f"{log} {ledger()}", connected.secrets) == []
    assert [leaks(error, connected.secrets) for error in raised] == [[] for _ in raised]


@by_credential
def test_nothing_that_is_left_of_a_task_shows_a_secret(
    world: World, connected: Connected, logged: Callable[[], str]
) -> None:
    tasks = [
        RestOperator(task_id="read", method=READ, params={"DIALOG_ID": DIALOG}),
        DialogWritingOperator(task_id="type", dialog_id=DIALOG, keep_for=60),
    ]
    connected.anew()
    left: list[object] = [tasks[0].execute(CONTEXT)]
    connected.anew()
    with pytest.raises(TaskDeferred) as deferred:
        tasks[1].execute(CONTEXT)
    left += [deferred.value.trigger.serialize(), deferred.value.kwargs, deferred.value.serialize()]
    left += [getattr(task, name) for task in tasks for name in task.template_fields]
    left += [vars(task) for task in tasks]

    async def async_client(hook: Bitrix24Hook) -> str:
        async with hook:
            return repr(await hook.aget_conn())

    connected.anew()
    with Bitrix24Hook() as hook:
        left += [hook.call("profile"), asyncio.run(async_client(hook)), a_signal(hook), hook.get_conn(), hook]
        peer = hook.get_conn().peer
        left += [vars(hook), peer, peer.tokens, peer.current, hook._settings]
    assert len(world.portal.signals(DIALOG)) == 1
    assert found("\n".join([logged(), *(f"{one!r} {one}" for one in left)]), connected.secrets) == []


@pytest.mark.parametrize("kind", ["error", "reset", "html_502", "expired_token"])
@by_credential
def test_what_the_test_button_says_shows_no_secret(
    world: World, connected: Connected, kind: str, logged: Callable[[], str]
) -> None:
    fault = world.portal.faults.add(Fault(kind, "profile", times=None, code="X"))
    connected.anew()
    with Bitrix24Hook() as hook:
        works, text = hook.test_connection()
    assert fault.hits
    assert not works
    assert found(f"{text} {logged()}", connected.secrets) == []


@by_credential
def test_a_task_that_is_stopped_in_the_midst_of_a_call_shows_no_secret(world: World, connected: Connected) -> None:
    """As Airflow does it, when the execution_timeout is over."""

    def stop(*_: object) -> None:
        raise AirflowTaskTimeout

    world.portal.faults.add(Fault("timeout", WRITE, times=None))
    connected.anew()
    task = RestOperator(task_id="write", method=WRITE, params={"DIALOG_ID": DIALOG})
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(AirflowTaskTimeout) as caught:
            task.execute(CONTEXT)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert leaks_of_ours(caught.value, connected.secrets) == []


def test_a_secret_is_found_where_there_is_one() -> None:
    """The tests above can fail."""
    code = compile("def fail(token):\n    raise RuntimeError('no') from KeyError(len(token))", "elsewhere.py", "exec")
    made: dict[str, Any] = {}
    exec(code, made)
    with pytest.raises(RuntimeError) as caught:
        made["fail"]("s3cr3t/token")
    assert leaks(caught.value, ["s3cr3t/token"]) == ["s3cr3t/token"]
    for form in forms("s3cr3t/token"):
        assert form in found(f"before {form} after", ["s3cr3t/token"])
