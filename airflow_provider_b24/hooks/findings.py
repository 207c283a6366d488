"""What is right and wrong with a connection, from what was seen of it: the words of the doctor and the Test button.

Pure: every function judges values that somebody else has gathered, see :mod:`.doctor` and :mod:`.examine`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from airflow_provider_b24.chat.bots import Card
    from airflow_provider_b24.chat.typing import Bot
    from airflow_provider_b24.hooks.settings import Settings
    from airflow_provider_b24.rest.address import Address
    from airflow_provider_b24.rest.errors import Bitrix24Error
    from airflow_provider_b24.rest.pacing import Level

Severity = Literal["ok", "note", "warning", "error"]

# Seconds that the clocks of a portal and a worker may be apart: by so much delivery can tell old from new.
_SKEW = 60.0
# Days before a certificate ends.
_SOON = 14
# The time after which a portal in the cloud gives a request up, in seconds.
_CLOUD_REQUEST = 60.0


@dataclass(frozen=True)
class Finding:
    """One thing about a connection.

    :ivar severity: ``error`` where calls will fail, ``warning`` where something may, ``note`` for what is good to know.
    :ivar subject: what it is about, in a word.
    :ivar text: what was found.
    :ivar advice: what to do about it; empty where nothing is to be done.
    """

    severity: Severity
    subject: str
    text: str
    advice: str = ""


class Scope(NamedTuple):
    """A right of a webhook or application.

    :ivar purpose: what it is for, in short.
    :ivar users: which operators and arguments call its methods.
    :ivar instead: scopes that do as well.
    """

    name: str
    purpose: str
    users: str
    instead: tuple[str, ...] = ()


IM = Scope(
    "im",
    "typing and messages",
    "MessageAdd, MessageUpdate, MessageDelete, MessageLike, DialogWriting, DialogRead, DialogUnread, FileUpload, "
    "SqlToDialog, Notify, @task.bitrix24_report, Bitrix24Notifier, RunMessage",
)
USER = Scope(
    "user",
    "naming a dialog by a person's e-mail address",
    "persons by e-mail address (user:anna@example.com) or name, as addressees and in mentions",
    ("user_basic",),
)
IMBOT = Scope("imbot", "speaking as a chat bot", "all operators, where the connection has a bot")
# Only for some.
OTHERS = (
    Scope("disk", "files the older way", "FileUpload with several files in a message, or on a portal without im.v2"),
    Scope("crm", "deals, leads, contacts", "the person responsible for a deal; RestOperator with crm.*"),
    Scope("task", "tasks", "the person responsible for a task; RestOperator with tasks.*"),
)

# Methods that an older portal does not have, and what goes without.
METHODS = {
    "im.v2.File.upload": "files go the older way, in three steps, which needs the scope disk",
    "imbot.v2.Chat.Message.send": "no bot can speak; take bot_id out of the connection",
    "imbot.v2.Chat.InputAction.notify": "no bot can show that it is typing",
}


def of_error(subject: str, error: Exception) -> Finding:
    """Something could not be found out."""
    from airflow_provider_b24.rest.errors import Bitrix24Error

    if not isinstance(error, Bitrix24Error):
        # The words of an error that is not ours may hold anything.
        return Finding("error", subject, f"unforeseen {type(error).__name__}", "Look into the log of this command.")
    return Finding("error", subject, _without_advice(error), error.advice)


def of_refusal(error: Exception) -> Finding:
    """The first call was refused, for which nothing but a valid credential is needed."""
    found = of_error("account", error)
    if str(getattr(error, "code", "")).upper() != "ACCESS_DENIED":
        return found
    return replace(
        found,
        advice="REST needs a paid plan of the portal with a subscription to its Marketplace; on-premise, a licence.",
    )


def _without_advice(error: Bitrix24Error) -> str:
    text = str(error)
    return text.removesuffix(error.advice).strip() if error.advice else text


def of_address(address: Address, kind: str) -> Finding:
    """Where the connection leads.

    :param kind: of the credential.
    """
    where = "in the cloud" if address.is_cloud else "on-premise"
    return Finding("ok", "address", f"{address}, {where}, by {kind}")


def of_lookup(host: str, found: Collection[str] | None) -> Finding:
    """What the name resolves to; None if it does not."""
    if found is None:
        return Finding(
            "error",
            "address",
            f"the name {host} is not known here",
            "Is it written right, and does this machine reach a name server that knows the portal?",
        )
    return Finding("ok", "address", f"{host} is {', '.join(sorted(found)[:3])}")


def of_proxy(proxy: str | None, *, own: bool) -> Finding:
    """The way to the portal.

    :param proxy: host and port, without user and password.
    :param own: whether the connection names it, and not the environment.
    """
    if proxy is None:
        return Finding("ok", "proxy", "none: the portal is called directly")
    return Finding("ok", "proxy", f"{proxy}, from {'the connection' if own else 'the environment'}")


def of_certificate(verify: bool | str, days: float | None, problem: str = "") -> Finding:
    """The portal's certificate.

    :param verify: as the transport has it; a path of a file of authorities.
    :param days: until it ends; None if it was not seen.
    :param problem: why it is not trusted, or could not be seen.
    """
    trusted = "the usual authorities" if verify is True else f"the authorities in {verify}"
    if verify is False:
        return Finding(
            "warning",
            "TLS",
            "certificates are not checked (verify is false), so whoever is on the way can read the secret",
            "Name the file of your certificate authority in the extra field 'verify' instead.",
        )
    if problem:
        return Finding(
            "error",
            "TLS",
            f"{problem}; trusted are {trusted}",
            "If the portal or a proxy uses a private certificate authority, name its file in the extra field 'verify'.",
        )
    if days is None:
        return Finding("note", "TLS", f"the proxy is on the way to the certificate; trusted are {trusted}")
    if days < _SOON:
        return Finding(
            "warning", "TLS", f"the portal's certificate ends in {days:.0f} days", "Whoever runs the portal renews it."
        )
    return Finding("ok", "TLS", f"the certificate is good for {days:.0f} days; trusted are {trusted}")


def of_clock(ahead: float | None) -> Finding:
    """How many seconds the portal's clock is ahead of this machine's."""
    if ahead is None:
        return Finding("note", "clock", "the portal does not tell its time")
    if abs(ahead) <= _SKEW:
        return Finding("ok", "clock", f"the portal's differs by {abs(ahead):.0f} s")
    return Finding(
        "warning",
        "clock",
        f"the portal's is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's",
        "Have both set by NTP: on Airflow 3.2 a task that is tried again goes by the time to tell whether its message "
        "was posted.",
    )


def of_account(profile: object, address: Address) -> Finding:
    """Who the credential is, from what ``profile`` answers."""
    if not isinstance(profile, Mapping) or not profile.get("ID"):
        return Finding(
            "error",
            "account",
            "The credential is valid, but its user is not active any more: make a new webhook.",
        )
    name = " ".join(str(profile[key]) for key in ("NAME", "LAST_NAME") if profile.get(key))
    admin = ", administrator" if profile.get("ADMIN") is True else ""
    return Finding(
        "ok",
        "account",
        f"Connected to {address} as {name or 'a user without a name'} (user {profile['ID']}{admin}).",
    )


def needed(*, bot: bool) -> tuple[Scope, ...]:
    """The scopes without which operators of this package fail.

    :param bot: whether the connection names a chat bot.
    """
    return (IM, USER, IMBOT) if bot else (IM, USER)


def missing(scopes: Iterable[Scope], granted: Collection[str]) -> list[Scope]:
    """Those of the scopes that a credential does not have."""
    return [one for one in scopes if not any(name in granted for name in (one.name, *one.instead))]


def of_scopes(granted: Collection[str], *, bot: bool) -> list[Finding]:
    """Which scopes there are, and who needs those that are missing."""
    add = "Add the scope to the webhook or the application."
    found = [Finding("ok", "scopes", f"granted: {', '.join(sorted(granted)) or 'none'}")]
    for scope in missing(needed(bot=bot), granted):
        severity: Severity = "warning" if scope is USER else "error"
        found.append(Finding(severity, "scopes", f"{scope.name} is missing, needed for {scope.users}", add))
    for scope in missing(OTHERS, granted):
        text = f"{scope.name} is missing, needed for {scope.users}"
        found.append(Finding("note", "scopes", text, "Add it if you need it."))
    return found


def of_plan(settings: Settings) -> Finding:
    """What the connection says of the request limit."""
    plan, cloud = settings.plan, settings.credential.address.is_cloud
    if plan is None:
        return Finding(
            "warning" if cloud else "ok",
            "limits",
            "requests are not limited (plan is unlimited)",
            "A portal in the cloud does limit them: set plan to standard or enterprise." if cloud else "",
        )
    return Finding("ok", "limits", f"{plan.burst:g} requests at once and {plan.rate:g} a second")


def of_license(license_name: object, settings: Settings) -> list[Finding]:
    """What an application is told of the portal's plan.

    :param license_name: such as ``ru_ent250``.
    """
    enterprise = re.search(r"(^|_)ent[0-9]", str(license_name or "").lower())
    if not enterprise or settings.plan is None or settings.plan.burst > 50:
        return []
    return [
        Finding(
            "note",
            "limits",
            f"the portal's plan is {license_name}, which allows 250 requests at once and 5 a second",
            "Set plan to enterprise in the connection.",
        )
    ]


def of_level(level: Level, settings: Settings) -> Finding:
    """How full the portal's request counter is now, as far as those know who share it."""
    assert settings.plan is not None
    text = f"{level.level:.0f} of {settings.plan.burst:g} requests are used now"
    if level.waiting:
        text += f", {level.waiting} wait for their turn"
    if level.pace >= 1:
        return Finding("ok", "limits", text)
    return Finding(
        "warning",
        "limits",
        f"{text}; the portal has refused some, so the pace is at {level.pace:.0%}",
        "Others behind this address call the portal too: let them share the limit (limiter_url), or lower rate.",
    )


