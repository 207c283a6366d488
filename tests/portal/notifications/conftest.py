"""A portal that lasts for all tests here, and connections that lead to it."""

from __future__ import annotations

from tests.portal.hook.faces import connect, face, lasting_portal, portal

__all__ = ["connect", "face", "lasting_portal", "portal"]
