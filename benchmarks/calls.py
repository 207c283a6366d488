"""200 simple calls one after the other: processor time and connections, ours beside the others'."""

from __future__ import annotations

from benchmarks.load import OURS
from benchmarks.race import Course, Heat, middle
from benchmarks.result import Result

ROUNDS = 5
CALLS = {"fast_bitrix24": 40}  # after 50 it waits
MOST_CALLS = 200
# Milliseconds of processor time a call.
BUDGET = 1.0


def main() -> list[Result]:
    """Measure."""
    heats: dict[str, list[Heat]] = {client: [] for client in [*OURS, "b24pysdk", "fast_bitrix24", "a bare loop"]}
    with Course(seed_deals=50) as course:
        for _ in range(ROUNDS):
            for client, found in heats.items():
                found.append(course.run("call", client, count=CALLS.get(client, MOST_CALLS)))
    each = {
        client: middle(heat.clients[0].cpu / len(heat.clients[0].kept) for heat in found) * 1000
        for client, found in heats.items()
    }
    results = []
    for client, found in heats.items():
        connections = max(heat.connections for heat in found)
        good = each[client] <= BUDGET and connections == 1
        results.append(
            Result(
                f"processor time of a simple call, {client} beside b24pysdk",
                each[client] / each["b24pysdk"],
                f"{each[client]:.2f} ms, {connections} connections for {CALLS.get(client, MOST_CALLS)} calls, "
                f"{middle(heat.seconds for heat in found):.2f} s; {len(found)} rounds; budget {BUDGET:.0f} ms and 1",
                good or client not in OURS,
            )
        )
    return results


if __name__ == "__main__":
    for result in main():
        print(result)
