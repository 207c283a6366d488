"""Bitrix24Notifier: tells people in Bitrix24 what happens to tasks and runs."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.operators.arguments import check_unless_template, seconds
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_b24.chat.alerts import Event, Rules
    from airflow_provider_b24.chat.alerts_desk import Desk
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.steps import Step

log = logging.getLogger(__name__)

_LONGEST_BODY = 1000
_CHANNELS = ("chat", "notify")
_SWITCHES = ("mentions", "digest", "on_retry", "on_success", "as_bot", "raise_errors")


class Bitrix24Notifier(BaseNotifier):
    """Tells in a dialog, or a person, that a task or run failed, succeeds again, is late or needs a decision.

    For ``on_failure_callback``, ``on_success_callback``, ``on_retry_callback`` and ``on_skipped_callback`` of tasks and
    DAGs, for the callbacks of a ``DeadlineAlert``, and for the ``notifiers`` of a ``HITLOperator``. What it says is
    made from what Airflow tells the callback; ``title``, ``message`` and ``footer`` replace parts of it. A template
    that can not be rendered is replaced by the usual text.

    One event is told once, also where Airflow calls back twice. The same failure within ``window`` is counted in the
    message that is there already. Where the task or DAG has the same notifier as its ``on_success_callback``, its
    first success afterwards is told as a reply.

    Nothing is raised, and a call takes a minute at most: what is not sent is told in the log.

    :param dialog_id: where to tell it: ``chat2935``, ``sg17``, ``13``, ``deal:1663`` … Templated.
    :param channel: ``chat``, the default; or ``notify``: a notification for the person ``user_id``.
    :param user_id: whom to notify: ``13`` or ``user:anna@example.com``. Templated.
    :param title: instead of the first line, with BBCode. Templated, with ``alert`` besides Airflow's names.
    :param message: instead of what comes below. Templated.
    :param footer: instead of the links. Templated.
    :param mentions: people whom ``title``, ``message`` and ``footer`` name as in ``@anna@example.com`` are mentioned.
        Default False.
    :param language: of the usual text: ``en``, the default, or ``ru``.
    :param severity: of failures, missed deadlines and decisions: ``info``, ``warning``, ``error`` or ``critical``.
        Default: ``error`` for failures, ``warning`` for deadlines, ``info`` for decisions.
    :param window: how long the same failure is counted in the message that told it first: the same task (or DAG), the
        same exception, the same last line but for numbers. A timedelta or seconds, default an hour; None: never.
    :param quiet: two times of the day, such as ``("22:00", "07:00")``, between which alerts are held back. They are
        told as one message by the next callback of a notifier with the same target after that.
    :param loud: severities that are told in quiet hours as well. Default ``("critical",)``.
    :param timezone: of the quiet hours and of times in the text, such as ``Europe/Berlin``. Default: the DAG's.
    :param digest: have failed tasks told together, in the message about the run; for a notifier that both the tasks and
        the DAG have. Default False.
    :param on_retry: tell failures after which the task is tried again. Default False.
    :param on_success: tell successes that follow no failure. Default False.
    :param as_bot: post as the connection's bot, or (False) as the account. Default: the bot where there is one.
    :param raise_errors: raise what keeps an alert from being sent. Default False.
    :param bitrix24_conn_id: the Airflow connection. Default ``bitrix24_default``. Templated.
    :raises ConfigurationError: while the DAG is parsed, for an argument that can not be right.
    """

    template_fields: Sequence[str] = ("dialog_id", "user_id", "title", "message", "footer", "bitrix24_conn_id")

    def __init__(
        self,
        dialog_id: str | int | None = None,
        *,
        channel: str = "chat",
        user_id: int | str | None = None,
        title: str | None = None,
        message: str | None = None,
        footer: str | None = None,
        mentions: bool = False,
        language: str = "en",
        severity: str | None = None,
        window: dt.timedelta | float | None = 3600.0,
        quiet: Sequence[str] | None = None,
        loud: Sequence[str] = ("critical",),
        timezone: str | None = None,
        digest: bool = False,
        on_retry: bool = False,
        on_success: bool = False,
        as_bot: bool | None = None,
        raise_errors: bool = False,
        bitrix24_conn_id: str = Bitrix24Hook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dialog_id = dialog_id
        self.channel = channel
        self.user_id = user_id
        self.title = title
        self.message = message
        self.footer = footer
        self.mentions = mentions
        self.language = language
        self.severity = severity
        self.window = window
        self.quiet = quiet
        self.loud = loud
        self.timezone = timezone
        self.digest = digest
        self.on_retry = on_retry
        self.on_success = on_success
        self.as_bot = as_bot
        self.raise_errors = raise_errors
        self.bitrix24_conn_id = bitrix24_conn_id
        self._check()

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Leave the fields as they are: they are rendered for each event anew, and none may lose the alert."""

    def notify(self, context: Context) -> None:
        """Tell what happened."""
        with self._excuse():
            event, desk = self._asked(context)
            if event is None or desk.nothing_to_say(event):
                return
            with Bitrix24Hook(self._rendered("bitrix24_conn_id", context)) as hook:
                client = hook.get_conn()
                self._note(event, client.run(self._telling(hook, desk, event, context)))

    async def async_notify(self, context: Context) -> None:
        """Like :meth:`notify`."""
        with self._excuse():
            # Airflow may be asked for more, which is no work for the event loop.
            event, desk = await asyncio.to_thread(self._asked, context)
            if event is None or await asyncio.to_thread(desk.nothing_to_say, event):
                return
            async with Bitrix24Hook(self._rendered("bitrix24_conn_id", context)) as hook:
                await hook.aread()
                client = await hook.aget_conn()
                self._note(event, await client.run(self._telling(hook, desk, event, context)))

    def _check(self) -> None:
        from airflow_provider_b24.chat.alerts import SEVERITIES
        from airflow_provider_b24.chat.alerts_text import LANGUAGES
        from airflow_provider_b24.chat.dialogs import check_dialog_id
        from airflow_provider_b24.chat.notification import check_user

        for name in _SWITCHES:
            _switch(name, getattr(self, name), unset=name == "as_bot")
        for name in ("title", "message", "footer"):
            _text(name, getattr(self, name))
        _one_of("channel", self.channel, _CHANNELS)
        _one_of("language", self.language, LANGUAGES)
        if self.severity is not None:
            _one_of("severity", self.severity, SEVERITIES)
        for severity in [self.loud] if isinstance(self.loud, str) else self.loud:
            _one_of("loud", severity, SEVERITIES)
        given, other = ("dialog_id", "user_id") if self.channel == "chat" else ("user_id", "dialog_id")
        if getattr(self, given) is None or getattr(self, other) is not None:
            raise ConfigurationError(
                f"channel is {self.channel!r}, with {'no ' + given if getattr(self, given) is None else other}",
                advice="Give dialog_id for a chat, or channel='notify' and user_id for a notification.",
            )
        check_unless_template(check_dialog_id if self.channel == "chat" else check_user, getattr(self, given))
        self._rules(dt.timezone.utc if self.timezone is None else _zone(self.timezone))

    def _rules(self, zone: dt.tzinfo) -> Rules:
        from airflow_provider_b24.chat.alerts import Quiet, Rules

        return Rules(
            window=None if self.window is None else seconds(self.window, "window"),
            quiet=None if self.quiet is None else Quiet.of(self.quiet, zone),
            loud=frozenset([self.loud] if isinstance(self.loud, str) else self.loud),
            digest=self.digest,
            severity=self.severity,
            successes=self.on_success,
        )

    def _asked(self, context: Context) -> tuple[Event | None, Desk]:
        """What has happened, if it is to be told, and where that is decided; before the connection is read."""
        from airflow_provider_b24.chat.alerts_desk import Desk
        from airflow_provider_b24.chat.alerts_text import Wording
        from airflow_provider_b24.chat.alerts_ways import ToDialog, ToPerson
        from airflow_provider_b24.hooks.alerts import alert_store
        from airflow_provider_b24.notifications.events import event_of
        from airflow_provider_b24.rest.clock import SystemClock

        zone = _zone(self.timezone) if self.timezone is not None else _zone_of(context)
        rules = self._rules(zone)
        event = event_of(context, SystemClock().time())
        if event.kind == "failure" and rules.digest and not _dag_tells(context):
            log.warning("digest is set, and the DAG has no callback with it: the failed task is told by itself")
            rules = replace(rules, digest=False)
        to = str(self._rendered("dialog_id" if self.channel == "chat" else "user_id", context))
        desk = Desk(
            rules,
            Wording(self.language, zone, self.severity),
            ToDialog(to) if self.channel == "chat" else ToPerson(to),
            f"{self._rendered('bitrix24_conn_id', context)} {self.channel} {to}",
            alert_store(),
        )
        return (None if event.kind == "retry" and not self.on_retry else event), desk

    def _telling(
        self, hook: Bitrix24Hook, desk: Desk, event: Event, context: Context
    ) -> Callable[[Peer], Generator[Step, Any, str]]:
        """The conversation that tells it, from what is known once the connection is read."""
        from airflow_provider_b24.chat.alerts_delivery import PATIENCE, alert, mentioning
        from airflow_provider_b24.chat.alerts_ways import ToDialog
        from airflow_provider_b24.hooks.delivery import memory_of
        from airflow_provider_b24.notifications.events import last_line, shortened

        event = replace(
            event,
            error=shortened(hook.excerpt(last_line(context.get("exception")), most=100_000)),
            subject=hook.excerpt(event.subject),
            body=_shown(hook.excerpt(event.body, most=100_000)),
        )
        given = {**context, "alert": event}
        wording = replace(
            desk.wording,
            title=self._part("title", given),
            message=self._part("message", given),
            footer=self._part("footer", given),
        )
        way = desk.way
        if isinstance(way, ToDialog):
            way = replace(way, bot=hook.speaker(self.as_bot))
        alone = None
        if desk.store is None and "task_state_store" in context:
            alone = memory_of(context, f"alert {event.kind} {event.try_number} {desk.place}")
        complete = replace(desk, wording=wording, way=way, alone=alone)

        def tell(peer: Peer) -> Generator[Step, Any, str]:
            # The hook and its peer are this call's own.
            peer.patience = replace(PATIENCE, late=peer.patience.late)
            told = complete
            if self.mentions:
                told = replace(complete, wording=(yield from mentioning(peer, wording)))
            return (yield from alert(peer, told, event))

        return tell

    def _rendered(self, name: str, context: Mapping[str, Any]) -> Any:
        value = getattr(self, name)
        if value is None:
            return None
        try:
            names: Any = context
            return self.render_template(value, names, self.get_template_env(dag=context.get("dag")))
        except Exception as error:
            raise ConfigurationError(
                f"{name} can not be rendered: {type(error).__name__}: {error}",
                advice="In the callback of a deadline there are only dag_run and deadline.",
            ) from None

    def _part(self, name: str, context: Mapping[str, Any]) -> str | None:
        try:
            found = self._rendered(name, context)
        except ConfigurationError as error:
            log.warning("%s Sent with the usual text instead.", error)
            return None
        return None if found is None else str(found)

    @contextmanager
    def _excuse(self) -> Iterator[None]:
        """Keep what goes wrong from those who call back, unless they want to know."""
        try:
            yield
        except Exception as error:
            if self.raise_errors:
                raise
            # What a library says may hold anything, what our own errors say does not.
            known = isinstance(error, Bitrix24Error)
            log.error("An alert was not sent: %s", error if known else type(error).__name__, exc_info=not known)

    def _note(self, event: Event, told: str) -> None:
        log.info("Alert about %s (%s): %s", event.name, event.kind, told)


