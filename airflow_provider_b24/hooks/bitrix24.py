"""Bitrix24Hook: authenticated REST calls, messages and typing with an Airflow connection."""

from __future__ import annotations

from airflow_provider_b24.hooks.editing import EditingCalls
from airflow_provider_b24.hooks.fields import FieldCalls
from airflow_provider_b24.hooks.indicator import TypingCalls
from airflow_provider_b24.hooks.notifications import NotificationCalls
from airflow_provider_b24.hooks.people import PeopleCalls
from airflow_provider_b24.hooks.reading import ReadingCalls
from airflow_provider_b24.hooks.tables import TableCalls
from airflow_provider_b24.hooks.writing import WritingCalls


class Bitrix24Hook(
    TypingCalls,
    EditingCalls,
    TableCalls,
    NotificationCalls,
    PeopleCalls,
    FieldCalls,
    ReadingCalls,
    WritingCalls,
):
    """Calls the REST of a Bitrix24 portal: webhook or OAuth application, synchronous or asynchronous.

    A hook keeps its connections and may be shared by threads. Use it as a context manager, or :meth:`close`
    it; a task's connections end with its process in any case.

    Calls wait for the portal's request limit instead of running into it, are repeated where nothing can have
    happened or the method only reads, and otherwise end in a :class:`~.rest.errors.Bitrix24Error` whose
    message says what to do, and never contains a secret.

    :param bitrix24_conn_id: the :ref:`Bitrix24 connection <howto/connection:bitrix24>` to use.
    :param token_store: where an application's renewed tokens are kept. Default: in an Airflow Variable named after
        the connection, beginning with those of the connection.
    :param clock: what waits and tells the time; for tests.
    """
