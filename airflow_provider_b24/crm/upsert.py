"""Rows with a key of their own: those that are in the portal already are updated instead of added twice. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.writing import Writing


def upserting(method: str, key: str | Sequence[str], *, parallel: int = 4, version: Literal[2, 3] = 2) -> Writing:
    """Add rows, or update those that are there already.

    :raises ConfigurationError: for a method of which it is not known how its elements are found.
    """
    raise ConfigurationError(f"key is {key!r}", method=method, advice="Leave it out: rows are not found by it yet.")
