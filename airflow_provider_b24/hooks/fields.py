"""The part of the hook that tells what fields there are, and what time it is in the portal."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_b24.hooks.calls import RestCalls

if TYPE_CHECKING:
    import pendulum

    from airflow_provider_b24.crm.fields import Field


class FieldCalls(RestCalls):
    """Asks for the fields of a list's rows, and for the portal's time."""

    def fields(self, method: str, *, version: Literal[2, 3] | None = None, **params: Any) -> dict[str, Field]:
        """The fields of the rows of a list, by name, each asked afresh (``crm.item.fields`` and its like).

        :param method: a family of methods (``crm.item``), or a list method of it (``crm.item.list``).
        :param version: 3 for a method of REST 3.0 that is in the older REST as well.
        :param params: what the vendor's method needs, such as ``entity_type_id=2`` or ``iblock_id=23``.
        :raises ConfigurationError: if the fields of such methods can not be asked for, or not with these parameters.
        :raises Bitrix24Error: if the portal could not be asked.
        """
        from airflow_provider_b24.crm.fields import asked_fields

        return self.get_conn().run(partial(asked_fields, method=method, params=params, version=version))

    async def afields(self, method: str, *, version: Literal[2, 3] | None = None, **params: Any) -> dict[str, Field]:
        """Like :meth:`fields`."""
        from airflow_provider_b24.crm.fields import asked_fields

        client = await self.aget_conn()
        return await client.run(partial(asked_fields, method=method, params=params, version=version))

    def portal_time(self) -> pendulum.DateTime:
        """What time it is in the portal, in its own offset from UTC (``server.time``)."""
        from airflow_provider_b24.crm.moments import portal_time

        return self.get_conn().run(portal_time)

    async def aportal_time(self) -> pendulum.DateTime:
        """Like :meth:`portal_time`."""
        from airflow_provider_b24.crm.moments import portal_time

        client = await self.aget_conn()
        return await client.run(portal_time)
