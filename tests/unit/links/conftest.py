"""A portal, a DAG, and what a task is given when it runs."""

from __future__ import annotations

from tests.unit.operators.conftest import connect, context, dag, lasting_portal, portal, supervised

__all__ = ["connect", "context", "dag", "lasting_portal", "portal", "supervised"]
