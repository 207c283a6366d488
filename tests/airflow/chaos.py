"""Posting while everything breaks: trials on a real Airflow, counted in the portal's chat.

A trial is a task that posts one or two messages. Its process is killed at one of its steps, or a fault befalls the
request that posts, or both; and the task is tried again. However that goes, a task that ends well must have
posted each of its messages once.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_b24.testing import FakePortal, Fault
from tests.airflow.client import Run

OWNER, BOT = 1, 101
DIALOGS = 8
UNKNOWN = "whether it was posted is not known"
METHODS = {False: "im.message.add", True: "imbot.v2.Chat.Message.send"}
# A client gives an answer up after TIMEOUT; what takes effect later than LONGEST after it was sent is not looked for.
# Two cores that start a dozen processes at once keep requests waiting.
TIMEOUT, LONGEST = 3.0, 8.0
CONNECTION = {"timeout": TIMEOUT, "longest_request": LONGEST, "plan": "unlimited"}

# The step of a try that sends the message; a report asks for what is known of it before, and for two messages
# every step comes twice.
SEND = {"operator": 8, "deferred": 8, "plain": 8, "report": 11}
MOST_STEPS = 14


@dataclass(frozen=True)
class Kind:
    """What goes wrong.

    :ivar fault: what befalls the request that posts.
    :ivar kills: on the first tries: how many steps after the one that sends the process is killed (None: at any
        step), whether that step was carried out, and the seconds that it is given.
    """

    name: str
    fault: Mapping[str, Any] | None = None
    kills: tuple[tuple[int | None, bool, float], ...] = ()


def _fault(kind: str, **more: Any) -> Mapping[str, Any]:
    return {"kind": kind, **more}


KINDS = (
    Kind("killed at any step", kills=((None, False, 0.0),)),
    Kind("killed at any step, whose outcome is lost", kills=((None, True, 0.0),)),
    Kind("killed before the intent is kept", kills=((-1, False, 0.0),)),
    Kind("killed between intent and send", kills=((0, False, 0.0),)),
    Kind("killed while the portal computes", _fault("slow", seconds=1.0), ((0, False, 0.4),)),
    Kind("killed after the effect, before the answer is kept", kills=((0, True, 0.0),)),
    Kind("killed when the id is kept", kills=((1, True, 0.0),)),
    Kind("killed on two tries", kills=((None, False, 0.0), (None, True, 0.0))),
    Kind("connection dropped before the effect", _fault("reset")),
    Kind("connection dropped after the effect", _fault("reset", after_effect=True)),
    Kind("connection dropped after the effect, then killed", _fault("reset", after_effect=True), ((2, False, 0.0),)),
    Kind("no answer, no effect", _fault("timeout", seconds=TIMEOUT + 1)),
    Kind("no answer", _fault("timeout", seconds=TIMEOUT + 1, after_effect=True)),
    Kind("half a second later than the time-out", _fault("slow", seconds=TIMEOUT + 0.5)),
    Kind("half a second later than the time-out, killed", _fault("slow", seconds=TIMEOUT + 0.5), ((2, True, 0.0),)),
    Kind("500 JSON before the effect", _fault("json_500")),
    Kind("500 JSON after the effect", _fault("json_500", after_effect=True)),
    Kind("502 HTML before the effect", _fault("html_502")),
    Kind("502 HTML after the effect", _fault("html_502", after_effect=True)),
    Kind("truncated JSON before the effect", _fault("truncated_json")),
    Kind("truncated JSON after the effect", _fault("truncated_json", after_effect=True)),
    Kind("refused for now", _fault("query_limit")),
)  # fmt: skip

# The worst of them, for the tests.
SHORT = tuple(
    kind
    for kind in KINDS
    if kind.name
    in {
        "killed at any step",
        "killed between intent and send",
        "killed while the portal computes",
        "killed after the effect, before the answer is kept",
        "killed on two tries",
        "connection dropped before the effect",
        "connection dropped after the effect, then killed",
        "half a second later than the time-out",
        "500 JSON after the effect",
        "502 HTML before the effect",
        "truncated JSON after the effect",
        "refused for now",
    }
)

# Where killing is of no use because nobody counts the steps.
WAYS = ("operator", "report", "plain", "deferred", "unhurried")


@dataclass(frozen=True)
class Trial:
    """A task of a run, which posts messages that no other posts.

    :ivar index: of the mapped task ``way``.
    """

    kind: Kind
    way: str
    index: int
    as_bot: bool
    dialog_id: str
    messages: tuple[str, ...]
    kills: tuple[Mapping[str, Any], ...]

    def arguments(self) -> dict[str, Any]:
        """What its task is given."""
        given: dict[str, Any] = {
            "dialog_id": self.dialog_id,
            "bitrix24_conn_id": "chaos_bot" if self.as_bot else "chaos",
            "as_bot": self.as_bot,
            "kills": list(self.kills),
            "kind": self.kind.name,
        }
        if self.way in ("plain", "unhurried"):
            return given | {"messages": list(self.messages)}
        return given | {"message": self.messages[0]}


@dataclass
class Verdict:
    """What came of the trials.

    :ivar lost: a task ended well, and a message of it is not there.
    :ivar twice: a message is there more than once.
    :ivar wrong: a task ended well with another id than that of its message.
    :ivar unknown: a task failed with the words that it is not known.
    :ivar failed: a task failed otherwise, with how often each of its messages is there.
    """

    trials: int = 0
    messages: int = 0
    kills: int = 0
    faults: int = 0
    tries: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Nothing lost, nothing twice."""
        return not (self.lost or self.twice or self.wrong)


