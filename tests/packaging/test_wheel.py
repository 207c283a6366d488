"""The wheel as a user gets it: built from the sources, installed where there is only Airflow."""

from __future__ import annotations

import json
import os
import shutil
import sys
import zipfile
from configparser import ConfigParser
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.early import Place

ROOT = Path(__file__).parents[2]
PACKAGE = "airflow_provider_b24"


class AirflowOnly:
    """An environment with Airflow, what Airflow needs, and the wheel."""

    def __init__(self, place: Place) -> None:
        self.bin = place.folder / "env" / "bin"
        self.python = self.bin / "python"
        ours = ("AIRFLOW_", "PYTHON")
        kept = {name: value for name, value in place.environ.items() if not name.startswith(ours)}
        self.environ = {
            **kept,
            "AIRFLOW_HOME": str(place.folder / "airflow"),
            "PATH": f"{self.bin}{os.pathsep}{place.environ['PATH']}",
        }
        self._place = place
        place.run(sys.executable, "-m", "venv", "--without-pip", self.bin.parent)

    def pip(self, *arguments: str | Path) -> str:
        return self._place.run(sys.executable, "-m", "pip", "--python", self.python, *arguments, env=self.environ)

    def airflow(self, *arguments: str) -> list[dict[str, str]]:
        command: tuple[str | Path, ...] = (self.bin / "airflow", *arguments, "--output", "json")
        return json.loads(self._place.run(*command, env=self.environ))

    def run_python(self, code: str) -> str:
        return self._place.run(self.python, "-c", code, env=self.environ, cwd=self.bin)


@dataclass(frozen=True)
class Built:
    """A wheel, and where it was installed.

    :ivar sources: what it was built from.
    :ivar providers: what ``airflow providers`` says, by the name of the command.
    """

    sources: Path
    wheel: Path
    airflow_only: AirflowOnly
    providers: dict[str, list[dict[str, str]]]


def build(place: Place) -> Built:
    """Build the wheel the way of a release, the source archive first, and install it where there is only Airflow."""
    # What a clone has, apart from this one: without what earlier builds left behind.
    sources, out = place.folder / "sources", place.folder / "dist"
    listed = place.run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (sources / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, sources / name)
    place.run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, sources)
    (wheel,) = out.glob("*.whl")

    environment = AirflowOnly(place)
    airflow = f"apache-airflow=={version('apache-airflow')}"
    environment.pip("install", "--quiet", "--constraint", ROOT / "constraints.txt", airflow)
    environment.pip("install", "--quiet", "--no-deps", wheel)
    commands = (("list",), ("get", "airflow-provider-b24"), ("hooks",), ("behaviours",))
    providers = {command[0]: environment.airflow("providers", *command) for command in commands}
    return Built(sources, wheel, environment, providers)


pytestmark = pytest.mark.early(of=build)


@pytest.fixture
def metadata(early: Built) -> Message:
    with zipfile.ZipFile(early.wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(name).decode())


def test_the_package_and_nothing_else_is_in_it(early: Built) -> None:
    sources = early.sources
    with zipfile.ZipFile(early.wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    info = f"{PACKAGE}-{version('airflow-provider-b24')}.dist-info/"
    package = {str(path.relative_to(sources)) for path in (sources / PACKAGE).rglob("*") if path.is_file()}

    assert {name for name in names if not name.startswith(info)} == package
    assert f"{PACKAGE}/py.typed" in package
    assert f"{info}licenses/LICENSE" in names


def test_it_says_what_it_needs(metadata: Message) -> None:
    assert metadata["Name"] == "airflow-provider-b24"
    assert metadata["License-Expression"] == "Apache-2.0"
    stated = metadata.get_all("Requires-Dist", [])
    assert [requirement for requirement in stated if "extra ==" in requirement] == [
        'redis>=5; extra == "redis"',
        'pyarrow>=15; extra == "parquet"',
    ]
    needed = [requirement for requirement in stated if "extra ==" not in requirement]
    assert {name.rstrip("<>=,.0123456789 ") for name in needed} == {
        "apache-airflow",
        "requests",
        "httpx",
        "anyio",
        "pendulum",
        "markdown-it-py",
    }
    assert "apache-airflow<4,>=3.2" in needed
    assert set(metadata["Requires-Python"].split(",")) == {">=3.10", "<3.15"}
    assert "Framework :: Apache Airflow :: Provider" in metadata.get_all("Classifier", [])
    assert metadata["Description-Content-Type"] == "text/markdown"


def test_it_says_where_airflow_and_pytest_find_it(early: Built) -> None:
    with zipfile.ZipFile(early.wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt"))
        points = ConfigParser()
        points.read_string(archive.read(name).decode())
    assert {group: dict(points[group]) for group in points.sections()} == {
        "airflow.plugins": {"bitrix24_listener": f"{PACKAGE}.plugins.listener:Bitrix24ListenerPlugin"},
        "apache_airflow_provider": {"provider_info": f"{PACKAGE}.get_provider_info:get_provider_info"},
        "pytest11": {"bitrix24": f"{PACKAGE}.testing.pytest_plugin"},
    }


def test_airflow_brings_all_that_it_needs(early: Built) -> None:
    early.airflow_only.pip("check")
    installed = {package["name"] for package in json.loads(early.airflow_only.pip("list", "--format", "json"))}
    assert "airflow-provider-b24" in installed
    assert not installed & {"pytest", "playwright", "mypy"}


def test_every_module_can_be_imported(early: Built) -> None:
    # The pytest plugin is for people who have pytest.
    early.airflow_only.run_python(
        "import importlib, pkgutil, airflow_provider_b24 as package\n"
        "def stop(name): raise\n"
        "for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.', stop):\n"
        "    if module.name.rpartition('.')[2] not in ('pytest_plugin', '__main__'):\n"
        "        importlib.import_module(module.name)\n"
    )


def test_airflow_lists_the_provider(early: Built) -> None:
    listed = {provider["package_name"]: provider for provider in early.providers["list"]}
    assert listed["airflow-provider-b24"]["version"] == version("airflow-provider-b24")

    (described,) = early.providers["get"]
    assert described["Provider"] == "airflow-provider-b24"


def test_airflow_knows_the_connection_type(early: Built) -> None:
    hooks = {hook["connection_type"]: hook for hook in early.providers["hooks"]}
    assert hooks["bitrix24"]["class"] == "airflow_provider_b24.hooks.bitrix24.Bitrix24Hook"
    assert hooks["bitrix24"]["conn_id_attribute_name"] == "bitrix24_conn_id"

    assert "bitrix24" in {behaviour["field_behaviours"] for behaviour in early.providers["behaviours"]}


def test_the_hook_is_made_from_a_connection(early: Built) -> None:
    early.airflow_only.environ["AIRFLOW_CONN_BITRIX24_DEFAULT"] = json.dumps(
        {"conn_type": "bitrix24", "host": "http://127.0.0.1:9", "login": "1", "password": "code"}
    )
    made = early.airflow_only.run_python(
        "from airflow.sdk import BaseHook\n"
        "hook = BaseHook.get_hook('bitrix24_default')\n"
        "print(type(hook).__module__, type(hook).__name__)\n"
    )
    assert made.split()[-2:] == ["airflow_provider_b24.hooks.bitrix24", "Bitrix24Hook"]
