"""Reading everything that a list method has, as a work of conversations side by side. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.keyset_reading import KeysetReading
from airflow_provider_b24.rest.lanes import Work, check_parallel
from airflow_provider_b24.rest.listing import KeysetReader, reader_for
from airflow_provider_b24.rest.lists import check_reads
from airflow_provider_b24.rest.methods import check_version
from airflow_provider_b24.rest.pages import Page, PagedReading

__all__ = ["Page", "reading"]


def reading(
    method: str,
    params: Mapping[str, Any],
    *,
    version: Literal[2, 3] = 2,
    after: int | str | None = None,
    parallel: int = 4,
) -> Work[Page]:
    """The work that reads a list method to its end: every row once, in the order of the list.

    :param params: the method's own parameters: filter, select, and what else it takes; no ``start`` or ``pagination``.
    :param after: begin behind this key: what :class:`Page` and the error that ended an earlier reading tell.
    :param parallel: how many requests may be under way at once, 1 to 40.
    :raises ConfigurationError: for an argument that can not be, a parameter that reading everything leaves no room for,
        a list that can not be read to its end, and a method that may write.
    """
    check_reads(method, version)
    check_version(version)
    check_parallel(parallel)
    if not isinstance(params, Mapping):
        raise ConfigurationError(
            f"params is {params!r}", method=method, advice='Give a mapping, as {"filter": {"STAGE_ID": "NEW"}}.'
        )
    reader = reader_for(method, params, version=version, after=after)
    if isinstance(reader, KeysetReader) and version == 2:
        return KeysetReading(reader.keyset, after, parallel)
    return PagedReading(reader, parallel)