class Chaos:
    """Trials in one run of the DAG ``chaos``.

    :param portal: what they post to; it runs.
    :param kinds: what goes wrong, in turn.
    :param count: how many trials.
    :param seed: of who posts where, and is killed when.
    """

    def __init__(self, portal: FakePortal, count: int, seed: int, kinds: Sequence[Kind] = KINDS) -> None:
        self.portal = portal
        self._random = random.Random(seed)
        self._dialogs = [portal.add_chat(f"Chaos {number}", members=(OWNER, BOT)) for number in range(DIALOGS)]
        self._taken: Counter[str] = Counter()
        self.trials = [self._trial(number, kinds[number % len(kinds)]) for number in range(count)]
        self._faults = [fault for trial in self.trials for fault in self._order(trial)]

    def environ(self) -> dict[str, str]:
        """What Airflow is started with."""
        hands: dict[str, list[Any]] = {way: [] for way in WAYS}
        for trial in self.trials:
            hands[trial.way].append(trial.arguments())
        return {"B24_CHAOS_TRIALS": json.dumps(hands)}

    def connections(self) -> dict[str, dict[str, Any]]:
        """What leads to the portal."""
        found = {"chaos": self.portal.connection(), "chaos_bot": self.portal.bot_connection()}
        return {name: {**fields, "extra": {**fields["extra"], **CONNECTION}} for name, fields in found.items()}

    def judge(self, run: Run, kills: Path) -> Verdict:
        """Count, after the end.

        :param kills: the file in which every kill was noted.
        """
        posted = Counter[str]()
        ids: dict[str, int] = {}
        for dialog in self._dialogs:
            for message in self.portal.messages(dialog):
                posted[message.text] += 1
                ids[message.text] = message.id
        tasks = {(task.task_id, task.map_index): task for task in run.tasks()}
        verdict = Verdict(
            len(self.trials),
            sum(len(trial.messages) for trial in self.trials),
            len(kills.read_text().splitlines()) if kills.exists() else 0,
            sum(fault.hits for fault in self._faults),
        )
        for trial in self.trials:
            task = tasks[trial.way, trial.index]
            verdict.tries += task.try_number
            name = f"{trial.messages[0].splitlines()[0]} ({trial.kind.name}, {trial.way}, try {task.try_number})"
            ended_well = task.state == "success"
            if any(posted[text] > 1 for text in trial.messages):
                verdict.twice.append(name)
            if ended_well and any(not posted[text] for text in trial.messages):
                verdict.lost.append(name)
            elif ended_well:
                returned = run.xcom(trial.way, trial.index)
                returned = returned if isinstance(returned, list) else [returned]
                if [ids[text] for text in trial.messages] != returned:
                    verdict.wrong.append(name)
            else:
                unknown = UNKNOWN in run.log(trial.way, task.try_number, trial.index)
                seen = f"{name}, posted {[posted[text] for text in trial.messages]}"
                (verdict.unknown if unknown else verdict.failed).append(seen)
        return verdict

    def _trial(self, number: int, kind: Kind) -> Trial:
        source = self._random
        ways = [way for way in WAYS if way != "unhurried" or not kind.kills]
        way = ways[(number + number // len(KINDS)) % len(ways)]
        as_bot = way != "report" and source.random() < 0.4
        index = self._taken[way]
        self._taken[way] += 1
        texts = [f"Trial {number}: 5 < 6 & [b]done[/b]\n«total»"]
        if way in ("plain", "unhurried"):
            texts.append(f"Trial {number}, details")
        kills = tuple(self._kill(way, *kill) for kill in kind.kills)
        return Trial(kind, way, index, as_bot, source.choice(self._dialogs), tuple(texts), kills)

    def _kill(self, way: str, step: int | None, after: bool, delay: float) -> Mapping[str, Any]:
        at = self._random.randrange(MOST_STEPS) if step is None else SEND[way] + step
        return {"step": at, "after": after, "delay": delay}

    def _order(self, trial: Trial) -> Iterable[Fault]:
        if trial.kind.fault is None:
            return
        number = trial.messages[0].partition(":")[0]
        yield self.portal.faults.add(
            Fault(**trial.kind.fault, method=METHODS[trial.as_bot], contains=f"{number}:", times=1)
        )
