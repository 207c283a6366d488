"""Keeping the typing indicator lit.

``im.dialog.writing`` lights it once, and a client puts it out 25 s after the last signal or at the author's
message; there is no way to put it out by a call. So it is kept lit by signals every 12 s, two of which
fall into the 25 s: one that is lost leaves no gap.

A bot says how long its signal lasts, up to 600 s. Where it is known when the work ends, one signal is enough for ten
minutes. Where it is not, a bot's signals are as short as the others: nobody is to wait for a report that failed.

The indicator is a courtesy. A signal that fails is told once in the log, costs the work nothing, and is
skipped rather than queued where requests are short.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import TracebackType

from airflow_provider_b24.chat.signals import INTERVAL, LASTS, LONGEST, STATUS_PREFIX, check_interval, check_status
from airflow_provider_b24.rest.clock import Clock, SystemClock
from airflow_provider_b24.rest.errors import Bitrix24Error, LimitError
from airflow_provider_b24.rest.peer import Patience
from airflow_provider_b24.rest.protocol import Call, Priority

log = logging.getLogger(__name__)

# A signal that has no answer by then counts as lost; the next one is due soon anyway. It is also the longest
# that leaving the typing block can take.
ANSWER = 5.0

SIGNAL_PATIENCE = Patience(tries=1, answer=ANSWER, limits=0.0)


@dataclass(frozen=True)
class Bot:
    """A chat bot to signal as (``imbot.v2``).

    :ivar bot_id: its id.
    :ivar token: the token it was registered with; needed with a webhook, unused with an application.
    """

    bot_id: int
    token: str | None = field(default=None, repr=False)

    @property
    def params(self) -> dict[str, object]:
        """What every method of a bot is told of who calls it."""
        return {"botId": self.bot_id, **({"botToken": self.token} if self.token else {})}


def signal(
    dialog_id: str,
    *,
    bot: Bot | None = None,
    status: str | None = None,
    duration: float = LASTS,
    priority: Priority = Priority.TYPING,
) -> Call:
    """One typing signal: ``im.dialog.writing``, or as a bot ``imbot.v2.Chat.InputAction.notify``.

    :param dialog_id: where, as an id.
    :param bot: who types; by default the account behind the credential.
    :param status: what the bot is shown to do; see :data:`~.signals.STATUSES`.
    :param duration: seconds that the bot's indicator lasts, 1 to 600. Default 25, as long as a user's.
    """
    if bot is None:
        return Call("im.dialog.writing", {"DIALOG_ID": dialog_id}, priority=priority)
    params = {**bot.params, "dialogId": dialog_id}
    if status:
        params["statusMessageCode"] = STATUS_PREFIX + check_status(status)
    call = Call("imbot.v2.Chat.InputAction.notify", {**params, "duration": 0}, priority=priority)
    return lasting(call, duration)


def lasting(call: Call, seconds: float) -> Call:
    """A signal that lasts so long, in whole seconds from 1 to 600; that of an account lasts as long as it does."""
    if not isinstance(call.params, Mapping) or "duration" not in call.params:
        return call
    return replace(call, params={**call.params, "duration": max(1, min(int(LONGEST), round(seconds)))})


class Light:
    """When the next signal is due. Pure: told the time, it never looks at a clock.

    :param dialog_id: for the log.
    :param interval: seconds between signals.
    :param until: the time after which it need not be lit any more; None for as long as it is asked.
    :ivar most: the longest that a signal may last, in seconds: 25, and for a bot up to 600. A bot's signals last until
        the end where it is known.
    :ivar lit_until: when it goes out.
    """

    def __init__(self, dialog_id: str, interval: float = INTERVAL, until: float | None = None) -> None:
        self._dialog_id = dialog_id
        self._interval = interval
        self._until = until
        self.most = LASTS
        self.lit_until = float("-inf")
        self._due = self._ripe = float("-inf")
        self._told: set[int] = set()
        self._over = False

    def wait(self, now: float) -> float | None:
        """Seconds until the next signal is due, 0 if it is; None if no more is needed, or none would help."""
        if self._over or (self._until is not None and max(now, self.lit_until) >= self._until):
            return None
        return max(0.0, self._due - now)

    def ripe(self, now: float) -> bool:
        """Whether a signal before it is due saves one later: half of the interval is over."""
        return now >= self._ripe

    def span(self, now: float) -> float:
        """Seconds that a signal lasts which is sent now."""
        if self.most <= LASTS or self._until is None:
            return self.most
        return max(0.0, min(self.most, self._until - now))

    def sent(self, at: float) -> None:
        """A signal that went out at this time was accepted."""
        self.lit(at + self.span(at))
        if self._until is None or self.most <= LASTS:
            self._due = at + self._interval
            self._ripe = at + self._interval / 2

    def lit(self, until: float) -> None:
        """It is lit until this time, so that another signal is due only shortly before."""
        self.lit_until = until
        self._due = until - self._interval
        self._ripe = self._due - self._interval / 2

    def failed(self, at: float, error: Bitrix24Error, pause: float | None = None) -> None:
        """A signal was not accepted: told once; given up where it can never succeed, else tried again sooner.

        :param pause: seconds from ``at`` to the next try. Default: a third of the interval.
        """
        self._due = self._ripe = at + (self._interval / 3 if pause is None else pause)
        if error.permanent and not error.effect_unknown:
            self._over = True
        # A signal that is skipped is nothing to worry about, and must not hide a failure later on.
        level = logging.INFO if isinstance(error, LimitError) else logging.WARNING
        if level not in self._told:
            self._told.add(level)
            log.log(
                level,
                "The typing indicator of %s could not be lit%s; the work goes on without it. %s",
                self._dialog_id,
                " and is given up" if self._over else "",
                error,
            )


class TypingIndicator:
    """Lit inside a ``with`` block, or an ``async with`` block.

    The signals are sent beside the work: from a thread of their own, or from a task of the running event
    loop. Leaving the block waits for a signal that is on its way (6 s at most), so that none arrives
    after the message which puts the indicator out.

    :param send: sends one signal; for ``with``.
    :param asend: the same for ``async with``.
    :param prepare: what is better done in the thread that enters ``with`` than in the one that signals.
    :param dialog_id: for the log.
    :param interval: seconds between signals.
    :param clock: time.
    :param stop: what the thread waits on; tests give one that does not really wait.
    """

    def __init__(
        self,
        send: Callable[[], object] | None,
        asend: Callable[[], Awaitable[object]] | None,
        *,
        prepare: Callable[[], object] | None = None,
        dialog_id: str,
        interval: float = INTERVAL,
        clock: Clock | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._send = send
        self._asend = asend
        self._prepare = prepare
        self._dialog_id = dialog_id
        self._interval = check_interval(interval)
        self._clock = clock or SystemClock()
        self._stop = stop or threading.Event()
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None
        self._light: Light
        self._wake: asyncio.Event

    @property
    def over(self) -> bool:
        """Whether the block was left, so that no signal may be sent any more."""
        return self._stop.is_set()

    def __enter__(self) -> TypingIndicator:
        self._begin()
        if self._prepare is not None:
            try:
                self._prepare()
            except Exception as error:
                self._light.failed(self._clock.monotonic(), foreseen(error))
        self._thread = threading.Thread(target=self._keep_lit, name="bitrix24-typing", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(ANSWER + 1)

    async def __aenter__(self) -> TypingIndicator:
        self._begin()
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._akeep_lit(), name="bitrix24-typing")
        # The first signal should be on its way even if the block never gives the loop another chance.
        await asyncio.sleep(0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._task is not None and not self._task.done():
            self._wake.set()
            done, _ = await asyncio.wait({self._task}, timeout=ANSWER + 1)
            if not done:
                self._task.cancel()
                with suppress(asyncio.CancelledError):
                    await self._task

    def _begin(self) -> None:
        self._stop.clear()
        self._light = Light(self._dialog_id, self._interval)

    def _keep_lit(self) -> None:
        assert self._send is not None
        while not self._stop.is_set():
            now = self._clock.monotonic()
            pause = self._light.wait(now)
            if pause is None or (pause and self._stop.wait(pause)):
                return
            if not pause:
                try:
                    self._send()
                except Exception as error:
                    self._light.failed(now, foreseen(error))
                else:
                    self._light.sent(now)

    async def _akeep_lit(self) -> None:
        assert self._asend is not None
        while not self._stop.is_set():
            now = self._clock.monotonic()
            pause = self._light.wait(now)
            if pause is None:
                return
            if pause:
                sleeper = asyncio.ensure_future(self._clock.asleep(pause))
                waker = asyncio.ensure_future(self._wake.wait())
                await asyncio.wait({sleeper, waker}, return_when=asyncio.FIRST_COMPLETED)
                sleeper.cancel()
                waker.cancel()
                continue
            try:
                await self._asend()
            except Exception as error:
                self._light.failed(now, foreseen(error))
            else:
                self._light.sent(now)


def foreseen(error: Exception) -> Bitrix24Error:
    """Any exception as one of ours, for the log; one of another kind may pass by itself, so it is not permanent."""
    if isinstance(error, Bitrix24Error):
        return error
    # Only its kind is told, for its words may hold anything.
    ours = Bitrix24Error(f"unforeseen {type(error).__name__}")
    ours.permanent = False
    return ours
