"""What is read and written, for Airflow's hook lineage.

It costs nothing where no plugin reads the lineage, and never fails what it tells of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from airflow_provider_b24.hooks.calls import RestCalls

    Params = Mapping[str, Any] | Sequence[Any] | None


def reads(hook: RestCalls, method: str, params: Params = None) -> None:
    """Note that a method reads something of the portal. The connection has been read before.

    :param hook: who calls it.
    :param method: such as ``crm.item.list``.
    :param params: its parameters.
    """
    _note(hook, "input", method, params)


def writes(hook: RestCalls, method: str, params: Params = None) -> None:
    """Like :func:`reads`, of what a method writes."""
    _note(hook, "output", method, params)


def _note(hook: RestCalls, side: Literal["input", "output"], method: str, params: Params) -> None:
    with suppress(Exception):
        from airflow.sdk.lineage import NoOpCollector, get_hook_lineage_collector

        from airflow_provider_b24.crm.assets import asset_uri

        collector = get_hook_lineage_collector()
        if isinstance(collector, NoOpCollector):
            return
        add = collector.add_input_asset if side == "input" else collector.add_output_asset
        add(context=hook, uri=asset_uri(hook.portal, method, params))
