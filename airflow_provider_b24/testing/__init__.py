"""A Bitrix24 portal on loopback, for tests and demonstrations.

``FakePortal`` and ``Fault`` are loaded on first use, so importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_b24.testing.faults import Fault
    from airflow_provider_b24.testing.portal import FakePortal
    from airflow_provider_b24.testing.records import Message, RecordedCall, TypingSignal

__all__ = ["FakePortal", "Fault", "Message", "RecordedCall", "TypingSignal"]

_HOMES = {
    "FakePortal": "portal",
    "Fault": "faults",
    "Message": "records",
    "RecordedCall": "records",
    "TypingSignal": "records",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
