"""``airflow bitrix24 doctor``: what is right and wrong with a connection, and what to do about it."""

from __future__ import annotations

import os
from argparse import Namespace

from airflow.utils.providers_configuration_loader import providers_configuration_loaded


@providers_configuration_loaded
def doctor(args: Namespace) -> None:
    """Print all findings.

    :raises SystemExit: with status 1 if there is an error among them.
    """
    # Connections and Variables are looked up in Airflow's database, as Airflow's own commands do it.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    from airflow.cli.simple_table import AirflowConsole
    from rich.markup import escape

    from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
    from airflow_provider_b24.hooks.doctor import diagnose

    with Bitrix24Hook(args.conn_id) as hook:
        found = diagnose(hook)
    rows = [
        {"level": one.severity, "about": one.subject, "finding": one.text, "what to do": one.advice} for one in found
    ]
    if args.output == "table":
        # Else what stands in square brackets counts as a style.
        rows = [{name: escape(text) for name, text in row.items()} for row in rows]
    AirflowConsole().print_as(data=rows, output=args.output)
    if any(one.severity == "error" for one in found):
        raise SystemExit(1)
