"""What a message about a DAG run shows: from what is known of the run to BBCode, in English or Russian. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_b24.chat.text import escape
from airflow_provider_b24.rest.errors import ConfigurationError

STATES = ("queued", "running", "success", "failed")
# The parts of the message, in the order of its lines.
PARTS = ("title", "bar", "text", "failure", "footer")

FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed"})
_AT_WORK = frozenset({"running", "deferred", "up_for_reschedule", "awaiting_input"})
_TO_BEGIN = frozenset({"scheduled", "queued", "up_for_retry", "restarting"})

_BAR = 10
# How many names of tasks, and how many failures, are shown.
_MOST_NAMES, _MOST_FAILURES = 5, 3

_ICONS = {"queued": "🕓", "running": "▶️", "success": "✅", "failed": "❌"}
_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "queued": "[b]{dag}[/b] is queued",
        "running": "[b]{dag}[/b] is running",
        "success": "[b]{dag}[/b] is done in {duration}",
        "failed": "[b]{dag}[/b] failed after {duration}",
        "success, no duration": "[b]{dag}[/b] is done",
        "failed, no duration": "[b]{dag}[/b] failed",
        "tasks": "{done} of {tasks} tasks",
        "task": "{done} of {tasks} task",
        "now": "now: {names}",
        "waiting": "waiting",
        "waiting for": "waiting for {names}",
        "more": "and {number} more",
        "skipped": "{number} skipped",
        "again": "{task}: try {number} of {of} failed",
        "final": "{task} failed (try {number} of {of})",
        "final, no tries": "{task} failed",
        "timed_out": "timed out",
        "all_tasks_deadlocked": "no task could run",
        "log": "log",
        "s": "{} s", "min": "{} min", "h": "{} h", "d": "{} d",
    },
    "ru": {
        "queued": "[b]{dag}[/b] в очереди",
        "running": "[b]{dag}[/b] выполняется",
        "success": "[b]{dag}[/b]: готово за {duration}",
        "failed": "[b]{dag}[/b]: ошибка через {duration}",
        "success, no duration": "[b]{dag}[/b]: готово",
        "failed, no duration": "[b]{dag}[/b]: ошибка",
        "tasks": "{done} из {tasks} задач",
        "task": "{done} из {tasks} задачи",
        "now": "сейчас: {names}",
        "waiting": "ожидание",
        "waiting for": "ожидание: {names}",
        "more": "и ещё {number}",
        "skipped": "пропущено: {number}",
        "again": "{task}: попытка {number} из {of} не удалась",
        "final": "{task}: ошибка (попытка {number} из {of})",
        "final, no tries": "{task}: ошибка",
        "timed_out": "время вышло",
        "all_tasks_deadlocked": "ни одна задача не могла начаться",
        "log": "журнал",
        "s": "{} с", "min": "{} мин", "h": "{} ч", "d": "{} д",
    },
}  # fmt: skip
LANGUAGES = tuple(_WORDS)


@dataclass(frozen=True)
class Failure:
    """A task that failed.

    :ivar task: its name, with the map index of a mapped one.
    :ivar error: what went wrong, in one line that is fit for a message.
    :ivar try_number: which try failed; 0 where that is not known.
    :ivar tries: how many there are.
    :ivar again: whether it will be tried again.
    :ivar log_url: where its log is.
    """

    task: str
    error: str = ""
    try_number: int = 0
    tries: int = 0
    again: bool = False
    log_url: str = ""


@dataclass(frozen=True)
class Tasks:
    """How the tasks of a run stand.

    :ivar total: how many instances there are; a mapped task that is not expanded yet is one.
    :ivar done: how many have finished, however they ended.
    :ivar skipped: how many of those were skipped.
    :ivar current: which are at work now, the parts of a mapped task together.
    :ivar waiting: which are to begin next, as far as that is decided; likewise.
    """

    total: int = 0
    done: int = 0
    skipped: int = 0
    current: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()

    @classmethod
    def of(cls, states: Mapping[str, str | None], task_ids: Iterable[str] = ()) -> Tasks:
        """Sum up what Airflow says: state by task id, and by ``<task id>_<map index>`` for mapped tasks.

        :param task_ids: the tasks of the DAG, to tell a part of ``load`` from a task that is called ``load_1``.
        """
        known = set(task_ids)
        seen = {key: str(state) if state is not None else "" for key, state in states.items() if state != "removed"}

        def named(those: frozenset[str]) -> tuple[str, ...]:
            names: dict[str, int] = {}
            for key, state in seen.items():
                if state in those:
                    head, _, number = key.rpartition("_")
                    name = head if key not in known and number.isdecimal() and head in known else key
                    names[name] = names.get(name, 0) + 1
            return tuple(name if number == 1 else f"{name} ×{number}" for name, number in names.items())

        return cls(
            len(seen),
            sum(state in FINISHED for state in seen.values()),
            sum(state == "skipped" for state in seen.values()),
            named(_AT_WORK),
            named(_TO_BEGIN),
        )


@dataclass(frozen=True)
class RunView:
    """What is known of a run.

    :ivar state: one of :data:`STATES`.
    :ivar progress: 0 to 1, as somebody has told it. Default: the tasks that have finished, of all.
    :ivar text: a line or more of the DAG's author, with BBCode.
    :ivar duration: how long it took, in seconds.
    :ivar ended: when it ended (epoch seconds), where that is to be shown.
    :ivar url: where the run is shown.
    :ivar reason: why it ended so, in Airflow's words, such as ``timed_out``.
    """

    dag_id: str
    run_id: str
    state: str
    tasks: Tasks = Tasks()
    progress: float | None = None
    text: str = ""
    failures: tuple[Failure, ...] = ()
    duration: float | None = None
    ended: float | None = None
    url: str = ""
    reason: str = ""


def check_language(language: object) -> str:
    """The language, if there is one of this name.

    :raises ConfigurationError: otherwise.
    """
    if language not in LANGUAGES:
        raise ConfigurationError(f"language is {language!r}", advice=f"It is one of {', '.join(LANGUAGES)}.")
    return str(language)


def values(view: RunView, language: str = "en") -> dict[str, Any]:
    """What a template may show; all that is not the DAG author's own is escaped.

    ``state``, ``reason``, ``dag``, ``run``, ``url``, ``done``, ``total``, ``skipped``, ``tasks`` (the names of those at
    work), ``waiting`` (of those to begin next), ``progress`` (0 to 1, or None), ``percent``, ``bar``, ``text``,
    ``duration``, ``failures`` (each with ``task``, ``error``, ``try_number``, ``tries``, ``again``, ``log_url``).
    """
    share = _share(view)
    return {
        "state": view.state,
        "reason": escape(view.reason),
        "dag": escape(view.dag_id),
        "run": escape(view.run_id),
        "url": view.url,
        "done": view.tasks.done,
        "total": view.tasks.total,
        "skipped": view.tasks.skipped,
        "tasks": _names(view.tasks.current, language),
        "waiting": _names(view.tasks.waiting, language),
        "progress": share,
        "percent": None if share is None else math.floor(100 * share + 1e-9),
        "bar": "" if share is None else bar(share),
        "text": view.text,
        "duration": "" if view.duration is None else spell_duration(view.duration, language),
        "failures": [{**vars(one), "task": escape(one.task), "error": escape(one.error)} for one in view.failures],
    }


def parts(view: RunView, language: str = "en") -> dict[str, str]:
    """The parts of the message as they are without templates; empty where there is nothing to say."""
    return {
        "title": _title(view, language),
        "bar": _bar_line(view, language),
        "text": view.text,
        "failure": "\n".join(_failure(one, language) for one in view.failures[:_MOST_FAILURES]),
        "footer": _footer(view),
    }


def put_together(shown: Mapping[str, str]) -> str:
    """The text of the message from its parts."""
    return "\n".join(text for name in PARTS if (text := shown.get(name, "").strip("\n")))


def bar(share: float) -> str:
    """A progress bar in text: ``▰▰▰▰▱▱▱▱▱▱ 40 %``. It is full only where nothing is left."""
    full = math.floor(_BAR * share + 1e-9)
    return f"{'▰' * full}{'▱' * (_BAR - full)} {math.floor(100 * share + 1e-9)} %"


def spell_duration(seconds: float, language: str = "en") -> str:
    """A duration for people: ``3 min 12 s``, ``2 h 5 min``, ``1 d 3 h``."""
    words = _WORDS[language]
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    named = [("d", days), ("h", hours), ("min", minutes), ("s", rest)]
    while len(named) > 1 and not named[0][1]:
        del named[0]
    return " ".join(words[unit].format(number) for unit, number in named[:2] if number or len(named) == 1)


def _title(view: RunView, language: str) -> str:
    words = _WORDS[language]
    known = view.state in ("queued", "running") or view.duration is not None
    duration = "" if view.duration is None else spell_duration(view.duration, language)
    phrase = words[view.state if known else f"{view.state}, no duration"]
    title = f"{_ICONS[view.state]} {phrase.format(dag=escape(view.dag_id), duration=duration)}"
    # That a task has failed is said of the task.
    why = words.get(view.reason) if view.state == "failed" else None
    return f"{title} ({why})" if why else title


def _bar_line(view: RunView, language: str) -> str:
    words, tasks = _WORDS[language], view.tasks
    share = _share(view)
    said = []
    if share is not None and view.state != "success":
        said.append(bar(share))
    if tasks.total:
        one = tasks.total == 1 if language == "en" else tasks.total % 10 == 1 and tasks.total % 100 != 11
        said.append(words["task" if one else "tasks"].format(done=tasks.done, tasks=tasks.total))
    if tasks.skipped:
        said.append(words["skipped"].format(number=tasks.skipped))
    if view.state == "running" and tasks.current:
        said.append(words["now"].format(names=_names(tasks.current, language)))
    elif view.state == "running" and tasks.done < tasks.total:
        said.append(words["waiting for" if tasks.waiting else "waiting"].format(names=_names(tasks.waiting, language)))
    return " · ".join(said)


def _names(tasks: Sequence[str], language: str) -> str:
    names = [escape(name) for name in tasks[:_MOST_NAMES]]
    left = len(tasks) - len(names)
    return ", ".join([*names, *([_WORDS[language]["more"].format(number=left)] if left else [])])


def _failure(failure: Failure, language: str) -> str:
    words = _WORDS[language]
    phrase = "again" if failure.again else "final" if failure.try_number and failure.tries else "final, no tries"
    said = words[phrase].format(task=f"[b]{escape(failure.task)}[/b]", number=failure.try_number, of=failure.tries)
    text = f"{'🔁' if failure.again else '⚠️'} {said}"
    if failure.error:
        text += f": {escape(failure.error)}"
    if failure.log_url:
        text += f" · [url={failure.log_url}]{words['log']}[/url]"
    return text


def _footer(view: RunView) -> str:
    said = []
    if view.url:
        said.append(f"[url={view.url}]{escape(view.run_id)}[/url]")
    elif view.run_id:
        said.append(escape(view.run_id))
    if view.ended is not None:
        # The message shows when it was posted; this, in the zone of who reads it, when the run ended.
        said.append(f"[timestamp={round(view.ended)} format=SHORT_TIME_FORMAT]")
    return " · ".join(said)


def _share(view: RunView) -> float | None:
    if view.state == "success":
        return 1.0
    if view.progress is not None:
        return min(1.0, max(0.0, view.progress))
    return view.tasks.done / view.tasks.total if view.tasks.total else None
