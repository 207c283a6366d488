"""``airflow bitrix24 bot …`` against a portal, with connections in an Airflow database and elsewhere."""

from __future__ import annotations

import base64
import json
from argparse import Namespace
from functools import partial
from typing import Any

import pytest
import sqlalchemy
from airflow import settings
from airflow.models import Connection, Variable
from sqlalchemy.orm import scoped_session, sessionmaker

from airflow_provider_b24.cli import bot as command
from airflow_provider_b24.cli import bot_store
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.testing import Fault

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(8) + (64).to_bytes(4, "big") * 2
VARIABLE = "bitrix24_bot_token_crm"


@pytest.fixture(scope="module")
def session_of_airflow(tmp_path_factory):
    """An Airflow database with the two tables that matter."""
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path_factory.mktemp('airflow')}/airflow.db")
    for table in (Connection.__table__, Variable.__table__):
        table.create(engine)
    yield scoped_session(sessionmaker(engine))
    engine.dispose()


@pytest.fixture(autouse=True)
def airflow(session_of_airflow, monkeypatch):
    """That database, empty."""
    monkeypatch.setattr(settings, "Session", session_of_airflow)
    # Set by the commands; what it was before comes back after the test.
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    with session_of_airflow.begin():
        for model in (Connection, Variable):
            session_of_airflow.execute(sqlalchemy.delete(model))
    session_of_airflow.remove()
    return session_of_airflow


@pytest.fixture
def portal(portal):
    """Bots of one test are not there in the next."""
    company = portal.company
    before = dict(company.bots)
    yield portal
    company.bots = before


@pytest.fixture
def stored(portal, airflow):
    """A connection in the database."""

    def store(connection: dict[str, Any], **extra: Any) -> None:
        fields = {**connection, "extra": json.dumps({**connection["extra"], **extra})}
        with airflow.begin():
            airflow.add(Connection(conn_id="crm", **fields))
        airflow.remove()

    store(portal.connection(), timeout=7, note="keep me")
    return store


def extra_of(airflow) -> dict[str, Any]:
    found = json.loads(airflow.scalars(sqlalchemy.select(Connection)).one().extra)
    airflow.remove()
    assert isinstance(found, dict)
    return found


def register(name="Reporter", **options):
    given = {"last_name": None, "position": None, "avatar": None, "color": None, "code": None, "type": "bot"}
    command.register(Namespace(conn_id="crm", name=name, **{**given, **options}))


@pytest.fixture
def no_pauses(monkeypatch):
    monkeypatch.setattr("airflow_provider_b24.rest.peer.Peer.backoff", lambda *_: 0.0)


def methods(portal):
    return [call.method.removeprefix("imbot.v2.Bot.") for call in portal.calls]


def test_from_nothing_to_a_message_of_the_bot(portal, stored, airflow, capsys, tmp_path):
    picture = tmp_path / "picture.png"
    picture.write_bytes(PICTURE)
    register(avatar=str(picture), position="Reports", color="azure")
    extra = extra_of(airflow)
    bot = portal.company.bots[extra["bot_id"]]
    user = portal.company.users[bot.id]
    assert (bot.code, bot.type, bot.event_mode, bot.avatar) == ("airflow_crm", "bot", "fetch", PICTURE)
    assert (user.name, user.position) == ("Reporter", "Reports")
    assert extra["bot_token"] == bot.token
    assert 30 <= len(bot.token) <= 40
    assert (extra["timeout"], extra["note"]) == (7, "keep me"), "the other fields are as they were"
    assert methods(portal) == ["get", "register", "get"]
    out = capsys.readouterr().out
    assert out == (
        f"Registered: the bot 'Reporter' (id {bot.id}, code airflow_crm).\n"
        "The connection 'crm' speaks as it from now on.\n"
        "It is in no chat yet: add it, by its name, to those in which it is to speak.\n"
    )
    assert Variable.get(VARIABLE, default_var=None) is None, "it is kept in one place"
    portal.chat("chat2935").members.add(bot.id)
    with Bitrix24Hook("crm") as hook:
        hook.send_message("chat2935", "done")
    assert portal.messages("chat2935")[0].author_id == bot.id


