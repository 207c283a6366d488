"""The same portal and supervisor as for the operators."""

from __future__ import annotations

from tests.portal.hook.faces import connect, lasting_portal, portal
from tests.unit.operators.conftest import supervised

__all__ = ["connect", "lasting_portal", "portal", "supervised"]