def of_operating(used: Mapping[str, float], limit: float) -> list[Finding]:
    """Methods whose execution time is running out.

    :param used: seconds of the last ten minutes, by method.
    """
    return [
        Finding(
            "warning",
            "limits",
            f"{method} has used {seconds:.0f} of {limit:.0f} s of its execution time in ten minutes",
            "It is called more slowly until that is less: ask for less in each call, or call it less often.",
        )
        for method, seconds in sorted(used.items())
        if seconds > limit / 2
    ]


def of_limiter(problem: str | None) -> Finding:
    """The Redis server through which hosts share the limit.

    :param problem: why it is not reached; None without one in the connection.
    """
    if problem is None:
        return Finding("ok", "limiter", "none: the hosts of this Airflow count for themselves")
    if problem:
        return Finding(
            "error",
            "limiter",
            f"Redis (limiter_url) fails with {problem}, so each host counts for itself",
            "Is it up, and may this machine reach it with that user and password?",
        )
    return Finding("ok", "limiter", "Redis answers: the hosts that name it share the limit")


def of_bot(bot: Bot | None, card: Card | None, conn_id: str) -> Finding:
    """The chat bot of the connection.

    :param card: as the portal shows it; None if it has none of that id.
    """
    register = f"airflow bitrix24 bot register {conn_id} --name …"
    if bot is None:
        return Finding("ok", "bot", "none: the account speaks", f"For one: {register}")
    if card is None:
        return Finding("error", "bot", f"the portal has no bot {bot.bot_id}", f"Register it anew: {register}")
    who = f"{card.name or 'a bot without a name'} (bot {card.id}, code {card.code})"
    if not card.own:
        return Finding(
            "error",
            "bot",
            f"{who} does not answer to the connection's bot_token",
            "Correct bot_token; if it is lost, take bot_id and bot_token out of the connection and register another.",
        )
    if card.chats == 0:
        return Finding("warning", "bot", f"{who} is in no chat", "Add it to the chats in which it is to speak.")
    chats = "" if card.chats is None else f", in {card.chats} chat{'' if card.chats == 1 else 's'}"
    return Finding("ok", "bot", f"{who}{chats}")


