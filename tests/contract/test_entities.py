"""What adds, updates and finds elements is what the vendor's machine-readable schemas say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from airflow_provider_b24.crm.entities import ENTITIES
from airflow_provider_b24.rest.outcomes import id_of


@pytest.mark.parametrize("family", ENTITIES)
def test_the_methods_of_an_element_take_what_they_are_given(
    schemas: Mapping[str, Mapping[str, Any]], family: str
) -> None:
    entity = ENTITIES[family]
    for method, names in {
        entity.add: {entity.fields, *entity.within},
        entity.update: {entity.fields, entity.id, *entity.within},
        entity.list: set(entity.within),
    }.items():
        assert names <= {one["name"] for one in schemas[method]["params"]}, method


@pytest.mark.parametrize("family", ENTITIES)
def test_the_id_of_what_was_added_is_found(schemas: Mapping[str, Mapping[str, Any]], family: str) -> None:
    example = schemas[ENTITIES[family].add]["resultExample"]
    assert id_of(example["result"]) is not None
