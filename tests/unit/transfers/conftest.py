"""The same portal, DAG and task context as for the operators."""

from __future__ import annotations

from tests.databases import database, warehouse
from tests.portal.hook.faces import connect, lasting_portal, portal
from tests.unit.operators.conftest import context, dag

__all__ = ["connect", "context", "dag", "database", "lasting_portal", "portal", "warehouse"]
