"""What Airflow reads of the provider at start; a mistake in it would stop all of Airflow."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import airflow
import jsonschema
import pytest
from packaging.utils import canonicalize_name

from airflow_provider_b24.get_provider_info import get_provider_info
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.hooks.settings import EXTRAS

INFO = get_provider_info()
(CONNECTION,) = INFO["connection-types"]


def schema(name: str) -> dict:
    return json.loads((Path(airflow.__file__).parent / name).read_text())


def import_path(path: str) -> object:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_airflows_schema_of_provider_info():
    jsonschema.validate(INFO, schema("provider_info.schema.json"))


def test_airflows_stricter_schema_of_providers():
    strict = schema("provider.yaml.schema.json")
    for part in (
        "connection-types",
        "hooks",
        "operators",
        "transfers",
        "triggers",
        "notifications",
        "task-decorators",
        "integrations",
    ):
        if part == "task-decorators":
            # There the key is "path"; what reads it wants "class-name".
            continue
        jsonschema.validate(INFO[part], {**strict["properties"][part], "definitions": strict.get("definitions", {})})


def test_every_conn_field_by_itself():
    strict = schema("provider.yaml.schema.json")
    fields = strict["properties"]["connection-types"]["items"]["properties"]["conn-fields"]
    jsonschema.validate(CONNECTION["conn-fields"], fields)
    for field in CONNECTION["conn-fields"].values():
        jsonschema.Draft7Validator.check_schema(field["schema"])
        # Every field may stay empty.
        jsonschema.validate(None, {**field["schema"], "enum": [*field["schema"].get("enum", []), None]})


def test_the_package_is_called_as_it_is_installed():
    dist = distribution("airflow-provider-b24")
    assert INFO["package-name"] == canonicalize_name(dist.name) == dist.name


def test_entry_points():
    points = distribution("airflow-provider-b24").entry_points
    assert {(point.group, point.name): point.value for point in points} == {
        ("apache_airflow_provider", "provider_info"): "airflow_provider_b24.get_provider_info:get_provider_info",
        ("airflow.plugins", "bitrix24_listener"): "airflow_provider_b24.plugins.listener:Bitrix24ListenerPlugin",
        ("pytest11", "bitrix24"): "airflow_provider_b24.testing.pytest_plugin",
    }


def test_it_is_the_same_at_every_call_and_nobody_elses():
    first, second = get_provider_info(), get_provider_info()
    assert first == second
    first["connection-types"][0]["conn-fields"].clear()
    assert get_provider_info() == second


@pytest.mark.parametrize(
    "path",
    [
        CONNECTION["hook-class-name"],
        *(decorator["class-name"] for decorator in INFO["task-decorators"]),
        *INFO["cli"],
        *INFO["notifications"],
    ],
)
def test_classes_are_where_it_says(path):
    assert callable(import_path(path))


def test_modules_are_where_it_says_and_all_are_named():
    for part in ("hooks", "operators", "triggers"):
        named = {module for item in INFO[part] for module in item["python-modules"]}
        for module in named:
            importlib.import_module(module)
        folder = Path(importlib.import_module(f"airflow_provider_b24.{part}").__path__[0])
        facing_users = {
            f"airflow_provider_b24.{part}.{path.stem}"
            for path in folder.glob("*.py")
            if any(
                isinstance(node, ast.ClassDef) and node.name.endswith(("Hook", "Operator", "Trigger"))
                for node in ast.parse(path.read_text()).body
            )
        }
        assert named == facing_users


def test_transfers_are_where_it_says_and_all_are_named():
    named = {item["python-module"] for item in INFO["transfers"]}
    for module in named:
        importlib.import_module(module)
    folder = Path(importlib.import_module("airflow_provider_b24.transfers").__path__[0])
    assert named == {
        f"airflow_provider_b24.transfers.{path.stem}" for path in folder.glob("*.py") if path.stem != "__init__"
    }


def test_the_hook_says_the_same():
    assert import_path(CONNECTION["hook-class-name"]) is Bitrix24Hook
    assert CONNECTION["connection-type"] == Bitrix24Hook.conn_type == "bitrix24"
    assert CONNECTION["hook-name"] == Bitrix24Hook.hook_name == "Bitrix24"
    assert Bitrix24Hook.conn_name_attr == "bitrix24_conn_id"
    assert Bitrix24Hook.default_conn_name == "bitrix24_default"
    parameters = inspect.signature(Bitrix24Hook).parameters
    assert parameters[Bitrix24Hook.conn_name_attr].default == Bitrix24Hook.default_conn_name


def test_the_form_has_the_fields_that_the_hook_reads():
    assert tuple(CONNECTION["conn-fields"]) == EXTRAS


def test_secret_fields_are_entered_unseen_and_masked_by_name():
    from airflow._shared.secrets_masker import DEFAULT_SENSITIVE_FIELDS

    secret = {name for name, field in CONNECTION["conn-fields"].items() if field["schema"].get("format") == "password"}
    assert secret == {"client_secret", "access_token", "refresh_token", "bot_token", "limiter_url"}
    # An URL may have no secret in it; where it has, Airflow can be told that the field is one.
    assert "sensitive_var_conn_names" in CONNECTION["conn-fields"]["limiter_url"]["description"]
    for name in secret - {"limiter_url"}:
        assert any(sensitive in name for sensitive in DEFAULT_SENSITIVE_FIELDS), name


def test_the_form_names_what_the_standard_fields_are():
    behaviour = CONNECTION["ui-field-behaviour"]
    standard = {"description", "host", "port", "login", "password", "schema", "extra"}
    assert set(behaviour["relabeling"]) <= standard
    assert set(behaviour["placeholders"]) <= standard
    assert behaviour["hidden-fields"] == []
    assert "URL" in behaviour["relabeling"]["password"]


def test_reading_it_imports_nothing_of_airflow():
    # It is read while Airflow is being imported.
    program = (
        "import sys\n"
        "from airflow_provider_b24.get_provider_info import get_provider_info\n"
        "get_provider_info()\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('airflow', 'httpx', 'requests')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_commands_are_there_and_cost_nothing():
    """Every call of airflow reads them."""
    program = (
        "import sys\n"
        "import airflow.cli.cli_config\n"
        "before = set(sys.modules)\n"
        "from airflow_provider_b24.cli.definition import get_bitrix24_cli_commands\n"
        "(group,) = get_bitrix24_cli_commands()\n"
        "print(group.name, [command.name for command in group.subcommands])\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    commands, loaded = done.stdout.splitlines()[-2:]
    assert commands == "bitrix24 ['authorize', 'doctor', 'bot']"
    ours = ["airflow_provider_b24", "airflow_provider_b24.cli", "airflow_provider_b24.cli.definition"]
    assert sorted({*ast.literal_eval(loaded), *ours}) == ours


def test_the_option_is_read():
    from airflow.sdk import conf

    assert conf.get("bitrix24", "token_store") == ""


def test_the_decorator_is_there():
    from airflow.sdk import task

    assert callable(task.bitrix24_report)
