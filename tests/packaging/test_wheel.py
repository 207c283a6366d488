"""The wheel as a user gets it: built from the sources, installed where there is only Airflow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from email.message import Message
from email.parser import HeaderParser
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "airflow_provider_b24"


def run(*command: str | Path, **more) -> str:
    """What the command prints; its errors are part of the failure."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone has, apart from this one: without what earlier builds left behind."""
    copy = tmp_path_factory.mktemp("sources")
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built the way of a release: the source archive first, the wheel from that."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, sources)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(name).decode())


class AirflowOnly:
    """An environment with Airflow, what Airflow needs, and the wheel."""

    def __init__(self, place: Path) -> None:
        self.bin = place / "env" / "bin"
        self.python = self.bin / "python"
        ours = ("AIRFLOW_", "PYTHON")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self.environ = {
            **kept,
            "AIRFLOW_HOME": str(place / "airflow"),
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
        }
        run(sys.executable, "-m", "venv", "--without-pip", self.bin.parent)

    def pip(self, *arguments: str | Path) -> str:
        return run(sys.executable, "-m", "pip", "--python", self.python, *arguments, env=self.environ)

    def airflow(self, *arguments: str) -> list[dict[str, str]]:
        return json.loads(run(self.bin / "airflow", *arguments, "--output", "json", env=self.environ))

    def run_python(self, code: str) -> str:
        return run(self.python, "-c", code, env=self.environ, cwd=self.bin)


@pytest.fixture(scope="module")
def airflow_only(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> AirflowOnly:
    environment = AirflowOnly(tmp_path_factory.mktemp("airflow-only"))
    airflow = f"apache-airflow=={version('apache-airflow')}"
    environment.pip("install", "--quiet", "--constraint", ROOT / "constraints.txt", airflow)
    environment.pip("install", "--quiet", "--no-deps", wheel)
    return environment


def test_the_package_and_nothing_else_is_in_it(sources: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
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
    assert [requirement for requirement in stated if "extra ==" in requirement] == ['redis>=5; extra == "redis"']
    needed = [requirement for requirement in stated if "extra ==" not in requirement]
    assert {name.rstrip("<>=,.0123456789 ") for name in needed} == {
        "apache-airflow",
        "requests",
        "httpx",
        "anyio",
        "pendulum",
    }
    assert "apache-airflow<4,>=3.2" in needed
    assert set(metadata["Requires-Python"].split(",")) == {">=3.10", "<3.15"}
    assert "Framework :: Apache Airflow :: Provider" in metadata.get_all("Classifier", [])
    assert metadata["Description-Content-Type"] == "text/markdown"


def test_it_says_where_airflow_and_pytest_find_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt"))
        points = ConfigParser()
        points.read_string(archive.read(name).decode())
    assert {group: dict(points[group]) for group in points.sections()} == {
        "apache_airflow_provider": {"provider_info": f"{PACKAGE}.get_provider_info:get_provider_info"},
        "pytest11": {"bitrix24": f"{PACKAGE}.testing.pytest_plugin"},
    }


def test_airflow_brings_all_that_it_needs(airflow_only: AirflowOnly) -> None:
    airflow_only.pip("check")
    installed = {package["name"] for package in json.loads(airflow_only.pip("list", "--format", "json"))}
    assert "airflow-provider-b24" in installed
    assert not installed & {"pytest", "playwright", "mypy"}


def test_every_module_can_be_imported(airflow_only: AirflowOnly) -> None:
    # The pytest plugin is for people who have pytest.
    airflow_only.run_python(
        "import importlib, pkgutil, airflow_provider_b24 as package\n"
        "def stop(name): raise\n"
        "for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.', stop):\n"
        "    if module.name.rpartition('.')[2] not in ('pytest_plugin', '__main__'):\n"
        "        importlib.import_module(module.name)\n"
    )


def test_airflow_lists_the_provider(airflow_only: AirflowOnly) -> None:
    listed = {provider["package_name"]: provider for provider in airflow_only.airflow("providers", "list")}
    assert listed["airflow-provider-b24"]["version"] == version("airflow-provider-b24")

    (described,) = airflow_only.airflow("providers", "get", "airflow-provider-b24")
    assert described["Provider"] == "airflow-provider-b24"


def test_airflow_knows_the_connection_type(airflow_only: AirflowOnly) -> None:
    hooks = {hook["connection_type"]: hook for hook in airflow_only.airflow("providers", "hooks")}
    assert hooks["bitrix24"]["class"] == "airflow_provider_b24.hooks.bitrix24.Bitrix24Hook"
    assert hooks["bitrix24"]["conn_id_attribute_name"] == "bitrix24_conn_id"

    behaviours = airflow_only.airflow("providers", "behaviours")
    assert "bitrix24" in {behaviour["field_behaviours"] for behaviour in behaviours}


def test_the_hook_is_made_from_a_connection(airflow_only: AirflowOnly) -> None:
    airflow_only.environ["AIRFLOW_CONN_BITRIX24_DEFAULT"] = json.dumps(
        {"conn_type": "bitrix24", "host": "http://127.0.0.1:9", "login": "1", "password": "code"}
    )
    made = airflow_only.run_python(
        "from airflow.sdk import BaseHook\n"
        "hook = BaseHook.get_hook('bitrix24_default')\n"
        "print(type(hook).__module__, type(hook).__name__)\n"
    )
    assert made.split()[-2:] == ["airflow_provider_b24.hooks.bitrix24", "Bitrix24Hook"]
