"""Where errors of the portal become failures of a task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_vain_retries() -> Iterator[None]:
    """Fail the task at once where a retry can not help, or could do something twice.

    :raises AirflowFailException: instead of a permanent :class:`~.rest.errors.Bitrix24Error`, with its message.
    :raises Bitrix24Error: any other, which Airflow answers with the task's retries.
    """
    from airflow_provider_b24.rest.errors import Bitrix24Error

    try:
        yield
    except Bitrix24Error as error:
        if not error.permanent:
            raise
        message = str(error)
    else:
        return
    from airflow.sdk.exceptions import AirflowFailException

    raise AirflowFailException(message) from None
