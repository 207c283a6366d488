"""What is known of each row over all tries of a task that is killed anywhere: nothing is sent twice."""

from __future__ import annotations

import json
from collections import Counter, deque
from contextlib import suppress
from itertools import count

import pytest

from airflow_provider_b24.operators.written import InputChangedError, Written, spelled

ROWS = [{"n": number} for number in range(130)]
LONG = [{"n": number} for number in range(230)]
AHEAD = 60


class Killed(BaseException):
    """The process is gone."""


class Task:
    """A task that writes, the portal that it writes to, and what is kept of it.

    :ivar carried_out: how often the portal has carried out a row.
    :ivar told: what the task has put into its file, by number of the row.
    """

    def __init__(self, rows=ROWS, *, repeatable=False, fate=lambda _: "created"):
        self.rows = rows
        self.repeatable = repeatable
        self.fate = fate
        self.kept = "{}"
        self.carried_out: Counter[int] = Counter()
        self.told: dict[int, str] = {}
        self.steps = 0
        self.kill_at: int | None = None

    def step(self):
        self.steps += 1
        if self.steps == self.kill_at:
            raise Killed

    def save(self, state):
        self.step()
        self.kept = json.dumps(state)
        self.step()

    def attempt(self):
        """One try: rows are taken ahead, and come back in order."""
        written = Written(json.loads(self.kept), repeatable=self.repeatable, save=self.save)
        pending: deque[int] = deque()
        held: dict[int, str] = {}

        def settle():
            number = pending.popleft()
            self.step()
            # Answers come in the order of the rows, but the portal may be further.
            what = self.fate(number)
            if what in ("created", "unknown"):
                self.carried_out[number] += 1
            self.step()
            if what == "unknown" and self.repeatable:
                what = "again"
            if what in ("rejected", "unknown"):
                held[number] = what
            written.became(number, what, safe=what not in ("rejected", "unknown"))

        def secure():
            self.step()
            self.told |= held
            self.step()
            held.clear()
            written.secured()

        for record in self.rows:
            try:
                number, turn = written.turn(record)
            except InputChangedError:
                # What was taken before is sent all the same.
                while pending:
                    settle()
                written.stop(())
                raise
            if turn == "lost":
                held[number] = "unknown"
                written.became(number, "unknown", safe=False)
            elif turn == "send":
                self.step()
                pending.append(number)
            if len(pending) == AHEAD:
                for _ in range(20):
                    settle()
            if len(held) > 5:
                secure()
        while pending:
            settle()
        try:
            written.whole()
        finally:
            secure()
        written.stop(())
        return written


def finished(task):
    """Try until it is through: what the last try knows."""
    for _ in range(4):
        try:
            return task.attempt()
        except Killed:
            continue
    raise AssertionError


def steps(**arguments):
    """After how many steps a task would be through that nobody kills."""
    task = Task(**arguments)
    task.attempt()
    return task.steps


def fates(number):
    return {7: "rejected", 60: "rejected", 111: "unknown", 112: "unknown", 129: "rejected"}.get(number, "created")


@pytest.mark.parametrize("fate", [lambda _: "created", fates], ids=["all well", "some not"])
def test_killed_anywhere_no_row_is_carried_out_twice_and_none_is_left_out(fate):
    for kill_at in range(1, steps(fate=fate) + 1):
        task = Task(fate=fate)
        task.kill_at = kill_at
        written = finished(task)
        assert max(task.carried_out.values()) == 1, kill_at
        unknown = {number for first, last in written.unknown for number in range(first, last + 1)}
        for number in range(len(ROWS)):
            fated = fate(number)
            if number in unknown:
                # No more of them than were under way, or noted.
                assert task.told[number] == "unknown"
            else:
                assert task.carried_out[number] == (fated == "created"), (kill_at, number)
                assert task.told.get(number) == (fated if fated != "created" else None), (kill_at, number)
        assert len(unknown) <= AHEAD + 50 + 2
        assert sum(written.counts.values()) == len(ROWS), (kill_at, written.counts)
        assert written.counts["unknown"] == len(unknown)


def test_killed_twice_it_is_the_same():
    total = steps(fate=fates)
    for first in range(1, total, 37):
        for second in range(first + 1, first + total, 41):
            task = Task(fate=fates)
            for kill_at in (first, second):
                task.kill_at = kill_at
                with suppress(Killed):
                    task.attempt()
            written = finished(task)
            assert max(task.carried_out.values()) == 1
            assert sum(written.counts.values()) == len(ROWS)


def test_what_may_be_sent_again_is_and_nothing_is_unknown():
    for kill_at in range(1, steps(repeatable=True) + 1):
        task = Task(repeatable=True)
        task.kill_at = kill_at
        written = finished(task)
        assert written.counts == {"created": len(ROWS)}, kill_at
        assert set(task.carried_out) == set(range(len(ROWS)))
        # What was settled is not sent again.
        assert sum(task.carried_out.values()) <= len(ROWS) + AHEAD + 50


