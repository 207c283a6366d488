"""What a credential is and may do, in one sentence; behind the Test button."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_provider_b24.rest.errors import Bitrix24Error
from airflow_provider_b24.rest.peer import Patience
from airflow_provider_b24.rest.protocol import Call

if TYPE_CHECKING:
    from airflow_provider_b24.rest.client import Client

# What the operators of this package call, by scope.
NEEDED_SCOPES = {
    "im": "typing and messages",
    "user": "naming a dialog by a person's e-mail address",
}
_INSTEAD = {"user": ("user_basic",)}
_BOT_SCOPE = {"imbot": "speaking as a chat bot"}

# Two calls within the ten seconds that a Test button has.
_QUICK = Patience(tries=1, answer=3.5, limits=1.0)


def examine(client: Client, *, bot: bool = False) -> tuple[bool, str]:
    """Ask the portal who the credential is (``profile``) and which scopes it has (``scope``).

    :param bot: whether the connection names a chat bot, which needs one scope more.
    :return: whether calls work, and what there is to know. Raises nothing.
    """
    try:
        profile = client.call(Call("profile"), patience=_QUICK).result
        if not isinstance(profile, Mapping) or not profile.get("ID"):
            return False, "The credential is valid, but its user is not active any more: make a new webhook."
        name = " ".join(str(profile[key]) for key in ("NAME", "LAST_NAME") if profile.get(key))
        admin = ", administrator" if profile.get("ADMIN") is True else ""
        who = f"Connected to {client.peer.address} as {name or 'a user without a name'} (user {profile['ID']}{admin})."
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
    needed = {**NEEDED_SCOPES, **(_BOT_SCOPE if bot else {})}
    missing = [
        f"{scope} ({purpose})"
        for scope, purpose in needed.items()
        if scope not in scopes and not any(other in scopes for other in _INSTEAD.get(scope, ()))
    ]
    text = f"{who} Scopes: {', '.join(scopes) or 'none'}."
    if missing:
        text += (
            f" Missing for operators of this provider: {', '.join(missing)}. Add them to the webhook or application."
        )
    return True, text
