"""Starting it: from the command line, and as a pytest fixture."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

import pytest
import requests


@pytest.fixture
def run():
    processes = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow_provider_b24.testing", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_line(run, number):
    process = run("--port", "0", "--deals", "60", "--bucket", "50:2", "--log")
    lines = [process.stdout.readline() for _ in range(3)]
    webhook = re.findall(r"http\S+", lines[0])[0]
    page = re.findall(r"http\S+", lines[1])[0]
    connection = json.loads(re.findall(r"='(.*)'", lines[2])[0])
    assert requests.post(webhook + "crm.item.list", json={"entityTypeId": 2}, timeout=10).json()["total"] == 60
    assert "crm.item.list" in process.stdout.readline()
    assert requests.get(page, timeout=10).status_code == 200
    assert (connection["conn_type"], connection["schema"]) == ("bitrix24", "http")
    assert connection["extra"] == {"longest_request": 1}
    taken = run("--port", str(connection["port"]))
    assert taken.wait(20) == 1
    assert "--port" in taken.stderr.read()
    process.send_signal(number)
    assert process.wait(10) == 0
    assert process.stderr.read() == ""


def test_a_wrong_bucket_is_explained(run):
    process = run("--bucket", "fifty")
    assert process.wait(20) == 2
    assert "SIZE:RATE" in process.stderr.read()


def test_the_fixture(pytester_project):
    pytester_project(
        """
        import json, os, requests

        def test_one(bitrix24_portal):
            connection = json.loads(os.environ["AIRFLOW_CONN_BITRIX24_DEFAULT"])
            assert connection == bitrix24_portal.connection()
            requests.post(bitrix24_portal.webhook_url + "im.message.add", timeout=10,
                          json={"DIALOG_ID": "chat2935", "MESSAGE": "x"})
            assert len(bitrix24_portal.messages("chat2935")) == 1

        def test_two(bitrix24_portal):
            assert bitrix24_portal.messages("chat2935") == []
        """
    )


@pytest.fixture
def pytester_project(tmp_path):
    def run_tests(source):
        lines = source.splitlines()
        (tmp_path / "test_it.py").write_text("\n".join(line[8:] for line in lines))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "2 passed" in done.stdout, done.stdout + done.stderr

    return run_tests


def test_importing_it_loads_no_server():
    code = (
        "import sys, airflow_provider_b24.testing, airflow_provider_b24.testing.pytest_plugin\n"
        "loaded = {'fastapi', 'uvicorn', 'starlette', 'requests', 'httpx', 'airflow'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
