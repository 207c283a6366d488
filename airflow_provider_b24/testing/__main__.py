"""``python -m airflow_provider_b24.testing``: a Bitrix24 portal for trying things out."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time

from airflow_provider_b24.testing.portal import FakePortal
from airflow_provider_b24.testing.records import RecordedCall

_CHATTER = (
    ("chat2935", 3, "Good morning! Does anybody have the [b]numbers of last week[/b]?"),
    ("chat2935", 4, "The board meets at noon, I need them by then."),
    ("sg17", 2, "The racks arrived, see [url=https://example.com/racks]the delivery note[/url]."),
    ("chat2938", 3, "The campaign starts on Monday."),
)


def _bucket(text: str) -> tuple[float, float]:
    size, _, rate = text.partition(":")
    try:
        return float(size), float(rate)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not SIZE:RATE, such as 50:2") from None


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_b24.testing", description="A fake Bitrix24 portal on 127.0.0.1."
    )
    parser.add_argument("--port", type=int, default=8024, help="port to listen on, 0 for any free one (8024)")
    parser.add_argument("--deals", type=int, default=1000, help="how many deals there are (1000)")
    parser.add_argument("--bucket", type=_bucket, metavar="SIZE:RATE", help="limit requests, such as 50:2")
    parser.add_argument("--log", action="store_true", help="print every call")
    return parser.parse_args(argv)


def _print_call(call: RecordedCall) -> None:
    moment = time.strftime("%H:%M:%S", time.localtime(call.time))
    outcome = "dropped" if call.status is None else str(call.status)
    print(f"{moment}  {outcome:>7}  {call.method}{f'  {call.error}' if call.error else ''}", flush=True)


def main(argv: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; returns the exit code."""
    arguments = _arguments(argv)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    portal = FakePortal(arguments.port, seed_deals=arguments.deals, bucket=arguments.bucket)
    try:
        portal.start()
    except OSError as error:
        print(f"Port {arguments.port} of 127.0.0.1 cannot be used: {error.strerror}", file=sys.stderr)
        print("Choose another with --port, or any free one with --port 0.", file=sys.stderr)
        return 1
    for dialog_id, author_id, text in _CHATTER:
        portal.add_message(dialog_id, author_id, text)
    if arguments.log:
        portal.on_call = _print_call
    print(f"Webhook     {portal.webhook_url}")
    print(f"Chat page   {portal.url}/?dialog=chat2935")
    print(f"Connection  AIRFLOW_CONN_BITRIX24_DEFAULT='{json.dumps(portal.connection())}'", flush=True)
    ended.wait()
    portal.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
