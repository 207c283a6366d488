"""What is decided about events, and what alerts say."""

from __future__ import annotations

import datetime as dt
import heapq
from dataclasses import replace
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_b24.chat import alerts
from airflow_provider_b24.chat.alerts import MOST_EVENTS, Event, Quiet, Record, Rules
from airflow_provider_b24.chat.alerts_desk import merge
from airflow_provider_b24.chat.alerts_text import Wording
from airflow_provider_b24.rest.steps import Ask, Wait
from tests.unit.rest.clocks import FakeClock

BERLIN = ZoneInfo("Europe/Berlin")
RULES = Rules()
FAILED = Event(
    kind="failure",
    dag_id="sales",
    run_id="scheduled__2026-05-04T00:00",
    task_id="load",
    map_index=7,
    try_number=3,
    tries=3,
    began=1000.0,
    at=1_777_896_012.0,
    seconds=75.4,
    error="ValueError: row 17",
    log_url="https://airflow.example.com/dags/sales/runs/a/tasks/load",
    run_url="https://airflow.example.com/dags/sales/runs/a",
)


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True),
        ({"at": 5.0, "error": "other", "seconds": 1.0}, True),
        ({"try_number": 4}, False),
        ({"map_index": 8}, False),
        ({"run_id": "other"}, False),
        ({"task_id": "other"}, False),
        ({"dag_id": "other"}, False),
        ({"kind": "retry"}, False),
        ({"life": "1"}, False),
    ],
    ids=str,
)
def test_what_makes_two_callbacks_one_event(changed, same):
    assert (replace(FAILED, **changed).key == FAILED.key) is same


@pytest.mark.parametrize(
    ("error", "same"),
    [
        ("ValueError: row 4711", True),
        ("KeyError: row 17", False),
        ("ValueError: column 17", False),
        ("", False),
    ],
)
def test_what_makes_two_failures_the_same(error, same):
    other = replace(FAILED, error=error, run_id="other", map_index=1, try_number=1)
    assert (other.signature == FAILED.signature) is same


def test_identifiers_make_no_difference():
    one, two = (
        replace(FAILED, error=f"TimeoutError: job {job} at {at}")
        for job, at in (
            ("0190c2f4-8a41-7d52-9e36-7a1b2c3d4e5f", "0x7f13bcec7d80"),
            ("0190c2f5-0000-7000-8000-000000000000", "0x7f0"),
        )
    )
    assert one.signature == two.signature


