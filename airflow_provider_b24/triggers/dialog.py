"""Keeping the typing indicator lit without a worker slot."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_b24.chat.signals import LASTS
from airflow_provider_b24.chat.typing import Light, foreseen
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.triggers.siblings import Siblings, alook

if TYPE_CHECKING:
    from airflow_provider_b24.chat.board import SignalBoard

log = logging.getLogger(__name__)


class DialogWritingTrigger(BaseTrigger):
    """Signals typing until a point in time, or while other tasks of the run work.

    It holds no state: a triggerer that starts it anew goes on where the old one stopped. The signals of all
    such triggers of one connection go out together, up to 50 in a request. Nothing that happens to a signal
    ends the trigger.

    :param bitrix24_conn_id: the Airflow connection.
    :param dialog_id: where, as an id.
    :param interval: seconds between two signals.
    :param until: when to end, as ISO 8601 with an offset.
    :param task_ids: the tasks of the run to watch, if there is no ``until``.
    :param dag_id: their DAG.
    :param run_id: their run.
    :param poll_interval: seconds between two looks at them.
    :param status: what the connection's bot is shown to do; without it, the account itself is typing.
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
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Signal until it is over; then one event, with the number of signals that the portal took."""
        end = dt.datetime.fromisoformat(self.until).timestamp() if self.until else None
        light = Light(self.dialog_id, self.interval, end)
        signals = 0
        async with AsyncExitStack() as stack:
            board: SignalBoard | None = None
            hook = await stack.enter_async_context(Bitrix24Hook(self.bitrix24_conn_id))
            while True:
                now = _now()
                siblings = await self._look() if end is None else None
                if siblings.finished if siblings else now >= (end or 0):
                    break
                if light.wait(now) == 0 and (siblings is None or siblings.working):
                    try:
                        if board is None:
                            board = await stack.enter_async_context(await hook.signal_board())
                        await self._signal(hook, board)
                    except Exception as error:
                        light.failed(now, foreseen(error))
                    else:
                        light.sent(now)
                        signals += 1
                await asyncio.sleep(self._pause(light, end))
        yield TriggerEvent({"status": "success", "signals": signals})

    async def _signal(self, hook: Bitrix24Hook, board: SignalBoard) -> None:
        call = hook.signal(self.dialog_id, status=self.status, duration=max(LASTS, 2 * self.interval + 1))
        await board.signal((self.dialog_id, self.status), call)

    async def _look(self) -> Siblings:
        assert self.dag_id
        assert self.run_id
        try:
            siblings = await alook(self.dag_id, self.run_id, self.task_ids)
        except Exception as error:
            if not self._blind:
                log.warning("The watched tasks can not be looked at (%s); trying on.", type(error).__name__)
            self._blind = True
            return Siblings(working=False, finished=False)
        self._blind = False
        return siblings

    def _pause(self, light: Light, end: float | None) -> float:
        now = _now()
        due = light.wait(now)
        if end is None:
            return self.poll_interval if not due else min(self.poll_interval, due)
        return max(0.0, min(end - now, due if due is not None else end - now))


def _now() -> float:
    return dt.datetime.now(dt.timezone.utc).timestamp()
