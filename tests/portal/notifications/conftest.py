"""A portal that lasts for all tests here, and connections that lead to it."""

from __future__ import annotations

import pytest

from airflow_provider_b24.chat import delivery
from tests.portal.hook.faces import connect, face, lasting_portal, portal

__all__ = ["connect", "face", "lasting_portal", "portal"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store in memory is quick: nobody has to wait for a second until all others have seen what is in it."""
    monkeypatch.setattr(delivery, "_QUICK", 0.02)
