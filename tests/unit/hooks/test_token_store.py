"""Which tokens a connection has: its own, or those that were renewed from them."""

from __future__ import annotations

import json
import sys
import uuid
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from airflow_provider_b24.hooks import token_store
from airflow_provider_b24.hooks.token_store import VariableTokenStore, store_for
from airflow_provider_b24.hooks.variables import is_transient, renewal_refused
from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.credentials import MemoryTokenStore, OAuthApp, Tokens
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError, NotSentError

FIRST = Tokens("acc3ss1", "refr3sh1")
SECOND = Tokens("acc3ss2", "refr3sh2", "https://acme.bitrix24.com/rest/")
THIRD = Tokens("acc3ss3", "refr3sh3", "https://acme.bitrix24.com/rest/")
NONE = Tokens("", "")


class Variables:
    """Airflow's, without Airflow."""

    readable = writable = True

    def __init__(self):
        self.kept = {}

    def get(self, key):
        if not self.readable:
            raise PermissionError(f"{self.kept!r} may not be read")
        return self.kept.get(key)

    def put(self, key, value, description):
        if not self.writable:
            raise PermissionError(f"{value} may not be written")
        self.kept[key] = value


@pytest.fixture
def variables():
    return Variables()


def app(host="acme.bitrix24.com", secret="cli3ntsecret"):
    return OAuthApp(Address("https", host), "local.1", secret)


@pytest.fixture
def store(variables):
    def made(conn_id="crm", first=FIRST, of=None, **options):
        return VariableTokenStore(conn_id, of or app(), first, variables, **options)

    return made


def test_it_begins_with_what_the_connection_has(store, variables):
    assert store().load() == FIRST
    assert variables.kept == {}


def test_renewed_tokens_are_in_a_variable_named_after_the_connection(store, variables):
    store().save(SECOND)
    assert store().load() == SECOND
    assert "refr3sh2" in variables.kept["bitrix24_tokens_crm"]
    assert "refr3sh1" not in str(variables.kept)
    store().save(THIRD)
    assert store().load() == THIRD
    assert len(variables.kept) == 2


def test_every_name_is_one_that_airflow_hides(store, variables):
    from airflow._shared.secrets_masker import should_hide_value_for_key

    store().save(SECOND)
    store("x" * 240).save(SECOND)
    assert len(variables.kept) == 3
    assert all(should_hide_value_for_key(name) and len(name) <= 250 for name in variables.kept)
    # and what is only told apart by a name shows nothing of the tokens
    assert not [token for token in SECOND.secrets if token in " ".join(variables.kept)]


def test_a_fresh_pair_in_the_connection_wins(store):
    store().save(SECOND)
    fresh = Tokens("fr3sh", "fr3sher")
    assert store(first=fresh).load() == fresh
    store(first=fresh).save(THIRD)
    assert store(first=fresh).load() == THIRD
    # the pair before is used up, whatever was renewed from it
    assert store().load() == FIRST


@pytest.mark.parametrize("first", [FIRST, NONE], ids=["pair", "authorised"])
@pytest.mark.parametrize("other", [{"host": "evil.example"}, {"secret": "gu3ssed"}], ids=str)
def test_tokens_go_to_nobody_else(store, first, other):
    store(first=first).save(SECOND)
    assert store(first=first, of=app(**other)).load() == first
    assert store("abcdEF12", first=first, of=app(**other), transient=True).load() == first


def test_a_portal_that_has_moved(store):
    moved = Tokens("acc3ss2", "refr3sh2", "https://new.bitrix24.com/rest/")
    store().save(moved)
    assert store(of=app("new.bitrix24.com")).load() == moved
    assert store().load() == moved


@pytest.mark.parametrize("first", [FIRST, NONE], ids=["pair", "authorised"])
def test_the_test_button_finds_the_connections_tokens(store, variables, first):
    store(first=first).save(SECOND)
    tested = store("abcdEF12", first=first, transient=True)
    assert tested.load() == SECOND
    tested.save(THIRD)
    assert store(first=first).load() == THIRD
    assert not [name for name in variables.kept if "abcdEF12" in name]


def test_the_test_button_comes_first(store, variables):
    store("abcdEF12", transient=True).save(SECOND)
    assert store().load() == SECOND
    assert not [name for name in variables.kept if "abcdEF12" in name]


def test_a_connection_that_was_renamed_or_copied(store):
    store().save(SECOND)
    renamed = store("sales")
    assert renamed.load() == SECOND
    renamed.save(THIRD)
    assert store().load() == THIRD


def test_who_has_no_tokens_gets_no_others(store):
    """Two connections of one application may be two users."""
    store("anna", first=NONE).save(SECOND)
    assert store("boris", first=NONE).load() == NONE
    store("boris", first=NONE).save(THIRD)
    assert store("anna", first=NONE).load() == SECOND
    assert store("boris", first=NONE).load() == THIRD
    with pytest.raises(ConfigurationError, match="airflow connections test CONN_ID"):
        store("abcdEF12", first=NONE, transient=True).load()


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '"text"', "{}", '{"descends_from": 1}', "[" * 100_000])
def test_a_variable_that_holds_something_else(store, variables, text):
    store().save(SECOND)
    for name in variables.kept:
        variables.kept[name] = text
    assert store().load() == FIRST
    store().save(SECOND)
    assert store().load() == SECOND


