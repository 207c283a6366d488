"""A small client of Airflow's REST API."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests

WAIT_SECONDS = 120.0
POLL_SECONDS = 0.4
ENDED = frozenset({"success", "failed"})


class Client:
    """Calls ``/api/v2`` as the one admin that there is."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        # Loopback only: no proxy, no .netrc.
        self._session.trust_env = False

    def close(self) -> None:
        self._session.close()

    def answers(self) -> bool:
        """Is the API server up? Gets the token when it is."""
        if "Authorization" in self._session.headers:
            return True
        try:
            reply = self._session.get(f"{self.url}/auth/token", timeout=5)
        except requests.ConnectionError:
            return False
        if not reply.ok:
            return False
        self._session.headers["Authorization"] = f"Bearer {reply.json()['access_token']}"
        return True

    def request(self, verb: str, path: str, *, json: Any = None, **query: Any) -> requests.Response:
        return self._session.request(verb, f"{self.url}/api/v2/{path}", json=json, params=query, timeout=30)

    def get(self, path: str, **query: Any) -> Any:
        return self._checked(self.request("GET", path, **query))

    def post(self, path: str, body: Any) -> Any:
        return self._checked(self.request("POST", path, json=body))

    def patch(self, path: str, body: Any) -> Any:
        return self._checked(self.request("PATCH", path, json=body))

    def trigger(self, dag_id: str, **conf: Any) -> Run:
        """Start a run now."""
        made = self.post(f"dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})
        return Run(self, dag_id, made["dag_run_id"])

    def running(self) -> list[Run]:
        """The runs that have not ended."""
        found = self.get("dags/~/dagRuns", state=["running", "queued"], limit=100)["dag_runs"]
        return [Run(self, one["dag_id"], one["dag_run_id"]) for one in found]

    @staticmethod
    def _checked(reply: requests.Response) -> Any:
        assert reply.ok, f"{reply.request.method} {reply.url}: {reply.status_code} {reply.text}"
        return reply.json() if reply.content else None


@dataclass(frozen=True)
class Task:
    """A task instance, or one try of it: what the API says, with times as seconds since the epoch."""

    task_id: str
    map_index: int
    try_number: int
    state: str | None
    start: float
    end: float

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Task:
        return cls(
            fields["task_id"],
            fields["map_index"],
            fields["try_number"],
            fields["state"],
            _seconds(fields["start_date"]),
            _seconds(fields["end_date"]),
        )


class Run:
    """One run of a DAG."""

    def __init__(self, client: Client, dag_id: str, run_id: str) -> None:
        self.client = client
        self.dag_id = dag_id
        self.run_id = run_id
        self._path = f"dags/{dag_id}/dagRuns/{run_id}"

    def __repr__(self) -> str:
        return f"<Run of {self.dag_id}>"

    @property
    def state(self) -> str:
        return self.client.get(self._path)["state"]

    def tasks(self, task_id: str | None = None) -> list[Task]:
        """The task instances, those of one task by map index."""
        found: list[Task] = []
        page: list[Any] = []
        while not found or len(page) == 100:
            page = self.client.get(f"{self._path}/taskInstances", limit=100, offset=len(found))["task_instances"]
            found += map(Task.of, page)
            if not page:
                break
        found = [task for task in found if task_id in (None, task.task_id)]
        return sorted(found, key=lambda task: (task.task_id, task.map_index))

    def task(self, task_id: str) -> Task:
        (task,) = self.tasks(task_id)
        return task

    def tries(self, task_id: str) -> list[Task]:
        """All tries of a task so far, in order."""
        found = self.client.get(f"{self._path}/taskInstances/{task_id}/tries")["task_instances"]
        return sorted((Task.of(fields) for fields in found), key=lambda task: task.try_number)

    def all_tries(self, task_id: str) -> list[Task]:
        """All tries of a task that is not mapped; the parts of one that is."""
        parts = self.tasks(task_id)
        return parts if len(parts) != 1 or parts[0].map_index >= 0 else self.tries(task_id)

    def wait(self, seconds: float = WAIT_SECONDS) -> str:
        """Wait until the run has ended; its state."""
        return until(lambda: (state := self.state) in ENDED and state, f"the end of {self!r}", seconds, self.describe)

    def wait_for(self, task_id: str, *states: str, seconds: float = WAIT_SECONDS) -> Task:
        """Wait until a task is in one of these states.

        :raises AssertionError: also if it has ended in another one.
        """

        def arrived() -> Task | None:
            task = self.task(task_id)
            assert task.state in states or task.state not in ENDED, self.describe()
            return task if task.state in states else None

        return until(arrived, f"{task_id} of {self!r} to be {' or '.join(states)}", seconds, self.describe)

    def clear(self, *task_ids: str | tuple[str, int]) -> None:
        """Clear tasks, or single parts of mapped ones."""
        ids = [list(task_id) if isinstance(task_id, tuple) else task_id for task_id in task_ids]
        self.client.post(
            f"dags/{self.dag_id}/clearTaskInstances",
            {"dry_run": False, "dag_run_id": self.run_id, "task_ids": ids, "only_failed": False},
        )

    def mark(self, task_id: str, state: str) -> None:
        self.client.patch(f"{self._path}/taskInstances/{task_id}", {"new_state": state})

    def mark_run(self, state: str) -> None:
        self.client.patch(self._path, {"state": state})

    def xcom(self, task_id: str, map_index: int = -1, key: str = "return_value") -> Any:
        path = f"{self._path}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.client.get(path, map_index=map_index, deserialize=True)["value"]

    def has_xcom(self, task_id: str) -> bool:
        return self.client.request("GET", f"{self._path}/taskInstances/{task_id}/xcomEntries/return_value").ok

    def links(self, task_id: str) -> dict[str, str]:
        """The buttons of a task in the UI, by the words on them, with where they lead; at least one.

        A task says where they lead when its state is known already.
        """

        def shown() -> dict[str, str]:
            found = self.client.get(f"{self._path}/taskInstances/{task_id}/links")["extra_links"]
            return {name: url for name, url in found.items() if url}

        return until(shown, f"the links of {task_id} of {self!r}", 10)

    def log(self, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """What the UI shows as the task's log."""
        path = f"{self._path}/taskInstances/{task_id}/logs/{try_number}"
        lines: Sequence[Any] = self.client.get(path, map_index=map_index, full_content=True)["content"]
        return "\n".join(line if isinstance(line, str) else _line(line) for line in lines)

    def describe(self) -> str:
        return f"run {self.state}: {self.tasks()}"


def until(found: Callable[[], Any], what: str, seconds: float, describe: Callable[[], str] = str) -> Any:
    """Ask again and again until there is an answer.

    :raises AssertionError: if there was none in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = found()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}; {describe()}"
        time.sleep(POLL_SECONDS)


def _line(fields: Mapping[str, Any]) -> str:
    more = [f"{name}={value}" for name, value in fields.items() if name not in ("event", "timestamp")]
    return " ".join([str(fields.get("timestamp", "")), str(fields.get("event", "")), *more])


def _seconds(text: str | None) -> float:
    return float("nan") if text is None else datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
