"""What the tests with a real Airflow play on: portals in this process, Airflow beside it, one of each for all tests."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from airflow_provider_b24.testing import FakePortal, Fault
from tests.airflow.chaos import SHORT, Chaos
from tests.airflow.client import Run, until
from tests.airflow.components import Airflow
from tests.airflow.metrics import Metrics
from tests.airflow.telltale import Telltale

DAGS = Path(__file__).parent / "dags"

# How many dialogs the DAG keep_for_many types in.
MANY = 30

# What befalls the signals of keep_for_shaky.
TROUBLES = ("html_502", "reset", "json_500", "query_limit")

# How many deals the portal ``loads`` has.
LOADED = 900

# Of the webhook and the bot in every portal.
OWNER, BOT = 1, 101

# After how many seconds a method of the portal ``tight`` is taken again.
METHOD_RESETS = 150

# A run starts processes; two cores start a dozen at once so slowly that times say nothing any more.
STAGGER_SECONDS = 1.0


@dataclass(frozen=True)
class Scene:
    """A run, and the dialog that is its own."""

    run: Run
    portal: FakePortal
    dialog: str

    @property
    def signals(self) -> list[float]:
        """When the portal took the typing signals, in seconds since the epoch."""
        return [signal.time for signal in self.portal.signals(self.dialog)]

    def wait_for_signals(self, count: int) -> None:
        """Wait until there are so many in all."""
        until(lambda: len(self.signals) >= count, f"{count} signals of {self.run!r}", 60, self.run.describe)


class Stage:
    """Airflow and its portals.

    ``portal`` is the one that ``bitrix24_default`` and most other connections lead to; ``shaky`` is for
    faults, which befall whoever calls, and ``trouble`` for those of one run; ``busy`` limits its requests as a
    portal in the cloud does; ``telltale`` repeats what it is told; ``ruin`` is that of ``chaos``, of which
    tools/chaos.py makes more; ``tokens`` is for applications, whose tokens expire there; ``loads`` has what is loaded
    into ``warehouse``. ``metrics`` is where Airflow's own go.

    :param warehouse: the fields of a connection to a database, if there is one.
    """

    def __init__(self, home: Path, warehouse: Mapping[str, Any] | None = None) -> None:
        self.portal = FakePortal(seed_deals=40)
        self.shaky = FakePortal()
        self.trouble = FakePortal()
        self.busy = FakePortal(bucket=(50, 2.0))
        self.telltale = Telltale()
        self._behind = 0.0
        self.tight = FakePortal(operating_limit=480.0, clock=lambda: time.time() - self._behind)
        self.ruin = FakePortal()
        self.chaos = Chaos(self.ruin, len(SHORT), seed=7, kinds=SHORT)
        self.tokens = FakePortal()
        self.loads = FakePortal()
        self.loads.add_deals(LOADED)
        self._warehouse = warehouse
        self.metrics = Metrics()
        self._home = home
        self._started = 0.0
        self._staggering = threading.Lock()

    def connections(self) -> dict[str, Mapping[str, Any]]:
        """What Airflow has in its environment; others are in its database."""
        names = ("tokens_task", "tokens_trigger", "tokens_callback", "tokens_stored")
        self.applications = {name: self.tokens.oauth_connection() for name in names}
        self.unauthorised = self.tokens.oauth_connection(authorised=False)
        with FakePortal() as gone:
            dead = gone.connection()
        self.dead_code = dead["password"]
        return {
            "bitrix24_default": self.portal.connection(),
            "by_url": {"conn_type": "bitrix24", "password": self.portal.webhook_url, "extra": {"plan": "unlimited"}},
            "oauth": self.portal.oauth_connection(),
            "bot": self.portal.bot_connection(),
            "shaky": self.shaky.connection(),
            "trouble": self.trouble.connection(),
            "busy": self.busy.connection(),
            "tight": self.tight.connection(),
            "dead": dead,
            # Airflow 3.2 does not know that this one is secret, and would keep it in its audit log.
            "telltale_limiter": self.telltale.connections["telltale_limiter"],
            **self.chaos.connections(),
            **{name: fields for name, fields in self.applications.items() if name != "tokens_stored"},
            "tokens_none": self.unauthorised,
            "loads": self.loads.connection(),
            **({"warehouse": self._warehouse} if self._warehouse else {}),
        }

    def start(self, stack: ExitStack) -> None:
        """Start everything; it stops with the stack."""
        for portal in (
            self.portal,
            self.shaky,
            self.trouble,
            self.busy,
            self.tight,
            self.ruin,
            self.tokens,
            self.loads,
        ):
            stack.enter_context(portal)
        self.telltale.start(stack)
        stack.callback(self.metrics.close)
        self.airflow = Airflow(self._home, DAGS, self.connections(), self.metrics.settings())
        # DAG files that do harm share the way to do it with other tests.
        self.airflow.environ |= {**self.chaos.environ(), "PYTHONPATH": str(DAGS.parents[2])}
        # It hears of all tasks, and does something for those that have a mark.
        self.airflow.environ["AIRFLOW__BITRIX24__LISTENER"] = "True"
        stack.callback(self._stop_airflow)
        self.airflow.start()
        stored = {"stored": self.portal.bot_connection(), **self.telltale.connections}
        stored["tokens_stored"] = self.applications["tokens_stored"]
        del stored["telltale_limiter"]
        for conn_id, connection in stored.items():
            self.airflow.store_connection(conn_id, connection)
        # The first task and the first trigger load what the others find loaded.
        assert self.play("warm_up").run.wait() == "success", self.airflow.output()

    def play(self, dag_id: str, *, portal: FakePortal | None = None, **conf: Any) -> Scene:
        """Start a run with a dialog of its own."""
        portal = portal or self.portal
        with self._staggering:
            time.sleep(max(0.0, self._started + STAGGER_SECONDS - time.monotonic()))
            self._started = time.monotonic()
        dialog = conf.pop("dialog", None) or portal.add_chat(dag_id, members=(OWNER, BOT))
        return Scene(self.airflow.client.trigger(dag_id, dialog=dialog, **conf), portal, dialog)

    def play_long_runs(self) -> dict[str, Scene]:
        """Start what takes a while, and go on when all of it waits in the triggerer."""
        for number in range(MANY):
            self.busy.add_chat(f"Team {number}")
        self._nearly_use_up("im.message.add")
        scenes = {
            "used_up": self.play("used_up", portal=self.tight),
            "keep_for": self.play("keep_for"),
            "keep_for_shaky": self.play("keep_for_shaky", portal=self.trouble, connection="trouble"),
            "keep_for_many": self.play("keep_for_many", portal=self.busy, dialog="chat2951"),
        }
        for dag_id in ("keep_for", "keep_for_shaky"):
            scenes[dag_id].run.wait_for("typing", "deferred")
        for kind in TROUBLES:
            self.trouble.faults.add(Fault(kind, method="im.dialog.writing"))
        return scenes

    def play_restarts(self, long_runs: Mapping[str, Scene]) -> dict[str, Scene]:
        """Start two runs that survive a killed and a stopped triggerer; go on when there is a third one.

        :param long_runs: what signals, too, and is to know nothing of it.
        """
        for dag_id, scene in long_runs.items():
            if dag_id != "used_up":
                scene.run.wait()
        triggerer = self.airflow.components["triggerer"]
        scenes = {dag_id: self.play(dag_id) for dag_id in ("keep_for_restarted", "beside_restarted")}
        for number in (signal.SIGKILL, signal.SIGTERM):
            seen = {dag_id: len(scene.signals) for dag_id, scene in scenes.items()}
            for dag_id, scene in scenes.items():
                scene.run.wait_for("typing", "deferred")
                scene.wait_for_signals(seen[dag_id] + 3)
            triggerer.stop(number)
            triggerer.start()
        until(lambda: self.airflow.client.get("monitor/health")["triggerer"]["status"] == "healthy", "it", 30)
        return scenes

    def play_telltale(self) -> Scene:
        """Start the run in which everything is refused, with one kind of credential or another."""
        self.telltale.refuse()
        failing = "telltale_application_to_be_renewed"
        return self.play(
            "telltale",
            portal=self.telltale.portal,
            connections=[name for name in self.telltale.connections if name != failing],
            failing=failing,
            typing="telltale_bot",
        )

    def _nearly_use_up(self, method: str) -> None:
        """Leave 10 s of a method's execution time, and let the next call take more."""
        caller = self.tight.access.by_webhook(str(OWNER), self.tight.access.webhook_code)
        self._behind = 600.0 - METHOD_RESETS
        self.tight.operating.spend(caller.app, method, 470.0)
        self._behind = 0.0
        self.tight.costs[method] = 20.0

    def _stop_airflow(self) -> None:
        # The scheduler would wait for tasks that a failed test has left at work.
        with suppress(requests.ConnectionError):
            for run in self.airflow.client.running():
                run.mark_run("failed")
        left = self.airflow.stop()
        assert not left, f"still running after Airflow was stopped: {left}"
