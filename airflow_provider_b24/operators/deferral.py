"""Waiting for a method's execution time without a worker slot."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

# How long a task is deferred in all, in seconds; the execution time of a method comes back within ten minutes.
LONGEST = 3600.0


class DefersAtLimit(BaseOperator):
    """An operator that gives its worker slot back where a method's execution time is used up.

    What it does then is done again from the beginning of :meth:`execute`, when the portal takes the method again. It
    is deferred for an hour in all at the most; if the method is still used up then, the task fails with
    :class:`~.rest.errors.OperatingLimitError`, and its retries apply.
    """

    _deferred_since: float | None = None

    @contextmanager
    def slot_given_back(self, **progress: Any) -> Iterator[None]:
        """Defer where a call in this block would wait longer than a minute for its method's execution time.

        Nothing may be under way then that must not be done again: what has been done goes into ``progress``.

        :param progress: given to :meth:`resume`; plain values, which Airflow keeps in its database meanwhile.
        """
        from airflow_provider_b24.rest.errors import OperatingLimitError

        try:
            yield
        except OperatingLimitError as error:
            now = time.time()
            since = now if self._deferred_since is None else self._deferred_since
            if error.retry_after is None or now + error.retry_after > since + LONGEST:
                raise
            until, reason = now + error.retry_after, str(error)
        else:
            return
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        moment = dt.datetime.fromtimestamp(until, dt.timezone.utc)
        self.log.info("The worker slot is given back until %s: %s", moment.strftime("%H:%M:%S UTC"), reason)
        self.defer(trigger=DateTimeTrigger(moment=moment), method_name="resume", kwargs={"since": since, **progress})

    def resume(self, context: Context, event: Any = None, *, since: float, **progress: Any) -> Any:
        """Go on after a deferral.

        :param event: of the trigger.
        :param since: when the task was deferred first (epoch seconds).
        :param progress: what had been done by then.
        """
        self._deferred_since = since
        return self.execute(context)
