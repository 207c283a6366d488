"""The table of list methods, and the page that shows it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.list_table import LISTS, LISTS_3
from airflow_provider_b24.rest.lists import ListMethod, list_method
from airflow_provider_b24.rest.methods import is_repeatable

PAGE = (Path(__file__).parents[3] / "docs" / "lists.md").read_text()
SECTIONS = {
    "By key": {"key"},
    "By offset": {"start", "offset", "page"},
    "By a cursor": {"tail", "before", "cursor"},
    "In one answer": {"whole"},
    "Not to their end": {"refused"},
}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_page_shows_the_table(section: str) -> None:
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    shown = {
        (3 if version else 2, f"{family}{name}".lower())
        for version, family, names in re.findall(r"^\| (REST 3\.0: )?`(\w+\.?)` \| (.*) \|$", text, re.MULTILINE)
        for name in re.findall(r"`([\w.]+)`", names)
    }
    there = {
        (version, name)
        for version, table in ((2, LISTS), (3, LISTS_3))
        for name, listed in table.items()
        if listed.paging in SECTIONS[section]
    }
    assert {(version, name.removesuffix(".")) for version, name in shown} == there


def test_names_are_found_in_either_case() -> None:
    assert list_method("CRM.Item.List") is LISTS["crm.item.list"]
    assert list_method("tasks.task.list", 3) is not list_method("tasks.task.list")
    assert list_method("crm.item.get") is None
    assert all(name == name.lower() for name in {*LISTS, *LISTS_3})


@pytest.mark.parametrize(
    "listed", [*LISTS.values(), *LISTS_3.values()], ids=[*LISTS, *(f"{name} 3" for name in LISTS_3)]
)
def test_what_is_needed_for_each_way_is_there(listed: ListMethod) -> None:
    assert bool(listed.advice) == (listed.paging == "refused")
    assert bool(listed.cursor) == (listed.paging == "cursor")
    if listed.by_key:
        assert listed.filter
        assert listed.order
        assert listed.key
    if listed.paging in ("tail", "before", "cursor", "offset", "page"):
        assert all(listed.position) or listed.paging == "page"


def test_reading_a_list_may_be_repeated() -> None:
    read = [name for name, listed in {**LISTS, **LISTS_3}.items() if listed.paging != "refused"]
    assert [name for name in read if not is_repeatable(name)] == []


def test_nothing_that_is_missing_is_asked_for() -> None:
    listed = ListMethod(required=("type", "a|b", "filter.OWNER", "preset.ID"))
    whole = {"TYPE": 1, "b": 2, "filter": {"=owner": 0}, "preset": {"ID": 4}}
    listed.check_required("some.list", whole)
    for name, words in (("TYPE", "type"), ("b", "a or b"), ("filter", "filter's OWNER"), ("preset", "preset's ID")):
        with pytest.raises(ConfigurationError, match=f"{words} is missing"):
            listed.check_required("some.list", {key: value for key, value in whole.items() if key != name})
        with pytest.raises(ConfigurationError, match=f"{words} is missing"):
            listed.check_required("some.list", {**whole, name: None})
    listed.check_required("some.list", {**whole, "filter": [["owner", "=", 1]]})


def test_the_table_is_loaded_when_it_is_looked_at() -> None:
    code = """
import sys
import airflow_provider_b24.rest.lists as lists
assert "airflow_provider_b24.rest.list_table" not in sys.modules
assert lists.list_method("user.get").key == "ID"
assert "airflow_provider_b24.rest.list_table" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
