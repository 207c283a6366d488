"""A list of 100,000 deals, and of more and of fewer: ours beside fast_bitrix24, b24pysdk and a bare loop.

The portal takes 50 ms for an answer, or 30 ms for each command besides. Every client reads ``crm.deal.list`` with five
fields; rows that are missing are those that were there all the time and were not read, rows twice are those that were
read more than once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from benchmarks.race import Course, Heat, middle
from benchmarks.result import Result

ROUNDS, FEW = 5, 3
ROWS = 100_000
LATENCY, COMMAND = 0.05, 0.03
X, Y = 50, 2.0
LANES = 4
# Budgets: requests, megabytes, the share of the other's processor time, and of what the limit leaves at best.
REQUESTS, MEGABYTES, CPU, FLOOR = 45, 30.0, 0.5, 1.03
LEVEL = 1.05
OURS = ("ours", "asynchronous")


def floor(rows: int, tasks: int = 1) -> float:
    """Seconds that the request limit leaves at best: 2500 rows to a request, 50 at once and then 2 a second."""
    return max(0.0, (tasks * math.ceil(rows / 2500) - X) / Y)


def complete(heat: Heat, wanted: set[int]) -> tuple[bool, str]:
    """Whether every client has every row once, and a word on it."""
    missing = sum(one.missing(wanted) for one in heat.clients)
    twice = sum(one.twice for one in heat.clients)
    failed = [one.error for one in heat.clients if one.error]
    said = f"{missing} rows missing, {twice} twice"
    if failed:
        said += f", {len(failed)} of {len(heat.clients)} failed ({failed[0].partition(':')[0]})"
    return not missing and not twice and not failed, said


def line(heats: list[Heat]) -> str:
    """The figures of a client's rounds: medians, and what must not differ between them at its worst."""
    clients = [one for heat in heats for one in heat.clients]
    return (
        f"{middle(heat.seconds for heat in heats):.2f} s, CPU {middle(one.cpu for one in clients):.2f} s, "
        f"{middle(one.megabytes for one in clients):.1f} MB over the start, "
        f"{max(heat.requests for heat in heats)} requests, {max(heat.refused for heat in heats)} refused, "
        f"{max(heat.most_at_once for heat in heats)} at once, {max(heat.connections for heat in heats)} connections"
    )


def alternately(course: Course, clients: Iterable[str], rounds: int, width: int | None = None) -> dict[str, list[Heat]]:
    """Some clients in turns, so that what else the machine does strikes all."""
    heats: dict[str, list[Heat]] = {client: [] for client in clients}
    for _ in range(rounds):
        for client, found in heats.items():
            # What is called fast_bitrix24's own width is what it does if nobody says anything.
            found.append(course.run("read", client, width=width))
    return heats


def compared(
    title: str,
    heats: dict[str, list[Heat]],
    wanted: set[int],
    *,
    budget: float,
    strict: bool,
    rival: str = "fast_bitrix24",
) -> list[Result]:
    """Ours beside the rival, and the figures of all.

    :param budget: for the time.
    :param strict: whether requests, memory and processor time are bounded as well.
    """
    theirs = middle(heat.seconds for heat in heats[rival])
    cpu = middle(one.cpu for heat in heats[rival] for one in heat.clients)
    results = []
    for client, found in heats.items():
        ratio = middle(heat.seconds for heat in found) / theirs
        whole = [complete(heat, wanted) for heat in found]
        all_there, said = next((one for one in whole if not one[0]), whole[0])
        good = True
        if client in OURS:
            good = all_there and ratio <= budget and max(heat.refused for heat in found) == 0
            if strict:
                good &= max(heat.requests for heat in found) <= REQUESTS
                good &= max(heat.most_at_once for heat in found) <= LANES
                good &= max(one.megabytes for heat in found for one in heat.clients) <= MEGABYTES
                good &= middle(one.cpu for heat in found for one in heat.clients) <= CPU * cpu
        said = f"{line(found)}; {said}; {len(found)} rounds"
        if client in OURS:
            said += f"; budget {budget:.2f}x of its time"
            if strict:
                said += f", {CPU:g}x of its CPU, {REQUESTS} requests, {MEGABYTES:.0f} MB, {LANES} at once"
        results.append(Result(f"{title}, {client} beside {rival}", ratio, said, good))
    return results


def main() -> list[Result]:
    """100,000 rows at 50 ms a request, without a limit; and with rows that come, change and go meanwhile."""
    wanted = set(range(1, ROWS + 1))
    with Course(seed_deals=ROWS, latency=LATENCY) as course:
        course.run("read", "fast_bitrix24")  # the portal writes each row once
        heats = alternately(course, [*OURS, "fast_bitrix24", "b24pysdk"], ROUNDS)
    return [
        *compared("100,000 rows at 50 ms a request", heats, wanted, budget=1.0, strict=True),
        *changing(),
    ]