def of_methods(there: Mapping[str, bool], *, bot: bool) -> list[Finding]:
    """What an older portal lacks.

    :param there: whether the portal has a method.
    """
    return [
        Finding(
            "error" if bot and method.startswith("imbot.") else "note",
            "methods",
            f"the portal has no {method}: {consequence}",
            "Update the portal.",
        )
        for method, consequence in METHODS.items()
        if there.get(method) is False
    ]


def of_times(settings: Settings) -> list[Finding]:
    """Time-outs that can not be meant."""
    longest, timeout = settings.late / 1.5, settings.transport.read_timeout
    found = []
    if settings.credential.address.is_cloud and longest < _CLOUD_REQUEST:
        found.append(
            Finding(
                "warning",
                "times",
                f"longest_request is {longest:g} s, and a portal in the cloud works for up to {_CLOUD_REQUEST:.0f}",
                "Leave it out: a message whose answer is lost could be posted twice.",
            )
        )
    if timeout < longest:
        found.append(
            Finding(
                "note",
                "times",
                f"an answer counts as lost after {timeout:g} s, and the portal may work for {longest:g}",
                "Leave timeout out, unless you know that the portal is quicker.",
            )
        )
    return found


def of_move(before: Address, now: Address) -> list[Finding]:
    """The portal redirects to another address."""
    if now == before:
        return []
    return [
        Finding(
            "warning",
            "address",
            f"the portal has moved from {before} to {now}; each task has to be led there first",
            f"Put {now.host} into the host of the connection (or the new webhook URL into the password).",
        )
    ]


def of_secrets(settings: Settings, masked: Collection[str]) -> list[Finding]:
    """Secrets that Airflow shows to those who may read connections.

    :param masked: names that Airflow is set to mask, in lower case.
    """
    url = settings.limiter_url
    if not url or "@" not in url or any(name and name in "limiter_url" for name in masked):
        return []
    return [
        Finding(
            "warning",
            "secrets",
            "limiter_url has a password in it, and Airflow shows it to those who may read connections",
            "Add limiter_url to [core] sensitive_var_conn_names in Airflow's configuration.",
        )
    ]


def of_token_store(problem: str) -> Finding:
    """Where an application's renewed tokens are kept.

    :param problem: why they can not be; empty if they can.
    """
    if problem:
        return Finding(
            "error",
            "tokens",
            f"renewed tokens can not be stored here ({problem})",
            "Let this process write Airflow's Variables, or name another place as [bitrix24] token_store.",
        )
    return Finding("ok", "tokens", "renewed tokens can be stored")
