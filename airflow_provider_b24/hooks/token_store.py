"""Where an application's renewed tokens are kept: by default in an Airflow Variable named after the connection."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_b24.rest.credentials import OAuthApp, Tokens
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError, NotSentError

if TYPE_CHECKING:
    from airflow_provider_b24.hooks.settings import Settings
    from airflow_provider_b24.hooks.variables import Variables
    from airflow_provider_b24.rest.credentials import TokenStore

# Airflow hides the value of a Variable whose name contains "token".
_NAME = "bitrix24_tokens_"
_HOMES = "bitrix24_token_homes_"
_LONGEST_NAME = 250

_READ_ONLY_ADVICE = (
    "Let this process write Variables, or name another place as [bitrix24] token_store in Airflow's configuration."
)


class VariableTokenStore:
    """An application's tokens in an Airflow Variable, ``bitrix24_tokens_<conn_id>``.

    The Variable says from which tokens of the connection it descends. So whoever enters a fresh pair into the
    connection is heard: what was renewed from the pair before is not used any more. And a second Variable,
    ``bitrix24_token_homes_<fingerprint>``, says where the descendants of a pair are: for the Test button, which gives
    a connection another name, and for a connection that was renamed or copied.

    :param conn_id: the connection.
    :param app: the application.
    :param first: the tokens in the connection; both may be empty.
    :param variables: the Variables; None where there are none.
    :param transient: whether the connection has its name only for a test.
    """

    def __init__(
        self, conn_id: str, app: OAuthApp, first: Tokens, variables: Variables | None, *, transient: bool = False
    ) -> None:
        self._conn_id = conn_id
        self._app = app
        self._first = first
        self._lasting = variables is not None
        self._variables: Variables = _OfThisProcess() if variables is None else variables
        self._transient = transient
        self._descent = _fingerprint(app.client_id, app.client_secret, first.access_token, first.refresh_token)
        # A test that comes first leaves the tokens where the real connection looks as well.
        self._name = _name(self._descent if transient else conn_id)
        self._known = False

    def __repr__(self) -> str:
        return f"VariableTokenStore({self._name!r})"

    def load(self) -> Tokens:
        """The newest tokens; those of the connection if there are no newer ones.

        :raises NotSentError: if Airflow does not let the Variable be read.
        """
        try:
            return self._found() or self._first
        except Bitrix24Error:
            raise
        except Exception as error:
            problem = type(error).__name__
        raise NotSentError(
            f"the Variable {self._name} could not be read ({problem})",
            advice="Is Airflow's API server up, and may this process read Variables?",
        )

    def save(self, tokens: Tokens) -> None:
        """Keep renewed tokens.

        :raises Bitrix24Error: if they could not be kept.
        """
        problem = self._put(self._variables, tokens)
        if not self._lasting:
            raise Bitrix24Error("There is no Airflow to keep Variables for this process.", advice=_READ_ONLY_ADVICE)
        if problem:
            raise Bitrix24Error(
                f"The Variable {self._name} could not be written ({problem}).", advice=_READ_ONLY_ADVICE
            )

    def _put(self, variables: Variables, tokens: Tokens) -> str:
        """Write the Variable; what went wrong, if anything did."""
        record = {
            "descends_from": self._descent,
            "portal": str(self._app.address),
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "endpoint": tokens.endpoint,
        }
        text = json.dumps(record)
        try:
            if not self._known:
                # Before the tokens: a Variable that is looked for in vain does no harm.
                self._tell_home(variables)
            before = variables.get(self._name)
            variables.put(self._name, text, self._description())
            after = variables.get(self._name)
        except Exception as error:
            # Its words may hold the tokens.
            return type(error).__name__
        self._known = True
        return "it is as before" if after is None or after == before != text else ""

    def _found(self) -> Tokens | None:
        tokens = self._read(self._variables, self._name)
        if tokens is None and (self._transient or self._first.secrets):
            # Others who descend from nothing may be another user's.
            homes = self._homes(self._variables)
            if not self._first.secrets and len(homes) > 1:
                raise ConfigurationError(
                    "several connections are of this application, and this one has no tokens to tell it by",
                    advice="Test it by its name: airflow connections test CONN_ID",
                )
            for name in homes:
                tokens = self._read(self._variables, name)
                if tokens is not None:
                    self._name = name
                    break
        self._known = tokens is not None
        return tokens

    def _read(self, variables: Variables, name: str) -> Tokens | None:
        """The tokens in a Variable, if they descend from those of the connection, and are for its portal."""
        record = _object(variables.get(name))
        if not isinstance(record, dict) or record.get("descends_from") != self._descent:
            return None
        endpoint = str(record.get("endpoint") or "")
        here = str(self._app.address)
        # A portal that has moved: the authorisation server says where to.
        if here != record.get("portal") and not endpoint.startswith(f"{here}/"):
            return None
        access, refresh = record.get("access_token"), record.get("refresh_token")
        return Tokens(str(access or ""), str(refresh or ""), endpoint or None)

    def _homes(self, variables: Variables) -> list[str]:
        homes = _object(variables.get(_HOMES + self._descent))
        return [name for name in homes if isinstance(name, str)] if isinstance(homes, list) else []

    def _tell_home(self, variables: Variables) -> None:
        homes = self._homes(variables)
        if self._name not in homes:
            text = json.dumps([*homes, self._name])
            variables.put(
                _HOMES + self._descent, text, "Where the provider for Bitrix24 keeps tokens; holds no secret."
            )

    def _description(self) -> str:
        whose = "a connection that was tested" if self._transient else f"the connection {self._conn_id!r}"
        return f"Tokens of {whose}, renewed by the provider for Bitrix24. Without it, authorise the application anew."


class _OfThisProcess:
    """For a process that can ask nobody for Variables: its own hooks at least share what they renew."""

    _kept: ClassVar[dict[str, str]] = {}

    def get(self, key: str) -> str | None:
        return self._kept.get(key)

    def put(self, key: str, value: str, description: str) -> None:
        self._kept[key] = value

    def remove(self, key: str) -> None:
        self._kept.pop(key, None)


def keeping(conn_id: str, settings: Settings, store: TokenStore | None = None) -> dict[str, Any]:
    """What a :class:`~.rest.peer.Peer` has to know of an application's tokens; nothing for a webhook.

    :param store: where they are kept, instead of where Airflow is set to.
    :raises ConfigurationError: if what Airflow is set to can not be had.
    """
    from airflow_provider_b24.hooks.masking import MaskingTokenStore
    from airflow_provider_b24.hooks.variables import is_transient, renewal_refused
    from airflow_provider_b24.rest.lock import HostLock

    app = settings.credential
    if not isinstance(app, OAuthApp):
        return {}
    assert settings.tokens is not None
    named = "CONN_ID" if is_transient(conn_id) else shlex.quote(conn_id)
    chosen = store or store_for(conn_id, app, settings.tokens)
    return {
        "tokens": MaskingTokenStore(chosen, settings.secrets),
        "lock": HostLock(f"{app.oauth_url} {app.client_id}"),
        "authorise": f"airflow bitrix24 authorize {named}",
        "renewal_refused": renewal_refused() if isinstance(chosen, VariableTokenStore) else "",
    }


def store_for(conn_id: str, app: OAuthApp, first: Tokens) -> TokenStore:
    """Where the tokens of a connection are kept: where ``[bitrix24] token_store`` says, or in a Variable.

    :raises ConfigurationError: if what is named there can not be had.
    """
    from airflow.sdk import conf

    from airflow_provider_b24.hooks.variables import is_transient, reachable

    path = conf.get("bitrix24", "token_store", fallback="")
    if path:
        return _made(path)(conn_id, first)
    return VariableTokenStore(conn_id, app, first, reachable(), transient=is_transient(conn_id))


def _made(path: str) -> Callable[[str, Tokens], TokenStore]:
    from importlib import import_module

    module, _, name = path.rpartition(".")
    try:
        found: Callable[[str, Tokens], TokenStore] = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        problem = type(error).__name__
    else:
        return found
    raise ConfigurationError(
        f"[bitrix24] token_store is {path!r}, and that can not be imported ({problem})",
        advice="It is the dotted path of what makes a store from a connection's id and the tokens in the connection.",
    )


def _fingerprint(*secrets: str) -> str:
    return hashlib.sha256(json.dumps(["bitrix24 tokens", *secrets]).encode()).hexdigest()[:32]


def _name(conn_id: str) -> str:
    name = _NAME + conn_id
    return name if len(name) <= _LONGEST_NAME else _NAME + _fingerprint(conn_id)


def _object(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
