"""What happens to calls, in Airflow's own metrics (``[metrics]`` in its configuration)."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping
from typing import Any

log = logging.getLogger(__name__)


class AirflowMeter:
    """Passes counts on to Airflow's ``Stats``: with tags, and for backends that know none with names that hold them.

    Where Airflow exports names of the old kind (``[metrics] legacy_names_on``, the default),
    ``bitrix24.calls`` with the tags ``portal``, ``method`` and ``outcome`` is also
    ``bitrix24.calls.<portal>.<method>.<outcome>``, with ``__`` for the dots of a value.

    Never fails or delays a call: what goes wrong is told in the log once, and no more is counted.
    """

    def __init__(self) -> None:
        from airflow.sdk import conf
        from airflow.sdk.observability.stats import Stats

        self._stats: Any = Stats
        self._named: bool = conf.getboolean("metrics", "legacy_names_on", fallback=True)
        self._broken = False

    def incr(self, stat: str, *, tags: Mapping[str, str]) -> None:
        """Count one."""
        self._pass_on(self._stats.incr, stat, (), tags)

    def timing(self, stat: str, dt: dt.timedelta, *, tags: Mapping[str, str]) -> None:
        """Note how long something took."""
        self._pass_on(self._stats.timing, stat, (dt,), tags)

    def _pass_on(self, emit: Callable[..., Any], stat: str, values: tuple[Any, ...], tags: Mapping[str, str]) -> None:
        if self._broken:
            return
        try:
            emit(stat, *values, tags=dict(tags))
            if self._named:
                emit(".".join([stat, *(value.replace(".", "__") for value in tags.values())]), *values)
        except Exception as error:
            self._broken = True
            log.warning("Airflow's metrics do not take those of Bitrix24 (%s); none are counted.", type(error).__name__)
