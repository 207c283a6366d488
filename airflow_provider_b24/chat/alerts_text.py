"""What alerts say, in English and Russian."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from airflow_provider_b24.chat.alerts import Event
from airflow_provider_b24.chat.run_message import spell_duration
from airflow_provider_b24.chat.text import escape

# All of these are characters that any portal's database can keep.
SIGNS = {"info": "ℹ", "warning": "⚠", "error": "❌", "critical": "⛔"}
_WELL = "✅"

_LONGEST_LINE = 250
# How many failed tasks of a run are named, in the message and in one line.
_MOST_NAMED, _MOST_IN_A_LINE = 10, 3

_WORDS: dict[str, dict[str, str]] = {
    "en": {
        "failure": "Task failed: {}",
        "retry": "Task failed and is tried again: {}",
        "success": "Task succeeded: {}",
        "skipped": "Task skipped: {}",
        "running": "Task started: {}",
        "dag_failure": "DAG failed: {}",
        "dag_success": "DAG succeeded: {}",
        "deadline": "Deadline missed: {}",
        "decision": "A decision is needed: {}",
        "recovered": "Recovered: {}",
        "try": "try {} of {}",
        "try_only": "try {}",
        "run": "run {}",
        "due": "due at {}, {} ago",
        "options": "Options: {}",
        "reason": "Reason: {}",
        "task_failure": "a task failed",
        "timed_out": "it took too long",
        "all_tasks_deadlocked": "its tasks wait for each other",
        "count": "×{}, last at {}",
        "tasks": "Failed tasks: {}",
        "more": "and {} more",
        "held": "Held back in the quiet hours {}: {}",
        "unsent": "Could not be told in time: {}",
        "log": "Log",
        "run_link": "Run",
        "decide": "Decide",
    },
    "ru": {
        "failure": "Сбой задачи: {}",
        "retry": "Сбой задачи, будет новая попытка: {}",
        "success": "Задача выполнена: {}",
        "skipped": "Задача пропущена: {}",
        "running": "Задача началась: {}",
        "dag_failure": "Сбой DAG: {}",
        "dag_success": "DAG выполнен: {}",
        "deadline": "Срок нарушен: {}",
        "decision": "Нужно решение: {}",
        "recovered": "Снова работает: {}",
        "try": "попытка {} из {}",
        "try_only": "попытка {}",
        "run": "запуск {}",
        "due": "срок {}, {} назад",
        "options": "Варианты: {}",
        "reason": "Причина: {}",
        "task_failure": "сбой задачи",
        "timed_out": "превышено время выполнения",
        "all_tasks_deadlocked": "задачи ждут друг друга",
        "count": "×{}, последний раз в {}",
        "tasks": "Задач со сбоем: {}",
        "more": "и ещё {}",
        "held": "Задержано в тихие часы {}: {}",
        "unsent": "Не удалось сообщить вовремя: {}",
        "log": "Журнал",
        "run_link": "Запуск",
        "decide": "Решить",
    },
}
LANGUAGES = tuple(_WORDS)


@dataclass(frozen=True)
class Wording:
    """How alerts are worded.

    :ivar zone: of the times in them.
    :ivar severity: see :class:`~.alerts.Rules`.
    :ivar title: instead of the first line; with BBCode.
    :ivar message: instead of what comes below.
    :ivar footer: instead of the links.
    """

    language: str = "en"
    zone: dt.tzinfo = dt.timezone.utc
    severity: str | None = None
    title: str | None = None
    message: str | None = None
    footer: str | None = None

    def alert(
        self, event: Event, *, count: str = "1", last: float = 0.0, lines: Sequence[str] = (), total: int = 0
    ) -> str:
        """The whole message.

        :param count: how often it happened.
        :param last: when it happened last (epoch seconds).
        :param lines: of the tasks that failed in a run.
        :param total: how many there were in all.
        """
        sign = SIGNS["warning" if event.kind == "dag_success" and total else event.severity(self.severity)]
        sign = _WELL if event.kind in ("success", "dag_success") and not total else sign
        parts = [
            f"{sign} [B]{self._word(event.kind).format(escape(event.name))}[/B]" if self.title is None else self.title,
            "\n".join(self._details(event)) if self.message is None else self.message,
        ]
        named = self._named(event, lines)
        if total or named:
            more = total + len(named)
            found = [*lines, *named[:_MOST_NAMED]]
            parts.append("\n".join([self._word("tasks").format(more), *self._lines(found, more)]))
        parts.append(self._links(event) if self.footer is None else self.footer)
        if count != "1":
            parts.append(self._word("count").format(count, self._clock(last)))
        return "\n".join(part for part in parts if part.strip())

    def recovered(self, event: Event) -> str:
        """That it succeeds again."""
        parts = [f"{_WELL} [B]{self._word('recovered').format(escape(event.name))}[/B]", self._where(event)]
        return "\n".join(part for part in (*parts, self._links(event)) if part)

    def held(self, hours: object, lines: Sequence[str], total: int) -> str:
        """What quiet hours have held back; without hours, what the portal was not there for."""
        words = self._word("held").format(hours, total) if hours else self._word("unsent").format(total)
        title = f"{SIGNS['info']} [B]{words}[/B]"
        return "\n".join([title, *self._lines(lines, total)])

    def line(self, event: Event, *, well: bool = False, timed: bool = False) -> str:
        """The alert in one line, for a summary.

        :param well: that it succeeds again.
        :param timed: with the time.
        """
        kind = "recovered" if well else event.kind
        words = self._word(kind).format(escape(event.name))
        cause = event.error or escape(event.subject) or self._reason(event)
        names = [escape(name) for name, _ in event.failed]
        named = ", ".join([*names[:_MOST_IN_A_LINE], *(["…"] if len(names) > _MOST_IN_A_LINE else [])])
        text = " — ".join(part for part in (words, cause, named) if part)
        text = text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]}…"
        link = self._link(event.log_url or event.run_url, "log" if event.log_url else "run_link")
        sign = _WELL if well else SIGNS[event.severity(self.severity)]
        return " ".join(part for part in (self._clock(event.at) if timed else "", sign, text, link) if part)

    def stable(self, event: Event) -> list[str]:
        """The lines by which the message is recognised: those that are the same whenever it is made."""
        return [line for line in self.alert(event).split("\n") if event.due is None or self._due(event) not in line]

    def _details(self, event: Event) -> list[str]:
        found = []
        if event.kind == "decision":
            found += [escape(event.subject), event.body]
            found.append(self._word("options").format(escape(", ".join(event.options))) if event.options else "")
        if event.error:
            found.append(event.error)
        if reason := self._reason(event):
            found.append(self._word("reason").format(reason))
        if event.due is not None:
            found.append(self._due(event))
        found.append(self._where(event))
        return [line for line in found if line.strip()]

    def _named(self, event: Event, lines: Sequence[str]) -> list[str]:
        """The failed tasks of a run, without those that have told it in lines of their own."""
        told = "\n".join(f"{line} " for line in lines)
        found = []
        for name, log_url in event.failed:
            if f" {escape(f'{event.dag_id}.{name}')} " not in told:
                found.append(" ".join(part for part in ("•", escape(name), self._link(log_url, "log")) if part))
        return found

    def _where(self, event: Event) -> str:
        parts = []
        if event.try_number and event.kind not in ("decision", "running"):
            known = event.tries >= event.try_number
            word = self._word("try").format(event.try_number, event.tries)
            parts.append(word if known else self._word("try_only").format(event.try_number))
        if event.seconds is not None:
            parts.append(spell_duration(event.seconds, self.language))
        if event.run_id:
            parts.append(self._word("run").format(escape(event.run_id)))
        return " · ".join(parts)

    def _reason(self, event: Event) -> str:
        if event.kind != "dag_failure" or not event.reason:
            return ""
        return _WORDS[self.language].get(event.reason) or escape(event.reason)

    def _due(self, event: Event) -> str:
        assert event.due is not None
        moment = dt.datetime.fromtimestamp(event.due, self.zone).strftime("%Y-%m-%d %H:%M:%S")
        return self._word("due").format(moment, spell_duration(max(0.0, event.at - event.due), self.language))

    def _links(self, event: Event) -> str:
        word = "decide" if event.kind == "decision" else "log"
        links = (self._link(event.log_url, word), self._link(event.run_url, "run_link"))
        return " · ".join(link for link in links if link)

    def _link(self, url: str, word: str) -> str:
        # What would end the tag is no part of an address as it is written.
        return f"[URL={quote(url, safe=':/?#@!$&()*+,;=%~')}]{self._word(word)}[/URL]" if url else ""

    def _lines(self, lines: Sequence[str], total: int) -> list[str]:
        more = total - len(lines)
        return [*lines, *([self._word("more").format(more)] if more > 0 else [])]

    def _clock(self, at: float) -> str:
        return dt.datetime.fromtimestamp(at, self.zone).strftime("%H:%M")

    def _word(self, name: str) -> str:
        return _WORDS[self.language][name]
