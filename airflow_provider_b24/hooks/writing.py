"""The part of the hook that writes many rows."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow_provider_b24.hooks.calls import RestCalls
from airflow_provider_b24.hooks.progress import Progress, aprogress, progress

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from airflow_provider_b24.rest.outcomes import Outcome
    from airflow_provider_b24.rest.writing import Writing


class WritingCalls(RestCalls):
    """Writes many rows, and says what has become of each."""

    def call_many(
        self,
        method: str,
        rows: Iterable[Mapping[str, Any]],
        *,
        key: str | Sequence[str] | None = None,
        parallel: int = 4,
        version: Literal[2, 3] = 2,
    ) -> Iterator[Outcome]:
        """Call a method once for each row, 50 rows to a request, and tell what has become of each.

        Outcomes come in the order of the rows, one for each, while rows are still being read: no more than 50 for each
        request under way, and 50 more, are held at a time. Iterate to the end: nothing is sent that nobody takes.

        What the portal refuses for a limit is sent again when the limit allows. A row that may have been carried out
        although no answer came is not sent again; its outcome is ``unknown``. An error of one row stops nothing.
        What would befall all others as well (a limit beyond the connection's patience, a portal that can not be
        reached, a credential or a scope) ends it: the outcomes of what was begun are given out, and then the error is
        raised, with the number of rows given out as ``done``. Nothing of the rows behind those was sent. Among the
        outcomes given out, those that are ``retryable`` were not carried out.

        :param method: such as ``crm.item.add``.
        :param rows: the parameters of each call, such as ``{"entityTypeId": 2, "fields": {…}}``; read as they are
            needed.
        :param key: a field, or several, that an element is known by elsewhere, such as ``("originatorId", "originId")``
            or ``xmlId``. Elements that are there already are then found and updated instead of added twice, also after
            a crash and after an unknown outcome; an ``update`` finds its id by it. For the methods of
            :mod:`~.crm.entities`.
        :param parallel: how many requests are under way at once, from 1 to 40.
        :param version: 3 for a method of REST 3.0; its rows are sent one by one.
        :raises ConfigurationError: for arguments that can not be right; at once.
        :raises Bitrix24Error: the error that would befall all other rows; see above.
        """
        work = _work(method, key, parallel, version)
        return self._written(method, self.get_conn().stream(work, work.source(rows)))

    async def acall_many(
        self,
        method: str,
        rows: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        key: str | Sequence[str] | None = None,
        parallel: int = 4,
        version: Literal[2, 3] = 2,
    ) -> AsyncIterator[Outcome]:
        """Like :meth:`call_many`; rows may come from an asynchronous source, too."""
        work = _work(method, key, parallel, version)
        client = await self.aget_conn()
        stream = cast("AsyncGenerator[Outcome, None]", client.stream(work, work.asource(rows)))
        async with aclosing(stream), aclosing(aprogress(stream, self._writing_told(method))) as outcomes:
            async for outcome in outcomes:
                self._note_written(method, outcome)
                yield outcome

    def _written(self, method: str, stream: Iterator[Outcome]) -> Iterator[Outcome]:
        lasting = cast("Generator[Outcome, None, None]", stream)
        with closing(lasting), closing(progress(lasting, self._writing_told(method))) as outcomes:
            for outcome in outcomes:
                self._note_written(method, outcome)
                yield outcome

    def _writing_told(self, method: str) -> Progress:
        return Progress(f"Writing {method}", self.log, clock=self._clock)

    def _note_written(self, method: str, outcome: Outcome) -> None:
        """Tell Airflow's lineage what is written; it stands in the rows, and all are alike."""
        if outcome.index == 0:
            from airflow_provider_b24.hooks.lineage import writes

            writes(self, method, outcome.params)


def _work(method: str, key: str | Sequence[str] | None, parallel: int, version: Literal[2, 3]) -> Writing:
    from airflow_provider_b24.rest.writing import writing

    if key is None:
        return writing(method, parallel=parallel, version=version)
    from airflow_provider_b24.crm.upsert import upserting

    return upserting(method, key, parallel=parallel, version=version)
