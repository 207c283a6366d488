"""One exception class for each decision that a caller takes, and the table of the vendor's codes.

A code decides, not an HTTP status: the portal answers one code with different statuses, and different
codes with one. Codes are compared without regard to case, may be empty or numeric, and are an open set;
only where a code is unknown does the status help.

Two things are said of every error, as attributes of its class:

``permanent``
    Sending the same call again can not help: somebody has to change something first.
``effect_unknown``
    The portal may or may not have done what was asked. A call that writes must not simply be repeated.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Bitrix24Error(Exception):
    """Whatever goes wrong between this package and a portal.

    :ivar method: the REST method that was called, or None.
    :ivar code: the portal's error code, as it was sent; None where the portal did not answer with one,
        an empty string where it sent an empty one.
    :ivar description: the portal's own words, or what was seen on the wire; never contains a secret.
    :ivar status: the HTTP status, or None.
    :ivar advice: what to do about it.
    :ivar retry_after: seconds after which the same call is worth repeating, or None if that is not known.
    :ivar after: where it ends the reading of a list, the key of the last row that was given out: with it as ``after``
        the reading goes on. None if there was none.
    :ivar done: where it ends the writing of many rows: of how many, from the first on, the outcomes were given out.
    """

    permanent: bool = True
    effect_unknown: bool = False
    default_advice: str = ""
    done: int | None = None
    after: int | str | None = None

    def __init__(
        self,
        description: str,
        *,
        method: str | None = None,
        code: str | None = None,
        status: int | None = None,
        advice: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(description)
        self.description = description
        self.method = method
        self.code = code
        self.status = status
        self.advice = self.default_advice if advice is None else advice
        self.retry_after = retry_after

    def __str__(self) -> str:
        label = self.code or ("empty error code" if self.code == "" else "")
        if self.status is not None:
            label = f"{label} (HTTP {self.status})" if label else f"HTTP {self.status}"
        parts = [part for part in (self.method, label, self.description) if part]
        text = ": ".join(parts)
        if not self.advice:
            return text
        return f"{text}{'' if text.endswith(('.', '!', '?')) else '.'} {self.advice}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.description, dict(self.__dict__))


def _rebuild(cls: type[Bitrix24Error], description: str, state: dict[str, Any]) -> Bitrix24Error:
    error = cls(description)
    error.__dict__.update(state)
    return error


class ConfigurationError(Bitrix24Error, ValueError):
    """A connection or an argument can not be right; nothing was sent."""


class AuthenticationError(Bitrix24Error):
    """The portal does not accept the credential."""

    default_advice = (
        "The webhook was deleted, has expired or was mistyped, or the application's tokens are no longer valid: "
        "renew the credential in the Airflow connection."
    )


class TokenExpiredError(AuthenticationError):
    """The access token is over; it is renewed once and the call repeated before anybody sees this."""

    default_advice = "The renewed token was refused as expired too: authorise the application anew."


class AccessDeniedError(Bitrix24Error):
    """The credential is good, but its scopes, its owner's rights or the portal's plan do not reach that far."""

    default_advice = "Give the webhook's owner the right, or add the scope to the webhook or application."


class NotEditableError(AccessDeniedError):
    """A message may not be changed or deleted, or not any more. A new one may be posted instead."""

    default_advice = (
        "The message is another author's, was deleted, or the time in which it may be edited is over: post a new one."
    )


class NotFoundError(Bitrix24Error):
    """The portal knows no such method or no such object."""

    default_advice = "Is the id right, and may the account behind the connection see the object?"


class RequestRefusedError(Bitrix24Error):
    """The portal understood the call and refused it: a parameter or a state is wrong."""

    default_advice = "Compare the call with the method's documentation; sent again as it is, it would be refused again."


class PortalBlockedError(Bitrix24Error):
    """The whole portal is closed to REST: blocked by the vendor, not paid for, or deleted."""


class LimitError(Bitrix24Error):
    """Refused before execution because a limit was reached. Any method may be sent again, later."""

    permanent = False


class QueryLimitError(LimitError):
    """Too many requests in a short time (the leaky bucket of the portal is full)."""

    default_advice = "Other programs behind the same address use up the portal's request limit; try again later."


class OperatingLimitError(LimitError):
    """One method used up its execution time (480 s in 10 minutes in the cloud). Only that method is blocked."""

    default_advice = (
        "The portal blocks this one method until its execution time of the last ten minutes falls below the limit: "
        "call it again then, or ask for less in each call."
    )


class LowBucketError(LimitError):
    """A call of the lowest priority was skipped, because sending it would have kept others waiting."""


class NotSentError(Bitrix24Error):
    """The portal was not reached, so nothing was done. Any method may be sent again."""

    permanent = False
    default_advice = "Check the portal's address, the proxy and the network of this worker."


class FileError(NotSentError):
    """A file that was to be sent can not be read, or changed while it was. Nothing was done."""

    default_advice = "Is it there, and may the account that runs the task read it?"


class CertificateError(NotSentError):
    """The portal's TLS certificate is not trusted. Nothing was sent."""

    permanent = True
    default_advice = (
        "If the portal or a proxy uses a private certificate authority, name its file in the extra field 'verify' "
        "of the connection."
    )


