"""Where a bot's id and token are kept: in the connection, and the token of one that is being registered in a Variable.

The token has to be kept before the bot is registered, for a bot whose token is lost is lost. In the connection it would
stand without an id then, which no task could work with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_b24.rest.errors import Bitrix24Error

# Airflow hides the value of a Variable whose name contains "token".
_NAME = "bitrix24_bot_token_"
_LONGEST_NAME = 250
_DESCRIPTION = "Token of a Bitrix24 chat bot. Without it the bot can not be used any more."


def variable_of(conn_id: str) -> str:
    """The name of the Variable for the token of a connection's bot, until the connection has it itself."""
    name = _NAME + conn_id
    return name if len(name) <= _LONGEST_NAME else _NAME + hashlib.sha256(conn_id.encode()).hexdigest()[:32]


def pending_token(conn_id: str) -> str | None:
    """The token that was kept before, if the connection does not have it yet."""
    return _variables().get(variable_of(conn_id)) or None


def keep_token(conn_id: str, token: str) -> None:
    """Keep a token for a bot that is about to be registered.

    :raises Bitrix24Error: if it could not be kept.
    """
    name = variable_of(conn_id)
    try:
        _variables().put(name, token, _DESCRIPTION)
        kept = _variables().get(name)
    except Exception as error:
        # Its words may hold the token.
        problem = type(error).__name__
    else:
        if kept == token:
            return
        problem = "it is as before"
    raise Bitrix24Error(
        f"the Variable {name} for the bot's token could not be written ({problem})",
        advice="Run the command where Airflow's database can be written. Nothing was registered.",
    )


def forget_token(conn_id: str) -> None:
    """The connection has the token, or nobody needs it any more."""
    _variables().remove(variable_of(conn_id))


def change_extra(conn_id: str, changes: Mapping[str, Any]) -> bool:
    """Change extra fields of a connection in Airflow's database, and leave the others as they are.

    :param changes: values by name; None for a field that is to go.
    :return: False if the connection is not kept there, or is hidden by another of its name: nothing is changed then.
    """
    from airflow.models import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select

    if not _is_in_database(conn_id):
        return False
    with create_session() as session:
        connection = session.scalars(select(Connection).where(Connection.conn_id == conn_id).with_for_update()).one()
        extra = {**json.loads(connection.extra or "{}"), **changes}
        kept = {name: value for name, value in extra.items() if name not in changes or value is not None}
        connection.set_extra(json.dumps(kept))
    return True


def _is_in_database(conn_id: str) -> bool:
    from airflow.configuration import ensure_secrets_loaded
    from airflow.secrets.metastore import MetastoreBackend

    # In the order in which Airflow itself looks for it.
    for backend in ensure_secrets_loaded():
        found: object = None
        try:
            found = backend.get_connection(conn_id=conn_id)
        except Exception:  # noqa: S112 - as Airflow does it; its words may hold secrets
            continue
        if found is not None:
            return isinstance(backend, MetastoreBackend)
    return False


def _variables() -> Any:
    from airflow_provider_b24.hooks import variables

    found = variables.reachable()
    if found is None:
        raise Bitrix24Error("Airflow's Variables can not be reached from here", advice="Run it where Airflow runs.")
    return found
