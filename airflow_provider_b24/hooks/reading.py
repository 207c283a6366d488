"""The part of the hook that reads lists."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow_provider_b24.hooks.calls import RestCalls
from airflow_provider_b24.hooks.twins import yields_for

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncGenerator, Generator

    from airflow_provider_b24.rest.lanes import Work
    from airflow_provider_b24.rest.reading import Page

    Moment = dt.datetime | dt.date | str


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

        :param method: a list method, such as ``crm.item.list``.
        :param params: its filter, select and other parameters; not ``start``.
        :param version: 3 for a method of REST 3.0.
        :param after: begin behind this id. The error that ends a reading has it as its ``after``.
        :param since: only what was changed at this time or later.
        :param until: only what was changed before this time.
        :param typed: values become what the types of their fields say.
        :param parallel: how many requests may be under way at once, 1 to 40; fewer are where the portal bears no more.
        :raises ConfigurationError: for parameters that reading everything leaves no room for.
        :raises Bitrix24Error: also where the list can not be read completely; it is never just shorter.
        """
        options = {"version": version, "after": after, "parallel": parallel}
        asked = {"since": since, "until": until, "typed": typed}
        with closing(self._pages(method, params, **asked, **options)) as pages:
            for page in pages:
                yield from page.rows

    @yields_for(iterate)
    async def aiterate(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
        """Like :meth:`iterate`."""
        async with aclosing(self._apages(*args, **options)) as pages:
            async for page in pages:
                for row in page.rows:
                    yield row

    @yields_for(iterate)
    def pages(self, *args: Any, **options: Any) -> Iterator[Page]:
        """Like :meth:`iterate`, in the pieces in which rows come, each with the key behind which the next begins."""
        return self._pages(*args, **options)

    @yields_for(iterate)
    def apages(self, *args: Any, **options: Any) -> AsyncIterator[Page]:
        """Like :meth:`pages`."""
        return self._apages(*args, **options)

    def _pages(self, *args: Any, **options: Any) -> Generator[Page, None, None]:
        yield from self.get_conn().stream(_reading(*args, **options))

    async def _apages(self, *args: Any, **options: Any) -> AsyncGenerator[Page, None]:
        client = await self.aget_conn()
        stream = cast("AsyncGenerator[Page, None]", client.stream(_reading(*args, **options)))
        async with aclosing(stream) as pages:
            async for page in pages:
                yield page


def _reading(
    method: str,
    params: Mapping[str, Any] | None = None,
    *,
    since: Moment | None = None,
    until: Moment | None = None,
    typed: bool = False,
    **options: Any,
) -> Work[Page]:
    from airflow_provider_b24.rest.reading import reading

    if since is not None or until is not None or typed:
        raise NotImplementedError("since, until and typed")
    return reading(method, params or {}, **options)
