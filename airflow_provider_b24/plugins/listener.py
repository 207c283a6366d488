"""The plugin that lets Bitrix24 know of tasks and runs which only carry a mark; off unless it is switched on."""

from __future__ import annotations

from typing import Any

from airflow.sdk.configuration import conf
from airflow.sdk.plugins_manager import AirflowPlugin


class Bitrix24ListenerPlugin(AirflowPlugin):
    """Registers :mod:`~airflow_provider_b24.plugins.marked`, if ``[bitrix24] listener`` says so.

    Otherwise nothing listens, and nothing is loaded.
    """

    name = "bitrix24_listener"
    listeners: list[Any] = []  # noqa: RUF012 - as Airflow declares it

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        """Called by Airflow when it has loaded the plugin."""
        if conf.getboolean("bitrix24", "listener", fallback=False):
            from airflow_provider_b24.plugins import marked

            cls.listeners = [marked]