class OutcomeUnknownError(Bitrix24Error):
    """The call went out and no usable answer came back: it may or may not have been carried out."""

    permanent = False
    effect_unknown = True


class DeliveryUnknownError(OutcomeUnknownError):
    """A message may or may not have been posted, and the dialog does not tell. It is not posted again."""

    permanent = True
    default_advice = (
        "Look in the dialog for it. If it is there, mark the task as success; if not, clear the task, which posts anew."
    )


class UnexpectedReplyError(Bitrix24Error):
    """The answer is not one that a Bitrix24 portal gives."""

    default_advice = "Is this the address of a Bitrix24 portal? A proxy or a login page may be answering instead."


class RedirectRefusedError(Bitrix24Error):
    """The portal pointed to another address to which the secret must not be sent."""

    default_advice = (
        "If the portal was moved, put its new address into the Airflow connection; or name the host in its extra field "
        "'redirect_hosts', to have such redirects followed."
    )


class IncompleteReplyError(Bitrix24Error):
    """The answer left something out: a command of a batch, or rows of a list."""

    permanent = False


class NotExecutedError(Bitrix24Error):
    """A command of a batch that the portal did not run, because one before it failed."""


class Verdict(NamedTuple):
    """What a vendor code means: the class to raise, and advice better than the class's own."""

    error: type[Bitrix24Error]
    advice: str | None = None


_SCOPE = "Add the scope that the method's documentation names to the webhook or application, then reconnect."
_MEMBER = "Is the account behind the connection a member of that chat? Add it to the chat, or use another dialog id."

_BOT_MEMBER = "The bot is no member of that chat: add it to the chat, or let the account do it with as_bot=False."
_BOT_LOST = (
    "Register a bot (airflow bitrix24 bot register CONN_ID), or take bot_id and bot_token out of the connection."
)

