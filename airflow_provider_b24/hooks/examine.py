"""What a credential is and may do, in one sentence; behind the Test button."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_b24.hooks import findings
from airflow_provider_b24.rest.errors import Bitrix24Error
from airflow_provider_b24.rest.peer import Patience
from airflow_provider_b24.rest.protocol import Call

if TYPE_CHECKING:
    from airflow_provider_b24.rest.client import Client

# Two calls within the ten seconds that a Test button has.
_QUICK = Patience(tries=1, answer=3.5, limits=1.0)


def examine(client: Client, *, bot: bool = False) -> tuple[bool, str]:
    """Ask the portal who the credential is (``profile``) and which scopes it has (``scope``).

    :param bot: whether the connection names a chat bot, which needs one scope more.
    :return: whether calls work, and what there is to know. Raises nothing.
    """
    try:
        profile = client.call(Call("profile"), patience=_QUICK).result
        account = findings.of_account(profile, client.peer.address)
        if account.severity == "error":
            return False, account.text
        who = account.text
    except Bitrix24Error as error:
        return False, str(error)
    except Exception as error:
        return False, f"Unforeseen {type(error).__name__} while calling the portal."
    try:
        granted = client.call(Call("scope"), patience=_QUICK).result
    except Exception as error:
        return (
            True,
            f"{who} The scopes could not be read: {error if isinstance(error, Bitrix24Error) else 'unforeseen'}",
        )
    scopes = sorted(str(scope) for scope in granted) if isinstance(granted, list) else []
    missing = [f"{scope.name} ({scope.purpose})" for scope in findings.missing(findings.needed(bot=bot), scopes)]
    text = f"{who} Scopes: {', '.join(scopes) or 'none'}."
    if missing:
        text += (
            f" Missing for operators of this provider: {', '.join(missing)}. Add them to the webhook or application."
        )
    return True, text