def test_a_variable_that_can_not_be_written(store, variables):
    variables.writable = False
    with pytest.raises(Bitrix24Error, match="bitrix24_tokens_crm could not be written") as caught:
        store().save(SECOND)
    assert "PermissionError" in str(caught.value)
    assert "token_store" in caught.value.advice
    assert not [token for token in SECOND.secrets if token in str(caught.value)]
    assert caught.value.__context__ is None


def test_a_variable_that_seems_to_be_written(store, variables, monkeypatch):
    """Another place hides Airflow's own, and can not be written."""
    store().save(SECOND)
    monkeypatch.setattr(variables, "put", lambda *words: None)
    with pytest.raises(Bitrix24Error, match="it is as before"):
        store().save(THIRD)


def test_a_variable_that_can_not_be_read(store, variables):
    variables.readable = False
    with pytest.raises(NotSentError, match="could not be read") as caught:
        store().load()
    assert caught.value.__context__ is None


def test_without_airflow_the_process_shares_them(monkeypatch):
    monkeypatch.setattr(token_store._OfThisProcess, "_kept", {})
    with pytest.raises(Bitrix24Error, match="no Airflow to keep Variables"):
        VariableTokenStore("crm", app(), FIRST, None).save(SECOND)
    assert VariableTokenStore("crm", app(), FIRST, None).load() == SECOND


def test_its_representation(store):
    assert repr(store()) == "VariableTokenStore('bitrix24_tokens_crm')"


# ---- another place


def vault(conn_id, first):
    return MemoryTokenStore(Tokens(f"of {conn_id}", first.refresh_token))


def test_another_place_is_named_in_the_configuration(monkeypatch):
    monkeypatch.setenv("AIRFLOW__BITRIX24__TOKEN_STORE", f"{__name__}.vault")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[vault.__module__])
    assert store_for("crm", app(), FIRST).load() == Tokens("of crm", "refr3sh1")


@pytest.mark.parametrize("path", ["nowhere", "no.where", "json.nothing", "."])
def test_another_place_that_is_not_there(monkeypatch, path):
    monkeypatch.setenv("AIRFLOW__BITRIX24__TOKEN_STORE", path)
    with pytest.raises(ConfigurationError, match="can not be imported"):
        store_for("crm", app(), FIRST)


# ---- where a hook runs


@pytest.fixture
def place(monkeypatch):
    from airflow.sdk.execution_time import task_runner

    def be(context="", comms=None, **environ):
        for name, value in {"_AIRFLOW_PROCESS_CONTEXT": context, **environ}.items():
            monkeypatch.setenv(name, value)
        if comms is not None:
            monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)

    monkeypatch.delenv("AIRFLOW_CTX_DAG_ID", raising=False)
    return be


def comms():
    from airflow.sdk.execution_time.comms import CommsDecoder

    socket: Any = SimpleNamespace()
    return CommsDecoder(socket=socket)


def test_a_callback_that_an_executor_runs_renews_nothing(place, monkeypatch):
    """Its supervisor would never answer, and write the Variable into its log (airflow.sdk, callback_supervisor)."""
    monkeypatch.setitem(sys.modules, "airflow.sdk.execution_time.callback_supervisor", SimpleNamespace())
    place("server", comms())
    assert "use AsyncCallback instead of SyncCallback" in renewal_refused()
    place("client", comms())
    assert renewal_refused() == "", "the dag-processor"
    place("server", comms(), AIRFLOW_CTX_DAG_ID="a task's")
    assert renewal_refused() == ""


def note_down(path):
    """What a callback is told."""
    Path(path).write_text(renewal_refused())


if find_spec("airflow.sdk.execution_time.callback_supervisor") is not None:

    def test_airflow_runs_such_a_callback_in_a_place_that_is_known(tmp_path, monkeypatch):
        from airflow.sdk.execution_time import callback_supervisor

        monkeypatch.setattr(callback_supervisor, "MIN_HEARTBEAT_INTERVAL", 0.05)
        nobody: Any = None
        callback = callback_supervisor.CallbackSubprocess.start(
            id=str(uuid.uuid4()),
            callback_path=f"{note_down.__module__}.note_down",
            callback_kwargs={"path": str(tmp_path / "note")},
            dag_rel_path=Path(),
            client=nobody,
            logger=structlog.get_logger(),
        )
        assert callback.wait() == 0
        assert "A callback that an executor runs may not write Variables" in (tmp_path / "note").read_text()


def test_a_test_on_a_worker_renews_nothing(place):
    place("client")
    assert "Test button" in renewal_refused()
    place("server")
    assert renewal_refused() == ""
    place("")
    assert renewal_refused() == ""


def test_the_name_that_a_test_gives_to_a_connection(place):
    place("server", AIRFLOW_CONN_ABCDEF12="{}", AIRFLOW_CONN_CRM="{}")
    assert is_transient("abcdEF12")
    assert not is_transient("abcdEF13")
    assert not is_transient("crm")
    place("")
    assert not is_transient("abcdEF12")


def test_records_are_plain(store, variables):
    store().save(SECOND)
    assert set(json.loads(variables.kept["bitrix24_tokens_crm"])) == {
        "descends_from",
        "portal",
        "access_token",
        "refresh_token",
        "endpoint",
    }