def test_again_it_changes_the_bot(portal, stored, airflow, tmp_path):
    register()
    before = extra_of(airflow)
    picture = tmp_path / "picture.png"
    picture.write_bytes(PICTURE)
    portal.clear()
    register("Herald", avatar=str(picture))
    assert extra_of(airflow) == before
    assert portal.company.users[before["bot_id"]].name == "Herald"
    assert portal.company.bots[before["bot_id"]].avatar == PICTURE
    assert methods(portal) == ["get", "get", "update", "get"]


@pytest.mark.parametrize("method", ["get", "register"])
@pytest.mark.parametrize("kind", ["reset_after", "html_502"])
@pytest.mark.usefixtures("stored", "no_pauses")
def test_stopped_anywhere_it_goes_on_with_the_same_token(portal, airflow, method, kind):
    portal.faults.add(Fault(kind, f"imbot.v2.Bot.{method}", times=None))
    with pytest.raises(SystemExit, match="Not registered"):
        register()
    token = Variable.get(VARIABLE)
    assert "bot_token" not in extra_of(airflow), "tasks go on as the account meanwhile"
    portal.faults.clear()
    register()
    assert extra_of(airflow)["bot_token"] == token
    assert [bot.token for bot in portal.company.bots.values() if bot.code == "airflow_crm"] == [token]


def test_a_token_that_can_not_be_kept_registers_nothing(portal, stored, monkeypatch):
    def put(*_, **__):
        raise PermissionError("s3cret")

    monkeypatch.setattr(Variable, "set", put)
    with pytest.raises(SystemExit) as caught:
        register()
    assert "Variable bitrix24_bot_token_crm for the bot's token could not be written (PermissionError)" in str(
        caught.value
    )
    assert "s3cret" not in str(caught.value)
    assert portal.calls == []


def test_a_connection_that_is_not_in_the_database(portal, connect, airflow, capsys):
    connect(portal.connection(), "crm")
    register()
    out = capsys.readouterr().out
    bot = next(bot for bot in portal.company.bots.values() if bot.code == "airflow_crm")
    assert "The connection 'crm' is not in Airflow's database: give it these extra fields yourself." in out
    assert f"  bot_id     {bot.id}\n" in out
    assert f"airflow variables get {VARIABLE}" in out
    assert Variable.get(VARIABLE) == bot.token
    assert bot.token not in out
    connect(portal.connection(), "crm", bot_id=bot.id, bot_token=bot.token)
    register("Herald")
    assert "extra fields" not in capsys.readouterr().out


def test_one_in_the_database_that_is_hidden_by_another(portal, stored, connect, airflow, capsys):
    connect(portal.connection(), "crm")
    register()
    assert "bot_id" not in extra_of(airflow)
    assert "is not in Airflow's database" in capsys.readouterr().out


def test_an_application_needs_no_token(portal, stored, airflow):
    with airflow.begin():
        airflow.execute(sqlalchemy.delete(Connection))
    airflow.remove()
    stored(portal.oauth_connection())
    register(code="of_the_app")
    extra = extra_of(airflow)
    assert "bot_token" not in extra
    assert portal.company.bots[extra["bot_id"]].code == "of_the_app"
    assert Variable.get(VARIABLE, default_var=None) is None
    with Bitrix24Hook("crm") as hook:
        speaker = hook.speaker()
    assert speaker is not None
    assert speaker.token is None


def test_the_token_where_the_other_page_has_it(portal, stored):
    portal.faults.add(Fault("error", "imbot.v2.Bot.register", code="BOT_TOKEN_NOT_SPECIFIED"))
    register()
    first, second = (call.params for call in portal.calls if call.method == "imbot.v2.Bot.register")
    assert "botToken" not in first
    assert second["botToken"] == second["fields"]["botToken"]


def test_a_bot_that_does_not_answer_to_its_token_is_not_stored(portal, stored, airflow, monkeypatch):
    from airflow_provider_b24.testing.methods import bot_accounts

    monkeypatch.setattr(bot_accounts, "_bot_card", lambda company, bot: bot_accounts._short_card(bot))
    with pytest.raises(SystemExit, match=r"was registered and does not answer to its token"):
        register()
    assert "bot_id" not in extra_of(airflow)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"avatar": "/nowhere/at.all"}, "the avatar '/nowhere/at.all' can not be read (FileNotFoundError)"),
        ({"avatar": __file__}, "BOT_AVATAR_INCORRECT_TYPE"),
        ({"code": "report_bot"}, "BOT_CODE_ALREADY_TAKEN"),
    ],
    ids=["no file", "no picture", "code taken"],
)
def test_what_is_refused(portal, stored, airflow, options, words):
    with pytest.raises(SystemExit) as caught:
        register(**options)
    assert str(caught.value).startswith("Not registered. ")
    assert words in str(caught.value)
    assert "bot_id" not in extra_of(airflow)


