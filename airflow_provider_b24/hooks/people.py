"""The part of the hook that finds people."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.hooks.calls import RestCalls

if TYPE_CHECKING:
    from airflow_provider_b24.chat.directory import Person
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.steps import Step


class PeopleCalls(RestCalls):
    """Finds people, and mentions them."""

    def find_user(self, who: str | int) -> int:
        """The user id of somebody.

        :param who: an address (``user.get``), a name (``im.search.user.list``), ``head:Sales``, the head of a
            department (``im.search.department.list``), or ``responsible:deal:1663``, ``responsible:task:8293``
            (``crm.item.get``, ``tasks.task.get``).
        :raises ConfigurationError: if it can be none of them.
        :raises NotFoundError: if there is no such person, or more than one.
        :raises Bitrix24Error: if the portal could not be asked.
        """
        return int(self.get_conn().run(_finding(who)).id)

    async def afind_user(self, who: str | int) -> int:
        """Like :meth:`find_user`."""
        client = await self.aget_conn()
        return int((await client.run(_finding(who))).id)

    def mention(self, who: str | int) -> str:
        """The BBCode that mentions somebody in a message: ``[user=13]Anna Petrova[/user]``.

        :param who: as in :meth:`find_user`, and raises what that does.
        """
        from airflow_provider_b24.chat.text import mention

        person = self.get_conn().run(_finding(who, named=True))
        return mention(person.id, person.name)

    async def amention(self, who: str | int) -> str:
        """Like :meth:`mention`."""
        from airflow_provider_b24.chat.text import mention

        client = await self.aget_conn()
        person = await client.run(_finding(who, named=True))
        return mention(person.id, person.name)


def _finding(who: str | int, *, named: bool = False) -> Callable[[Peer], Generator[Step, Any, Person]]:
    from airflow_provider_b24.chat.directory import find_person, reference_of

    return partial(find_person, reference=reference_of(who), named=named)