CODES: dict[str, Verdict] = {
    # limits: refused before execution
    "query_limit_exceeded": Verdict(QueryLimitError),
    "rate_limited": Verdict(QueryLimitError),
    "operation_time_limit": Verdict(OperatingLimitError),
    # the whole portal
    "overload_limit": Verdict(
        PortalBlockedError, "The vendor has blocked REST for this portal by hand: write to Bitrix24 support."
    ),
    "portal_deleted": Verdict(PortalBlockedError, "The portal was deleted, or its public part is closed."),
    "payment_required": Verdict(PortalBlockedError, "The portal's paid or trial period is over."),
    # effect unknown
    "internal_server_error": Verdict(OutcomeUnknownError),
    "error_unexpected_answer": Verdict(OutcomeUnknownError),
    # a bot's message of that UUID is being posted already
    "message_duplicated_by_uuid": Verdict(OutcomeUnknownError),
    # credential
    "expired_token": Verdict(TokenExpiredError),
    "invalid_token": Verdict(AuthenticationError),
    "invalid_grant": Verdict(
        AuthenticationError,
        "The refresh token was used already (by a process that was stopped before it could store the new one, or "
        "elsewhere), or is older than 180 days: authorise the application anew.",
    ),
    "invalid_client": Verdict(
        AuthenticationError,
        "Check client_id and client_secret, and that the application is installed on this portal.",
    ),
    "wrong_client": Verdict(AuthenticationError, "Check client_id in the Airflow connection."),
    "no_auth_found": Verdict(AuthenticationError),
    "invalid_credentials": Verdict(AuthenticationError),
    "application_not_found": Verdict(AuthenticationError, "The application was removed from the portal: install it."),
    "not_installed": Verdict(AuthenticationError, "The application is not installed on the portal: install it."),
    "error_oauth": Verdict(AuthenticationError),
    "authorization_error": Verdict(AuthenticationError),
    # rights
    "insufficient_scope": Verdict(AccessDeniedError, _SCOPE),
    "invalid_scope": Verdict(AccessDeniedError, _SCOPE),
    "bitrix_rest_v3_exception_insufficientscopeexception": Verdict(AccessDeniedError, _SCOPE),
    "bitrix_rest_v3_exception_accessdeniedexception": Verdict(AccessDeniedError),
    "access_denied": Verdict(
        AccessDeniedError,
        "The account lacks the right, the method needs an application instead of a webhook, or the portal's plan "
        "does not include REST.",
    ),
    "user_access_error": Verdict(AccessDeniedError, "The webhook's owner may not use this application."),
    "allowed_only_intranet_user": Verdict(AccessDeniedError, "Only employees may call this, not external users."),
    "wrong_auth_type": Verdict(
        AccessDeniedError,
        "This method can not be called with this kind of credential (webhook or application).",
    ),
    "method_confirm_waiting": Verdict(AccessDeniedError, "An administrator of the portal has to allow this method."),
    "method_confirm_denied": Verdict(AccessDeniedError, "An administrator of the portal has refused this method."),
    "accessexception": Verdict(AccessDeniedError),
    "access_error": Verdict(AccessDeniedError, _MEMBER),
    "cant_edit_message": Verdict(NotEditableError),
    # not there
    "error_method_not_found": Verdict(
        NotFoundError,
        "The portal has no such method: check its spelling and case, whether it is a REST 3.0 method (version=3), "
        "and whether the portal's edition has the module.",
    ),
    "error_manifest_is_not_available": Verdict(NotFoundError),
    "not_found": Verdict(NotFoundError),
    "chat_not_found": Verdict(NotFoundError, _MEMBER),
    "bitrix_rest_v3_exception_entitynotfoundexception": Verdict(NotFoundError),
    # bots
    "bot_not_found": Verdict(NotFoundError, f"The connection's bot_id is wrong, or the bot was deleted. {_BOT_LOST}"),
    "bot_ownership_error": Verdict(
        AccessDeniedError,
        "The connection's bot_token is not the one that the bot has, or the bot belongs to another application. "
        f"{_BOT_LOST}",
    ),
    "bot_token_not_specified": Verdict(
        RequestRefusedError, "A bot needs its token with a webhook: give bot_token in the connection."
    ),
    # refused, with words that help
    "invalid_request": Verdict(RequestRefusedError, "The portal takes HTTPS only."),
    "dialog_id_empty": Verdict(RequestRefusedError, "dialog_id is 'chat2935', 'sg17' or a user id such as '13'."),
    "file_too_large": Verdict(RequestRefusedError, "The portal takes files of 100 MB at most: send a part, or a link."),
    "error_could_not_save_file": Verdict(RequestRefusedError, "Is there room left on the portal's Drive?"),
    "reply_access_error": Verdict(
        RequestRefusedError, "reply_id is of a message that was deleted, or that the author of the answer may not see."
    ),
    "reply_from_other_chat_error": Verdict(RequestRefusedError, "reply_id is of a message in another dialog."),
    "error_batch_method_not_allowed": Verdict(RequestRefusedError, "Call this method by itself, not in a batch."),
}


def error_for(
    code: str | None,
    description: str,
    *,
    method: str | None = None,
    status: int | None = None,
    retry_after: float | None = None,
) -> Bitrix24Error:
    """The exception that stands for an error answer of the portal.

    :param code: the portal's code; may be empty.
    :param status: the HTTP status; consulted only where the code is not in the table. None for a command
        inside a batch, whose own status is not told.
    """
    known = (code or "").strip().lower()
    verdict = CODES.get(known)
    if known == "access_denied" and (method or "").startswith("imbot.v2.Chat."):
        verdict = Verdict(AccessDeniedError, _BOT_MEMBER)
    if verdict is None:
        verdict = Verdict(_by_status(status))
    return verdict.error(
        description, method=method, code=code, status=status, advice=verdict.advice, retry_after=retry_after
    )


def _by_status(status: int | None) -> type[Bitrix24Error]:
    if status is None or status < 400:
        return RequestRefusedError
    if status >= 500:
        return OutcomeUnknownError
    return {
        401: AuthenticationError,
        403: AccessDeniedError,
        404: NotFoundError,
        408: OutcomeUnknownError,
        429: QueryLimitError,
    }.get(status, RequestRefusedError)