def test_another_code_than_that_of_the_bot_it_has(portal, stored):
    register()
    with pytest.raises(
        SystemExit, match=r"speaks as the bot \d+ already, whose code is airflow_crm.* Leave --code out"
    ):
        register(code="second")


def test_a_bot_of_somebody_else(portal, stored, airflow):
    bot_store.change_extra("crm", {"bot_id": 101, "bot_token": "wrong"})
    with pytest.raises(SystemExit, match="which is somebody else's"):
        register()


def test_one_that_was_deleted_is_registered_anew(portal, stored, airflow):
    register()
    before = extra_of(airflow)
    del portal.company.bots[before["bot_id"]]
    register()
    after = extra_of(airflow)
    assert after["bot_token"] == before["bot_token"]
    assert after["bot_id"] in portal.company.bots


def test_no_error_shows_the_token(portal, stored, capsys, caplog):
    portal.faults.add(Fault("error", "imbot.v2.Bot.get", code="TOLD", description="x"))

    def tell(call):
        given = (call.params or {}).get("botToken")
        for fault in portal.faults._faults:
            fault.description = f"no such token: {given or Variable.get(VARIABLE)}"

    portal.on_call = tell
    with pytest.raises(SystemExit) as caught:
        register()
    token = Variable.get(VARIABLE)
    assert token not in str(caught.value) + capsys.readouterr().out + caplog.text


# ---- list and unregister


def test_listing(portal, stored, capsys):
    command_list = Namespace(conn_id="crm", output="json")
    with pytest.raises(SystemExit, match=r"has no bot\. A webhook sees only the bots of a token"):
        command.show(command_list)
    register()
    capsys.readouterr()
    command.show(command_list)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["code"], row["type"], row["chats"], row["speaks"]) == (
        "Reporter",
        "airflow_crm",
        "bot",
        "0",
        "True",
    )


def test_a_long_list_is_read_to_its_end(portal, stored, airflow, monkeypatch):
    from airflow_provider_b24.chat import bots

    monkeypatch.setattr(bots, "_PAGE", 2)
    with Bitrix24Hook("bitrix24_default") as hook:
        client = hook.get_conn()
        for number in range(5):
            profile = bots.Profile(f"many{number}", {"name": f"Bot {number}"})
            client.run(partial(bots.register, profile=profile, token="t"))
        found = client.run(partial(bots.every, token="t"))
    assert [card.name for card in found] == [f"Bot {number}" for number in range(5)]


@pytest.mark.parametrize("there", [True, False])
def test_removing(portal, stored, airflow, capsys, there):
    register()
    bot_id = extra_of(airflow)["bot_id"]
    if not there:
        del portal.company.bots[bot_id]
    command.unregister(Namespace(conn_id="crm", yes=True))
    assert bot_id not in portal.company.bots
    assert extra_of(airflow) == {"longest_request": 1, "plan": "unlimited", "timeout": 7, "note": "keep me"}
    words = f"Removed: the bot {bot_id}." if there else f"The portal has no bot {bot_id} any more."
    assert f"{words}\nThe connection 'crm' speaks as its account from now on.\n" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="has no bot"):
        command.unregister(Namespace(conn_id="crm", yes=True))


@pytest.mark.parametrize("answer", ["", "n", "whatever"])
def test_removing_needs_a_yes(portal, stored, airflow, monkeypatch, answer):
    register()
    asked = []

    def asking(question: str) -> str:
        asked.append(question)
        return answer

    monkeypatch.setattr("builtins.input", asking)
    with pytest.raises(SystemExit, match=r"Nothing was removed\."):
        command.unregister(Namespace(conn_id="crm", yes=False))
    assert extra_of(airflow)["bot_id"] in portal.company.bots
    assert f"from {portal.url}?" in asked[0]


def test_the_picture_is_sent_as_it_is():
    assert base64.b64decode(command._base64(__file__)).startswith(b'"""``airflow')


def test_a_name_that_is_too_long_for_a_variable():
    name = bot_store.variable_of("x" * 250)
    assert len(name) < 250
    assert name.startswith("bitrix24_bot_token_")