def at(text, zone=BERLIN):
    return dt.datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@pytest.mark.parametrize(
    ("hours", "moment", "night"),
    [
        (("22:00", "07:00"), "2026-03-28T21:59:59", None),
        (("22:00", "07:00"), "2026-03-28T22:00", "2026-03-29"),
        # The clocks are put forward in this night, and back in that.
        (("22:00", "07:00"), "2026-03-29T03:30", "2026-03-29"),
        (("22:00", "07:00"), "2026-10-25T02:30", "2026-10-25"),
        (("22:00", "07:00"), "2026-03-29T06:59:59", "2026-03-29"),
        (("22:00", "07:00"), "2026-03-29T07:00", None),
        (("22:00", "07:00"), "2026-12-31T23:00", "2027-01-01"),
        (("9:00", "17:30"), "2026-05-04T08:59", None),
        (("9:00", "17:30"), "2026-05-04T17:29", "2026-05-04"),
        (("9:00", "17:30"), "2026-05-04T17:30", None),
        (["00:00", "23:59"], "2026-05-04T23:59", None),
    ],
)
def test_quiet_hours(hours, moment, night):
    assert Quiet.of(hours, BERLIN).night(at(moment)) == night


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 2**31))
def test_a_night_has_one_name(start, end, now):
    quiet = Quiet(start, end, dt.timezone.utc)
    night = quiet.night(now)
    minutes = (now // 60 - start) % 1440
    assert (night is not None) is (minutes < (end - start) % 1440 or start == end)
    if night is not None and start != end:
        begun = now - minutes * 60
        assert quiet.night(begun) == night


events = st.builds(
    lambda map_index, run, error: replace(FAILED, map_index=map_index, run_id=str(run), began=float(run), error=error),
    st.integers(-1, 3),
    st.integers(0, 3),
    st.sampled_from(["ValueError: 1", "KeyError: x", ""]),
)
windows = st.sampled_from([None, 10.0, 3600.0])


def failed(record, event, rules, now, message):
    episode = alerts.episode_for(record, event, rules, now)
    signature = alerts.signature_of(event, rules)
    told = replace(episode, message=episode.message or message)
    after = alerts.with_failure(record, event, told, signature)
    assert alerts.with_failure(after, event, told, signature) == after
    return after, episode


@given(st.lists(st.tuples(events, st.floats(0, 100)), max_size=30), windows)
def test_one_message_in_each_window(happenings, window):
    rules, now = Rules(window=window), 0.0
    record: Record = {}
    begun: dict[str, Any] = {}
    for number, (event, later) in enumerate(happenings, 1):
        now += later
        record, episode = failed(record, event, rules, now, number)
        signature = alerts.signature_of(event, rules)
        if not episode.message:
            # There was none, it was pushed out by others, or its window is over; and the new one has another name.
            before = begun.get(signature)
            assert before is None or episode.id != before.id or window is None
            begun[signature] = episode
        elif window is not None:
            assert now - begun[signature].first < window
    assert len(record.get("episodes", {})) <= 4


@given(st.lists(st.tuples(events, st.booleans()), max_size=30))
def test_recovered_when_all_that_failed_succeeds(happenings):
    record: Record = {}
    failing: dict[int, Event] = {}
    for event, well in happenings:
        if well:
            before = record
            record = alerts.with_success(record, event)
            assert alerts.with_success(record, event) == record
            if event.map_index in failing and event.began >= failing[event.map_index].began:
                del failing[event.map_index]
            assert bool(alerts.recovered(record)) is (bool(before) and not failing)
            over = [episode for _, episode in alerts.recovered(record)]
            if over:
                cleared = alerts.without_episodes(record, over, alerts.turn_of(record))
                assert alerts.without_episodes(cleared, over, alerts.turn_of(record)) == cleared
                again = alerts.episode_for(cleared, event, RULES, 0.0)
                assert again.id not in {episode.id for episode in over}
                record = {}
        else:
            record, _ = failed(record, event, RULES, 0.0, 1)
            failing[event.map_index] = event
            assert not alerts.recovered(record)


def test_a_number_that_is_bounded():
    record: Record = {}
    for number in range(MOST_EVENTS + 50):
        record, episode = failed(record, replace(FAILED, try_number=number), RULES, 0.0, 5)
    assert episode.count == "200+"


def test_lines_that_are_kept():
    record: Record = {}
    for number in range(70):
        record = alerts.with_line(record, "run", str(number), f"line {number}")
        assert alerts.with_line(record, "run", str(number), "again") == record
    lines, total = alerts.lines_of(record, "run")
    assert (len(lines), total, lines[0]) == (60, 70, "line 0")
    told = alerts.closed(record, "run")
    assert alerts.lines_of(told, "run") == (lines, 70)
    assert alerts.with_line(told, "run", "late", "line") == told
    assert alerts.lines_of(alerts.closed(told, "run", empty=True), "run") == ([], 0)
    for number in range(25):
        record = alerts.with_line(record, f"run {number}", "x", "line")
    assert len(record) == 20
    assert alerts.lines_of(record, "run") == ([], 0)


@pytest.mark.parametrize(
    "rubbish", [{}, {"episodes": 5, "failing": [], "entries": "x", "turn": "y"}, {"episodes": {"a": 1}}]
)
def test_a_record_that_somebody_has_changed(rubbish):
    record, episode = failed(rubbish, FAILED, RULES, 0.0, 5)
    assert (episode.events, episode.message) == ((), 0)
    assert alerts.settled(record, 0.0) == []


def marked(held: Record, number: int) -> Record:
    return {**held, str(number): number}


class Host:
    """Has a clock and an even hand, like a peer."""

    clock = FakeClock()

    @staticmethod
    def jitter():
        return 0.5


@given(st.lists(st.lists(st.floats(0, 0.1), min_size=60, max_size=60), min_size=2, max_size=4), st.randoms())
def test_no_change_of_a_record_is_lost(delays, random):
    """Several change it at once, where each question takes up to 0.1 s."""
    store: dict[str, Any] = {}
    host: Any = Host
    changers = [merge(host, store, "record", partial(marked, number=n)) for n in range(len(delays))]
    waiting = [(random.random() / 2, number, None) for number in range(len(changers))]
    heapq.heapify(waiting)
    while waiting:
        now, number, outcome = heapq.heappop(waiting)
        try:
            step = changers[number].send(outcome)
        except StopIteration:
            continue
        if isinstance(step, Wait):
            heapq.heappush(waiting, (now + step.seconds, number, None))
        else:
            assert isinstance(step, Ask)
            heapq.heappush(waiting, (now + delays[number].pop(), number, step.question()))
    assert store["record"] == {str(number): number for number in range(len(delays))}


RUSSIAN = Wording("ru", BERLIN)
ENGLISH = Wording("en", BERLIN)
LINKS = (
    "[URL=https://airflow.example.com/dags/sales/runs/a/tasks/load]{}[/URL]"
    " · [URL=https://airflow.example.com/dags/sales/runs/a]{}[/URL]"
)
RUN = replace(FAILED, kind="dag_failure", task_id="", map_index=-1, try_number=0, error="", log_url="")


@pytest.mark.parametrize(
    ("event", "wording", "text"),
    [
        (
            FAILED,
            RUSSIAN,
            "❌ [B]Сбой задачи: sales.load[7][/B]\nValueError: row 17\n"
            "попытка 3 из 3 · 1 мин 15 с · запуск scheduled__2026-05-04T00:00\n" + LINKS.format("Журнал", "Запуск"),
        ),
        (
            replace(FAILED, kind="retry", try_number=1),
            ENGLISH,
            "⚠ [B]Task failed and is tried again: sales.load[7][/B]\nValueError: row 17\n"
            "try 1 of 3 · 1 min 15 s · run scheduled__2026-05-04T00:00\n" + LINKS.format("Log", "Run"),
        ),
        (
            replace(RUN, reason="timed_out", seconds=7260.0),
            RUSSIAN,
            "❌ [B]Сбой DAG: sales[/B]\nПричина: превышено время выполнения\n"
            "2 ч 1 мин · запуск scheduled__2026-05-04T00:00\n"
            "[URL=https://airflow.example.com/dags/sales/runs/a]Запуск[/URL]",
        ),
        (
            replace(RUN, reason="task_failure", seconds=60.0, failed=(("load[7]", FAILED.log_url), ("check", ""))),
            RUSSIAN,
            "❌ [B]Сбой DAG: sales[/B]\nПричина: сбой задачи\n1 мин · запуск scheduled__2026-05-04T00:00\n"
            "Задач со сбоем: 2\n• load[7] [URL=https://airflow.example.com/dags/sales/runs/a/tasks/load]Журнал[/URL]\n"
            "• check\n[URL=https://airflow.example.com/dags/sales/runs/a]Запуск[/URL]",
        ),
        (
            replace(RUN, reason="task_failure", seconds=60.0, failed=tuple((f"t{n}", "") for n in range(12))),
            ENGLISH,
            "❌ [B]DAG failed: sales[/B]\nReason: a task failed\n1 min · run scheduled__2026-05-04T00:00\n"
            + "Failed tasks: 12\n"
            + "".join(f"• t{n}\n" for n in range(10))
            + "and 2 more\n[URL=https://airflow.example.com/dags/sales/runs/a]Run[/URL]",
        ),
        (
            replace(RUN, reason="[url=x]own[/url]", seconds=None, run_url="https://x.example/?a=[1]&b"),
            ENGLISH,
            "❌ [B]DAG failed: sales[/B]\nReason: [\u200burl=x]own[\u200b/url]\nrun scheduled__2026-05-04T00:00\n"
            "[URL=https://x.example/?a=%5B1%5D&b]Run[/URL]",
        ),
        (
            replace(RUN, kind="deadline", due=1_777_896_000.0, at=1_777_896_012.0, seconds=None, run_url=""),
            RUSSIAN,
            "⚠ [B]Срок нарушен: sales[/B]\nсрок 2026-05-04 14:00:00, 12 с назад\nзапуск scheduled__2026-05-04T00:00",
        ),
        (
            replace(FAILED, kind="decision", subject="Pay?", options=("Yes", "No"), error="", seconds=None, body=" "),
            RUSSIAN,
            "ℹ [B]Нужно решение: sales.load[7][/B]\nPay?\nВарианты: Yes, No\nзапуск scheduled__2026-05-04T00:00\n"
            + LINKS.format("Решить", "Запуск"),
        ),
        (Event(kind="success", dag_id="sales"), RUSSIAN, "✅ [B]Задача выполнена: sales[/B]"),
    ],
    ids=[
        "failure",
        "retry",
        "timed out",
        "failed tasks",
        "many failed tasks",
        "own reason",
        "deadline",
        "decision",
        "nothing known",
    ],
)
def test_what_is_said(event, wording, text):
    assert wording.alert(event) == text


def test_what_is_counted_and_listed():
    text = RUSSIAN.alert(RUN, count="7", last=1_777_896_000.0, lines=["a", "b"], total=5)
    assert text.split("\n")[-1] == "×7, последний раз в 14:00"
    assert "Задач со сбоем: 5\na\nb\nи ещё 3\n" in text


def test_failed_tasks_are_named_once():
    run = replace(RUN, reason="task_failure", failed=(("load[7]", ""), ("load[70]", ""), ("killed", "")))
    text = ENGLISH.alert(run, lines=[ENGLISH.line(FAILED)], total=1)
    assert "Failed tasks: 3\n❌ Task failed: sales.load[7] — ValueError: row 17 [URL=" in text
    assert "\n• load[70]\n• killed\n" in text
    assert "— a task failed — load[7], load[70], killed [URL=" in ENGLISH.line(run)


def test_what_an_author_says_instead():
    own = replace(ENGLISH, title="[b]Oh[/b]", message="no", footer="")
    assert own.alert(FAILED) == "[b]Oh[/b]\nno"
    assert own.alert(FAILED, count="2", last=0.0) == "[b]Oh[/b]\nno\n×2, last at 01:00"


def test_a_line():
    line = ENGLISH.line(replace(FAILED, error="x" * 500), timed=True)
    assert line.startswith("14:00 ❌ Task failed: sales.load[7] — xxx")
    assert "x…" in line
    assert len(line) < 400
    assert RUSSIAN.line(RUN, well=True).startswith("✅ Снова работает: sales [URL=")


def test_recovered():
    assert RUSSIAN.recovered(FAILED).startswith("✅ [B]Снова работает: sales.load[7][/B]\nпопытка 3 из 3")


def test_both_languages_say_everything():
    from airflow_provider_b24.chat.alerts_text import _WORDS

    english, russian = _WORDS["en"], _WORDS["ru"]
    assert english.keys() == russian.keys()
    assert [text.count("{") for text in english.values()] == [text.count("{") for text in russian.values()]
