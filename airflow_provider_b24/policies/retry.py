"""Bitrix24RetryPolicy: the portal's word decides whether and when a task is tried again. Needs Airflow 3.3."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

try:
    from airflow.sdk import RetryDecision, RetryPolicy
except ImportError:
    raise ImportError(
        "Bitrix24RetryPolicy needs Airflow 3.3, which is the first with retry policies. Without it, permanent errors "
        "fail at once all the same in the operators of this provider; other errors are retried after retry_delay."
    ) from None

from airflow_provider_b24.rest.errors import Bitrix24Error

if TYPE_CHECKING:
    from airflow.sdk import Context

# A task is not put off for longer, whatever a portal says; as with Airflow's own longest delay.
LONGEST_DELAY = dt.timedelta(days=1)
_MOST_CAUSES = 20


class Bitrix24RetryPolicy(RetryPolicy):
    """Let the portal's word decide whether and when a task is tried again, within its ``retries``.

    ``PythonOperator(task_id="sync", python_callable=sync, retries=5, retry_policy=Bitrix24RetryPolicy())``

    - What the portal refuses for good fails at once, and so does a write that may have been carried out already.
    - Where it is known when the call is worth another try (``retry_after``), the task is tried then.
    - All else, and what is no error of this provider, is for the task's own ``retry_delay``.

    The error may be the cause of another one. The operators of this provider fail at once for permanent errors
    without a policy; with it they also go by the known time.
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """What to do after this failure."""
        from airflow.sdk.exceptions import AirflowFailException

        for error in _with_causes(exception):
            if isinstance(error, AirflowFailException):
                return RetryDecision.fail("failed without retries")
            if isinstance(error, Bitrix24Error):
                return _decision(error)
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """There is nothing to set."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Bitrix24RetryPolicy:
        """The policy again."""
        return cls()


def _decision(error: Bitrix24Error) -> RetryDecision:
    if error.permanent:
        return RetryDecision.fail(str(error))
    if error.retry_after is not None:
        delay = min(dt.timedelta(seconds=max(0.0, min(error.retry_after, 1e9))), LONGEST_DELAY)
        return RetryDecision.retry(delay, str(error))
    return RetryDecision.default()


def _with_causes(exception: BaseException) -> list[BaseException]:
    """An exception and what it came from, nearest first; of a group, all that is in it."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [exception]
    while waiting and len(found) < _MOST_CAUSES:
        error = waiting.pop(0)
        if error is None or error in found:
            continue
        found.append(error)
        waiting.extend(getattr(error, "exceptions", ()))
        waiting.append(error.__cause__ or (None if error.__suppress_context__ else error.__context__))
    return found
