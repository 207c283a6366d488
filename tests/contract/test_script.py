"""That the script does all there is to do: what it leaves out is not compared with the vendor's schemas."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from airflow.sdk import BaseNotifier, BaseOperator

import airflow_provider_b24
from airflow_provider_b24.crm.entities import ENTITIES
from airflow_provider_b24.get_provider_info import get_provider_info
from tests.contract import script

INFO = get_provider_info()
PACKAGE = Path(airflow_provider_b24.__file__).parent
METHOD = re.compile(r'"((?:crm|disk|im|imbot|task|tasks|user)(?:\.[A-Za-z0-9]+)+)"')


def test_every_operator_and_notifier_is_in_it():
    modules = [name for part in ("operators", "notifications") for item in INFO[part] for name in _modules(item)]
    modules += [item["python-module"] for item in INFO["transfers"]]
    there = {
        value
        for name in modules
        for value in vars(importlib.import_module(name)).values()
        if isinstance(value, type) and issubclass(value, (BaseOperator, BaseNotifier)) and value.__module__ == name
    }
    used = [value for value in vars(script).values() if isinstance(value, type)]
    assert there - set(used) == set()


def _modules(item):
    return item["python-modules"] if isinstance(item, dict) else [item.rpartition(".")[0]]


def test_every_method_that_is_named_in_the_code_was_called(sent):
    named = {
        method
        for path in PACKAGE.rglob("*.py")
        if "testing" not in path.relative_to(PACKAGE).parts and path.parent.name != "rest"
        for method in METHOD.findall(path.read_text(encoding="utf-8"))
    }
    # Names of families are there, too, where their methods are made of them.
    assert named - {call.method for call in sent} - set(ENTITIES) == set()


def test_nothing_of_it_was_refused(sent):
    # That there is no such bot yet is what is asked. A chain of pages ends where its list does, in a reference to a row
    # that there is not.
    assert {(call.method, call.error) for call in sent if call.error} == {
        ("imbot.v2.Bot.get", "BOT_NOT_FOUND"),
        ("crm.item.list", "INVALID_ARG_VALUE"),
    }
