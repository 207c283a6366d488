"""The part of the hook that reads lists."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_b24.hooks.calls import RestCalls
from airflow_provider_b24.hooks.progress import Progress, aprogress, progress
from airflow_provider_b24.hooks.twins import yields_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from airflow_provider_b24.crm.moments import Moment
    from airflow_provider_b24.rest.aio import AsyncClient
    from airflow_provider_b24.rest.client import Client
    from airflow_provider_b24.rest.lanes import Work
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.reading import Page
    from airflow_provider_b24.rest.steps import Step


class ReadingCalls(RestCalls):
    """Reads lists to their end."""

    def iterate(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        version: Literal[2, 3] = 2,
        after: int | str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        typed: bool = False,
        parallel: int = 4,
    ) -> Iterator[Any]:
        """Every row of a list method once, in the order of ids, as they are needed.

        What the list had at its beginning is read: rows that are added meanwhile are left to the next reading, and what
        others change or delete takes no other row with it. A long one tells in the log how far it has come.

        :param method: a list method, such as ``crm.item.list``.
        :param params: its filter, select and other parameters; not ``start``.
        :param version: 3 for a method of REST 3.0.
        :param after: begin behind this id. The error that ends a reading has it as its ``after``.
        :param since: only what was changed then or later: a datetime, a date, a timedelta (so long ago), or a text of
            one of them. A time without a zone is the portal's own; ``server.time`` is asked what that is.
        :param until: only what was changed before then.
        :param typed: values become what the types of their fields say, see :func:`~.crm.typed.typed_rows`.
        :param parallel: how many requests may be under way at once, 1 to 40; fewer are where the portal bears no more.
        :raises ConfigurationError: for parameters that reading everything leaves no room for.
        :raises Bitrix24Error: also where the list can not be read completely; it is never just shorter.
        """
        options: dict[str, Any] = {"version": version, "after": after, "parallel": parallel}
        asked: dict[str, Any] = {"since": since, "until": until, "typed": typed}
        _check(method, params, **asked, **options)
        return _rows_of(self._pages(method, params, **asked, **options))

    @yields_for(iterate)
    def aiterate(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
        """Like :meth:`iterate`."""
        _check(*args, **options)
        return _arows_of(self._apages(*args, **options))

    @yields_for(iterate)
    def pages(self, *args: Any, **options: Any) -> Generator[Page, None, None]:
        """Like :meth:`iterate`, in the pieces in which rows come, each with the key behind which the next begins."""
        _check(*args, **options)
        return self._pages(*args, **options)

    @yields_for(iterate)
    def apages(self, *args: Any, **options: Any) -> AsyncGenerator[Page, None]:
        """Like :meth:`pages`."""
        _check(*args, **options)
        return self._apages(*args, **options)

    def _pages(self, *args: Any, **options: Any) -> Generator[Page, None, None]:
        client = self.get_conn()
        work, finish = client.run(lambda peer: _prepared(peer, *args, **options))
        self._note_read(*args, **options)
        stream = client.stream(work)
        with closing(stream), closing(progress(stream, self._told(client, work, *args, **options), _rows)) as pages:
            for page in pages:
                yield finish(page)

    async def _apages(self, *args: Any, **options: Any) -> AsyncGenerator[Page, None]:
        client = await self.aget_conn()
        work, finish = await client.run(lambda peer: _prepared(peer, *args, **options))
        self._note_read(*args, **options)
        stream = client.stream(work)
        told = aprogress(stream, self._told(client, work, *args, **options), _rows)
        async with aclosing(stream), aclosing(told) as pages:
            async for page in pages:
                yield finish(page)

    def _told(self, client: Client | AsyncClient, work: Work[Page], method: str, *_: Any, **__: Any) -> Progress:
        return Progress(f"Reading {method}", self.log, share=work.share, clock=client.peer.clock)

    def _note_read(self, method: str, params: Mapping[str, Any] | None = None, **_: Any) -> None:
        """Tell Airflow's lineage what is read."""
        from airflow_provider_b24.hooks.lineage import reads

        reads(self, method, params)


def _rows(page: Page) -> int:
    return len(page.rows)


def _rows_of(pages: Generator[Page, None, None]) -> Iterator[Any]:
    with closing(pages):
        for page in pages:
            yield from page.rows


async def _arows_of(pages: AsyncGenerator[Page, None]) -> AsyncIterator[Any]:
    async with aclosing(pages):
        async for page in pages:
            for row in page.rows:
                yield row


def _check(
    method: str,
    params: Mapping[str, Any] | None = None,
    *,
    version: Literal[2, 3] = 2,
    since: Moment | None = None,
    until: Moment | None = None,
    typed: bool = False,
    **options: Any,
) -> None:
    """Tell whoever calls, and not whoever takes the first row, of arguments that can not be."""
    from airflow_provider_b24.rest.reading import reading

    reading(method, {} if params is None else params, version=version, **options)
    if since is not None or until is not None:
        from airflow_provider_b24.crm.moments import changeable

        changeable(method, version)


def _prepared(
    peer: Peer,
    method: str,
    params: Mapping[str, Any] | None = None,
    *,
    version: Literal[2, 3] = 2,
    since: Moment | None = None,
    until: Moment | None = None,
    typed: bool = False,
    **options: Any,
) -> Generator[Step, Any, tuple[Work[Page], Callable[[Page], Page]]]:
    """The reading, and what its pages are finished by, after the portal was asked what there is to know for them."""
    from airflow_provider_b24.rest.reading import reading

    asked: Mapping[str, Any] = params or {}
    if since is not None or until is not None:
        from airflow_provider_b24.crm.moments import asked_filter

        asked = yield from asked_filter(peer, method, asked, since=since, until=until, version=version)
    # Before anything more is asked: parameters that can not be right are told by this.
    work = reading(method, asked, version=version, **options)
    if not typed:
        return work, lambda page: page
    from airflow_provider_b24.crm.fields import asked_fields
    from airflow_provider_b24.crm.typed import typed_rows

    convert = typed_rows((yield from asked_fields(peer, method, asked, version=version, of_list=True)))
    return work, lambda page: replace(page, rows=[convert(row) for row in page.rows])
