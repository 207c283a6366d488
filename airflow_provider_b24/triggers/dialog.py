"""Keeping the typing indicator lit without a worker slot."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_b24.chat.signals import LASTS, LONGEST
from airflow_provider_b24.chat.typing import Light, foreseen
from airflow_provider_b24.rest.clock import SystemClock
from airflow_provider_b24.triggers.lookout import watching
from airflow_provider_b24.triggers.readings import read_hook
from airflow_provider_b24.triggers.siblings import Siblings

if TYPE_CHECKING:
    from airflow_provider_b24.chat.rota import Lamp
    from airflow_provider_b24.rest.clock import Clock
    from airflow_provider_b24.triggers.lookout import Watch

log = logging.getLogger(__name__)

# Seconds between two looks at the clock of the machine, which somebody may set.
_LONGEST_PAUSE = 30.0


class DialogWritingTrigger(BaseTrigger):
    """Signals typing until a point in time, or while other tasks of the run work.

    It holds no state: a triggerer that starts it anew goes on where the old one stopped. The signals of all
    such triggers of one connection go out together, up to 50 in a request. Nothing that happens to a signal
    ends the trigger.

    :param bitrix24_conn_id: the Airflow connection.
    :param dialog_id: where, as an id.
    :param interval: seconds between two signals.
    :param until: when to end, as ISO 8601 with an offset.
    :param lit_until: until when a bot's signal lasts that was sent before, likewise.
    :param task_ids: the tasks of the run to watch, if there is no ``until``.
    :param dag_id: their DAG.
    :param run_id: their run.
    :param poll_interval: seconds between two looks at them.
    :param status: what the connection's bot is shown to do.
    :param as_bot: True for the connection's bot, False for the account. Default: the bot where there is one.
    """

    def __init__(
        self,
        *,
        bitrix24_conn_id: str,
        dialog_id: str,
        interval: float,
        until: str | None = None,
        task_ids: Sequence[str] | None = None,
        dag_id: str | None = None,
        run_id: str | None = None,
        poll_interval: float = 2.0,
        status: str | None = None,
        as_bot: bool | None = None,
        lit_until: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bitrix24_conn_id = bitrix24_conn_id
        self.dialog_id = dialog_id
        self.interval = interval
        self.until = until
        self.task_ids = list(task_ids or [])
        self.dag_id = dag_id
        self.run_id = run_id
        self.poll_interval = poll_interval
        self.status = status
        self.as_bot = as_bot
        self.lit_until = lit_until
        self._blind = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments; no secret is among them."""
        return (
            "airflow_provider_b24.triggers.dialog.DialogWritingTrigger",
            {
                "bitrix24_conn_id": self.bitrix24_conn_id,
                "dialog_id": self.dialog_id,
                "interval": self.interval,
                "until": self.until,
                "task_ids": self.task_ids,
                "dag_id": self.dag_id,
                "run_id": self.run_id,
                "poll_interval": self.poll_interval,
                "status": self.status,
                "as_bot": self.as_bot,
                "lit_until": self.lit_until,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Signal until it is over; then one event, with the number of signals that the portal took."""
        clock = SystemClock()
        end = dt.datetime.fromisoformat(self.until).timestamp() if self.until else None
        offset = clock.monotonic() - clock.time()
        light = Light(self.dialog_id, self.interval, None if end is None else end + offset)
        if self.lit_until:
            light.lit(dt.datetime.fromisoformat(self.lit_until).timestamp() + offset)
        lamp: Lamp | None = None
        working = end is not None
        async with AsyncExitStack() as stack:
            watch = stack.enter_context(self._watching()) if end is None else None
            while end is None or clock.time() < end:
                if lamp is None and working and light.wait(clock.monotonic()) == 0:
                    lamp = await self._put_up(stack, light, clock)
                pause = light.wait(clock.monotonic()) if lamp is None and working else None
                pause = _LONGEST_PAUSE if pause is None else min(pause, _LONGEST_PAUSE)
                if watch is None:
                    await asyncio.sleep(min(pause, (end or 0.0) - clock.time()))
                    continue
                siblings = await self._news(watch, pause)
                if siblings is not None:
                    if siblings.finished:
                        break
                    working = siblings.working
                    if lamp is not None:
                        lamp.switch(working)
        yield TriggerEvent({"status": "success", "signals": lamp.signals if lamp is not None else 0})

    async def _put_up(self, stack: AsyncExitStack, light: Light, clock: Clock) -> Lamp | None:
        """Have the dialog lit by the board of the connection; None if that can not be read now."""
        try:
            hook = await read_hook(self.bitrix24_conn_id)
            call = hook.signal(self.dialog_id, status=self.status, as_bot=self.as_bot)
            if hook.speaker(self.as_bot) is not None:
                light.most = LONGEST if self.until else max(LASTS, 2 * self.interval + 1)
            board = await stack.enter_async_context(await hook.signal_board())
        except Exception as error:
            light.failed(clock.monotonic(), foreseen(error))
            return None
        return await stack.enter_async_context(board.lamp((self.dialog_id, self.status, call.method), call, light))

    def _watching(self) -> AbstractContextManager[Watch]:
        assert self.dag_id
        assert self.run_id
        return watching(self.dag_id, self.run_id, self.task_ids, self.poll_interval)

    async def _news(self, watch: Watch, patience: float) -> Siblings | None:
        try:
            siblings = await watch.news(patience)
        except Exception as error:
            if not self._blind:
                log.warning("The watched tasks can not be looked at (%s); trying on.", type(error).__name__)
            self._blind = True
            return Siblings(working=False, finished=False)
        if siblings is not None:
            self._blind = False
        return siblings
