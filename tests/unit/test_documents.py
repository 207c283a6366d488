"""What the pages for readers show: it compiles, and what it imports and names is there."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
from pathlib import Path

import airflow.sdk
import pytest

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

ROOT = Path(__file__).parents[2]
PACKAGE = "airflow_provider_b24"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MIGRATION = (ROOT / "docs" / "migration.md").read_text()
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
    if not block.startswith(">>> ")  # is run
]
EXAMPLES = [page for page in PAGES if "```python\n>>> " in page.read_text()]


@pytest.mark.parametrize("block", BLOCKS)
def test_python_is_right_as_far_as_it_can_be_told(block: str) -> None:
    if block.splitlines()[-1].startswith("@"):
        block += "def decorated(): ..."
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == PACKAGE:
            if node.module == f"{PACKAGE}.policies.retry" and not hasattr(airflow.sdk, "RetryPolicy"):
                continue
            module = importlib.import_module(node.module)
            for name in node.names:
                if not hasattr(module, name.name):
                    importlib.import_module(f"{node.module}.{name.name}")
        # What is called "hook" is one.
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "hook":
            assert hasattr(Bitrix24Hook, node.attr), node.attr


@pytest.mark.parametrize("page", EXAMPLES, ids=lambda page: page.stem)
def test_examples_are_as_shown(page: Path) -> None:
    source = re.sub(r"^```.*$", "", page.read_text(), flags=re.MULTILINE)
    examples = doctest.DocTestParser().get_doctest(source, {}, page.name, str(page), 0)
    assert examples.examples
    said: list[str] = []
    assert doctest.DocTestRunner().run(examples, out=said.append).failed == 0, "".join(said)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


def test_what_is_said_to_be_here_is() -> None:
    kinds = "hooks|notifications|operators|policies|rest|transfers|chat|testing"
    named = set(re.findall(rf"`((?:{kinds})\.\w+)\.(\w+)", MIGRATION))
    assert len(named) >= 7
    for module, name in named:
        assert hasattr(importlib.import_module(f"{PACKAGE}.{module}"), name), f"{module}.{name}"
    methods = set(re.findall(r"(?:`|\b)(?:hook|Bitrix24Hook\([^)]*\))\.(\w+)\(", MIGRATION))
    assert {"call", "batch", "iterate", "send_file"} <= methods
    assert [name for name in methods if not hasattr(Bitrix24Hook, name)] == []


@pytest.mark.parametrize(
    ("module", "name", "arguments"),
    [
        ("operators.message", "MessageAddOperator", {"message", "markdown", "attach", "keyboard", "menu", "reply_id"}),
        ("operators.file", "FileUploadOperator", {"file", "message"}),
        (
            "transfers.sql_to_dialog",
            "SqlToDialogOperator",
            {"sql", "file_name", "message", "title", "empty", "send_as"},
        ),
    ],
)
def test_arguments_are_called_so(module: str, name: str, arguments: set[str]) -> None:
    operator = getattr(importlib.import_module(f"{PACKAGE}.{module}"), name)
    assert arguments <= set(inspect.signature(operator.__init__).parameters)