def test_what_was_not_carried_out_is_sent_by_the_next_try():
    refused = iter(["again"] * 3)
    task = Task(fate=lambda number: next(refused, "created") if number in (3, 4, 90) else "created")
    assert task.attempt().left == 3
    written = task.attempt()
    assert (written.left, written.counts) == (0, {"created": len(ROWS)})
    assert max(task.carried_out.values()) == 1


def test_a_stop_that_knows_what_was_sent_leaves_nothing_unknown():
    kept: dict = {}
    written = Written({}, repeatable=False, save=kept.update)
    numbers = [written.turn(record)[0] for record in ROWS[:70]]
    for number in numbers[:60]:
        written.became(number, "created")
    written.stop(())
    assert (kept["sent"], kept["next"], sorted(map(int, kept["again"]))) == ([], 70, list(range(60, 70)))

    again = Written(kept, repeatable=False, save=kept.update)
    turns = [again.turn(record)[1] for record in ROWS]
    assert turns == ["skip"] * 60 + ["send"] * 70


def test_a_stop_that_does_not_names_only_what_was_begun():
    kept: dict = {}
    written = Written({}, repeatable=False, save=kept.update)
    for record in ROWS[:70]:
        written.turn(record)
    for number in range(60):
        written.became(number, "created")
    written.stop(range(60, 70))
    assert (kept["sent"], kept["next"]) == ([[60, 69]], 70)


@pytest.mark.parametrize(
    "changed",
    [
        [*LONG[:5], {"n": "new"}, *LONG[5:]],
        LONG[1:],
        LONG[:70],
        [*LONG[:64], {"n": "changed"}, *LONG[65:]],
    ],
    ids=["longer", "shorter", "cut", "other"],
)
def test_another_input_is_noticed_before_anything_is_sent(changed):
    # A row that was not carried out at first, and so is to be sent again, unless it is the same.
    refused = [64] * (changed[64] != LONG[64])
    task = Task(LONG, fate=lambda number: "again" if number in refused and refused.pop() else "created")
    task.kill_at = steps(rows=LONG) // 2
    with pytest.raises(Killed):
        task.attempt()
    before = task.carried_out.copy()
    task.rows, task.kill_at = changed, None
    for _ in range(2):
        with pytest.raises(InputChangedError, match="an earlier try"):
            task.attempt()
        assert task.carried_out == before


def test_rows_whose_fate_nobody_knows_stay_so_while_others_are_sent():
    kept: dict = {"next": 50, "again": {"3": ""}, "sent": [[10, 12]]}
    written = Written(kept, repeatable=False, save=kept.update)
    turns = [written.turn(record)[1] for record in ROWS[:4]]
    assert turns == ["skip"] * 3 + ["send"]
    assert kept["sent"] == [[3, 3], [10, 12]]
    assert kept["again"] == {}


def test_a_row_that_was_not_carried_out_is_sent_only_if_it_is_the_same():
    kept: dict = {}
    written = Written({}, repeatable=False, save=kept.update)
    for record in ROWS[:4]:
        written.became(written.turn(record)[0], "again" if record["n"] == 3 else "created")
    written.stop(())
    for third, fails in ((ROWS[3], False), ({"n": "changed"}, True)):
        again = Written({**kept, "seen": [0, ""]}, repeatable=False, save=lambda _: None)
        assert [again.turn(record)[1] for record in ROWS[:3]] == ["skip"] * 3
        if fails:
            with pytest.raises(InputChangedError, match="row 4 of the input is another"):
                again.turn(third)
        else:
            assert again.turn(third) == (3, "send")


def test_rows_that_came_to_the_end_are_new_ones():
    task = Task(ROWS[:100])
    task.attempt()
    task.rows = ROWS
    assert task.attempt().counts == {"created": len(ROWS)}
    assert max(task.carried_out.values()) == 1


def test_little_is_kept_however_many_rows_there_are():
    kept: dict = {}
    written = Written({}, repeatable=False, save=lambda state: kept.update(size=len(json.dumps(state))))
    pending: deque[int] = deque()
    for number in count():
        if number == 5000:
            break
        pending.append(written.turn({"n": number})[0])
        if len(pending) > 2050:
            written.became(pending.popleft(), "unknown" if number % 2 else "created")
    assert kept["size"] < 2_000
    # All that 40 lanes hold, given back.
    written.stop(())
    assert kept["size"] < 65_535


def test_rows_are_spelled_for_people():
    assert spelled([[0, 0], [6, 6], [100, 149]]) == "1, 7, 101-150"
