"""2,000 and 50,000 deals that are created: ours in four lanes beside b24pysdk and fast_bitrix24.

The portal takes 50 ms for an answer and 10 ms for each command. Faults are one spoilt answer of each kind, after whose
request 250 of 250 deals must be there once or be told to be unknown.
"""

from __future__ import annotations

from airflow_provider_b24.testing import Fault
from benchmarks.load import OURS
from benchmarks.race import Course, Heat, middle
from benchmarks.result import Result

ROUNDS = 3
LATENCY, COMMAND = 0.05, 0.01
WRITES, MANY, SPOILT = 2000, 50_000, 250
LANES = 4
BUDGET, MEGABYTES = 1 / 3.5, 30.0
FAULTS = {
    "a reset": Fault("reset_after", method="batch"),
    "a 500 in JSON": Fault("json_500", method="batch", after_effect=True),
    "a 503 in HTML": Fault("html_503", method="batch", after_effect=True),
    "half an answer": Fault("truncated_json", method="batch", after_effect=True),
    "no answer": Fault("timeout", method="batch", after_effect=True, seconds=12),
    "a limit": Fault("query_limit", method="batch"),
}


def written(course: Course) -> list[str]:
    """The titles of what is in the portal."""
    with course.portal.company.lock:
        return [row["title"] for row in course.portal.company.crm.tables[2].rows.values()]


def run(client: str, count: int, command: float = COMMAND) -> tuple[Heat, bool, str]:
    """Write against a portal of one's own: the figures, and whether all is there once and was told in order.

    :param command: seconds that a command takes.
    """
    with Course(latency=LATENCY, command_latency=command) as course:
        heat = course.run("write", client, width=LANES, count=count)
        there = written(course)
    twice = len(there) - len(set(there))
    missing = count - len(set(there))
    ordered = list(heat.clients[0].kept) == list(range(count))
    error = heat.clients[0].error
    said = (
        f"{missing} missing, {twice} twice, {'in order' if ordered else 'NOT in order'}{f', {error}' if error else ''}"
    )
    return heat, not missing and not twice and ordered and not error, said


def main() -> list[Result]:
    """2,000 writes."""
    heats: dict[str, list[tuple[Heat, bool, str]]] = {client: [] for client in [*OURS, "b24pysdk", "fast_bitrix24"]}
    for _ in range(ROUNDS):
        for client, found in heats.items():
            found.append(run(client, WRITES))
    theirs = middle(heat.seconds for heat, _, _ in heats["b24pysdk"])
    results = []
    for client, found in heats.items():
        ratio = middle(heat.seconds for heat, _, _ in found) / theirs
        results.append(
            Result(
                f"{WRITES:,} writes in {LANES} lanes, {client} beside b24pysdk",
                ratio,
                f"{figures([heat for heat, _, _ in found])}; {found[0][2]}; {ROUNDS} rounds; budget {BUDGET:.2f}x",
                client not in OURS or (ratio <= BUDGET and all(good for _, good, _ in found)),
            )
        )
    return results


def figures(heats: list[Heat]) -> str:
    """The medians of some runs."""
    clients = [heat.clients[0] for heat in heats]
    return (
        f"{middle(one.seconds for one in clients):.2f} s, CPU {middle(one.cpu for one in clients):.2f} s, "
        f"{middle(one.megabytes for one in clients):.1f} MB over the start, {heats[0].requests} requests"
    )


def long() -> list[Result]:
    """50,000 writes, and spoilt answers."""
    return [*many(), *spoilt()]


def many() -> list[Result]:
    """50,000 writes, whose commands take no time: what they take beside 2,000."""
    results = []
    for client in OURS:
        few, _, _ = run(client, WRITES, 0)
        heat, good, said = run(client, MANY, 0)
        grown = heat.clients[0].megabytes
        results.append(
            Result(
                f"{MANY:,} writes beside {WRITES:,}, {client}, for each",
                heat.seconds / MANY / (few.seconds / WRITES),
                f"{figures([heat])}; {said}; 1 round; budget {MEGABYTES:.0f} MB over the start",
                good and grown <= MEGABYTES,
            )
        )
    return results


def spoilt() -> list[Result]:
    """One spoilt answer of each kind among five."""
    results = []
    for client in [*OURS, "b24pysdk", "fast_bitrix24"]:
        told = []
        twice_in_all, good = 0, True
        for name, fault in FAULTS.items():
            with Course(latency=LATENCY) as course:
                heat = course.run("write", client, width=LANES, count=SPOILT, fault=fault)
                there = written(course)
            mine = heat.clients[0]
            twice = len(there) - len(set(there))
            kept = list(mine.kept)
            # Each is told by its number in its place, or to be unknown.
            ordered = len(kept) == SPOILT and all(said in (number, -1) for number, said in enumerate(kept))
            told.append(
                f"{name} {len(there)} created, {kept.count(-1)} unknown{f' ({mine.error[:40]})' * bool(mine.error)}"
            )
            twice_in_all += twice
            good &= not twice and ordered and len(there) == SPOILT
        results.append(
            Result(
                f"{SPOILT} writes with one spoilt answer of each kind, {client}",
                float(twice_in_all),
                f"{'; '.join(told)}; in place of the ratio: deals created twice; 1 round",
                good or client not in OURS,
            )
        )
    return results


if __name__ == "__main__":
    import sys

    for name in sys.argv[1:] or ["main"]:
        for result in globals()[name]():
            print(result, flush=True)