def changing() -> list[Result]:
    """100,000 rows at 50 ms a request, of which 200 a second come, change or go."""
    results = []
    for client in [*OURS, "fast_bitrix24", "b24pysdk"]:
        missing = twice = strange = 0
        for number in range(FEW):
            with Course(seed_deals=ROWS, latency=LATENCY) as course:
                with course.portal.churn(200, seed=number) as churn:
                    heat = course.run("read", client)
                read = set(heat.clients[0].kept)
                missing += len(churn.stayed - read)
                twice += heat.clients[0].twice
                strange += len(read - churn.before - churn.created)
        good = client not in OURS or missing + twice + strange == 0
        results.append(
            Result(
                f"100,000 rows of which 200 a second come, change or go, {client}",
                float(missing + twice + strange),
                f"{missing} rows missing, {twice} twice, {strange} that never were, in {FEW} rounds; "
                "in place of the ratio: their sum",
                good,
            )
        )
    return results


def long() -> list[Result]:
    """What takes minutes."""
    return [*busy(), *limited(), *half_a_million(), *together(), *memory(), *bare()]


def busy() -> list[Result]:
    """100,000 rows where each command takes 30 ms, with as many requests in flight for all."""
    with Course(seed_deals=ROWS, latency=LATENCY, command_latency=COMMAND) as course:
        heats = alternately(course, [*OURS, "fast_bitrix24"], FEW, width=LANES)
    wanted = set(range(1, ROWS + 1))
    title = f"100,000 rows at 30 ms a command, {LANES} requests in flight"
    return compared(title, heats, wanted, budget=LEVEL, strict=False)


def limited() -> list[Result]:
    """100,000 rows under the limit of 50 and 2 a second, which they fit in."""
    clients = [*OURS, "fast_bitrix24", "b24pysdk"]
    heats: dict[str, list[Heat]] = {client: [] for client in clients}
    for _ in range(FEW):
        for client in clients:
            # A portal of its own, for ours remembers what it has used of the limit; called before by somebody else.
            with Course(seed_deals=ROWS, latency=LATENCY, bucket=(X, Y)) as course:
                course.run("read", "fast_bitrix24")
                heats[client].append(course.run("read", client))
    wanted = set(range(1, ROWS + 1))
    return compared("100,000 rows at 50 ms a request, 50 and 2 a second", heats, wanted, budget=LEVEL, strict=False)


def fresh(rows: int, client: str, times: int, *, items: bool = False) -> Heat:
    """A run under the limit against a portal that nobody has called."""
    with Course(seed_deals=rows, latency=LATENCY, bucket=(X, Y)) as course:
        return course.run("read", client, times=times, items=items)


def beside_the_floor(rows: int, tasks: int, client: str, *, items: bool = False) -> Result:
    """A run under the limit beside what that leaves at best."""
    heat = fresh(rows, client, tasks, items=items)
    least = floor(rows, tasks)
    all_there, said = complete(heat, set(range(1, rows + 1)))
    ratio = heat.seconds / least
    method = "crm.item.list" if items else "crm.deal.list"
    who = "one task" if tasks == 1 else f"{tasks} tasks at once"
    return Result(
        f"{rows:,} rows of {method} for {who} at 50 and 2 a second, {client} beside the floor",
        ratio,
        f"{line([heat])}; floor {least:.1f} s; {said}; 1 round; budget {FLOOR:.2f}x and 0 refused",
        client not in OURS or (all_there and ratio <= FLOOR and heat.refused == 0),
    )


def half_a_million() -> list[Result]:
    """500,000 rows under the limit."""
    return [
        *(beside_the_floor(5 * ROWS, 1, client, items=True) for client in OURS),
        *(beside_the_floor(5 * ROWS, 1, client) for client in [*OURS, "fast_bitrix24", "b24pysdk"]),
    ]


def together() -> list[Result]:
    """Four and eight tasks of 100,000 rows each at once on one host."""
    return [
        *(beside_the_floor(ROWS, tasks, client, items=True) for tasks in (4, 8) for client in OURS),
        *(beside_the_floor(ROWS, 4, client) for client in ["ours", "fast_bitrix24", "b24pysdk"]),
    ]


def memory() -> list[Result]:
    """How memory grows with the rows."""
    results = []
    sizes = (ROWS // 10, ROWS, 10 * ROWS)
    figures: dict[str, list[float]] = {client: [] for client in OURS}
    for rows in sizes:
        with Course(seed_deals=rows) as course:
            for client in OURS:
                heat = course.run("read", client)
                all_there, _ = complete(heat, set(range(1, rows + 1)))
                figures[client].append(heat.clients[0].megabytes if all_there else math.inf)
    for client, found in figures.items():
        said = ", ".join(f"{rows:,}: {megabytes:.1f} MB" for rows, megabytes in zip(sizes, found, strict=True))
        results.append(
            Result(
                f"memory over the start for {sizes[-1]:,} rows beside {sizes[1]:,}, {client}",
                found[2] / max(found[1], 1.0),
                f"{said}; 1 round; budget {MEGABYTES:.0f} MB each",
                max(found) <= MEGABYTES,
            )
        )
    return results


def bare() -> list[Result]:
    """A loop page by page, once: it takes 2,001 requests of 50 ms each."""
    with Course(seed_deals=ROWS, latency=LATENCY) as course:
        heats = {client: [course.run("read", client)] for client in ("ours", "a bare loop")}
    wanted = set(range(1, ROWS + 1))
    title = "100,000 rows at 50 ms a request"
    return compared(title, heats, wanted, budget=1.0, strict=False, rival="a bare loop")[:1]


if __name__ == "__main__":
    import sys

    for name in sys.argv[1:] or ["main"]:
        for result in globals()[name]():
            print(result, flush=True)