def _shown(markdown: str) -> str:
    """What an operator asks in Markdown, as it is read in a message."""
    from airflow_provider_b24.chat.markdown import to_bbcode

    return to_bbcode(markdown[:_LONGEST_BODY]) if markdown.strip() else ""


def _switch(argument: str, value: object, *, unset: bool) -> None:
    if not isinstance(value, bool) and not (unset and value is None):
        raise ConfigurationError(f"{argument} is {value!r}", advice="It is True or False.")


def _text(argument: str, value: object) -> None:
    """Refuse what is no text, or no template. A tag may be known to the DAG's environment only."""
    from airflow_provider_b24.operators.arguments import is_known

    if value is None or (not isinstance(value, str) and not is_known(value)):
        return
    if not isinstance(value, str):
        raise ConfigurationError(f"{argument} is a {type(value).__name__}", advice="Give a text, or a template of one.")
    if "{{" not in value or "{%" in value:
        return
    from jinja2 import Environment, TemplateSyntaxError

    try:
        Environment(autoescape=False).parse(value)  # noqa: S701 - nothing is rendered
    except TemplateSyntaxError as error:
        raise ConfigurationError(f"{argument} is no valid template: {error.message}", advice="Correct it.") from None


def _one_of(argument: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigurationError(f"{argument} is {value!r}", advice=f"It is one of {', '.join(known)}.")


def _zone(name: str) -> dt.tzinfo:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError):
        raise ConfigurationError(
            f"timezone is {name!r}, which is unknown here", advice="Give a name such as 'Europe/Berlin' or 'UTC'."
        ) from None


def _zone_of(context: Mapping[str, Any]) -> dt.tzinfo:
    """The DAG's time zone, or Airflow's."""
    from airflow.sdk import conf

    own = getattr(context.get("dag"), "timezone", None)
    if isinstance(own, dt.tzinfo):
        return own
    with suppress(ConfigurationError):
        return _zone(str(conf.get("core", "default_timezone", fallback="UTC")))
    return dt.timezone.utc


def _dag_tells(context: Mapping[str, Any]) -> bool:
    """Whether the DAG has a callback that tells what its tasks have left to it."""
    callbacks: list[Any] = []
    for name in ("on_failure_callback", "on_success_callback"):
        given = getattr(context.get("dag"), name, None)
        callbacks += given if isinstance(given, (list, tuple)) else [given]
    return any(isinstance(one, Bitrix24Notifier) and one.digest for one in callbacks)
