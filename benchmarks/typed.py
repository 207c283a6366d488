"""How long rows take to become Python types, beside the plainest way: a parser or a type called for each value."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import pendulum

from airflow_provider_b24.crm.fields import Field
from airflow_provider_b24.crm.typed import typed_rows
from benchmarks.result import Result

ROWS, ROUNDS = 20_000, 3
# Of 20 fields, as a deal has them.
COUNTS = {"string": 6, "user": 5, "double": 2, "boolean": 2, "datetime": 3, "date": 2}
FIELDS = {
    f"{kind}{number}": Field(f"{kind}{number}", kind) for kind, count in COUNTS.items() for number in range(count)
}
PLAIN: dict[str, Callable[[Any], Any]] = {
    "string": str,
    "user": int,
    "double": lambda value: Decimal(str(value)),
    "boolean": lambda value: value == "Y",
    "datetime": pendulum.parse,
    # Right only where the portal lies in the east.
    "date": lambda value: pendulum.parse(value).date(),  # type: ignore[union-attr]
}


def row(number: int) -> dict[str, Any]:
    """A row as the portal sends it."""
    day = f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}"
    values = {
        "string": f"Deal {number}",
        "user": number % 50,
        "double": number + 0.25,
        "boolean": "N" if number % 3 else "Y",
        "datetime": f"{day}T{number % 24:02}:{number % 60:02}:08+03:00",
        "date": f"{day}T03:00:00+03:00",
    }
    return {name: values[field.type] for name, field in FIELDS.items()}


def seconds(convert: Callable[[dict[str, Any]], Any], rows: Iterable[dict[str, Any]]) -> float:
    """The least of several rounds, in CPU time of this process."""
    times = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        for one in rows:
            convert(one)
        times.append(time.process_time() - begin)
    return min(times)


def main() -> list[Result]:
    """Measure and print."""
    rows = [row(number) for number in range(ROWS)]
    ours = seconds(typed_rows(FIELDS), rows)
    plain = seconds(lambda one: {name: PLAIN[FIELDS[name].type](value) for name, value in one.items()}, rows)
    return [
        Result(
            "typing rows of 20 fields, beside pendulum.parse, Decimal, int … for each value",
            ratio=ours / plain,
            details=f"{ROWS / ours:,.0f} rows/s beside {ROWS / plain:,.0f}; budget 0.5",
            good=ours <= plain / 2,
        )
    ]


if __name__ == "__main__":
    for result in main():
        print(result)
