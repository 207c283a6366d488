"""What ``airflow bitrix24`` knows. Read at every call of ``airflow``, so what does the work is loaded only then."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand

_AUTHORIZE = """
Get the first tokens of an OAuth application, or new ones where the old ones are used up.

The connection names the portal (host) and has client_id and client_secret as extra fields. The command prints an
address; open it in a browser, as the user in whose name Airflow is to act. The portal then leads to the redirect
address on the application's card, with a code in it that is good for 30 seconds: paste that whole address (the page
need not exist), or the code alone. The tokens go where all workers find them, and the connection is tested.
"""


def get_bitrix24_cli_commands() -> list[CLICommand]:
    """The command groups, as provider info names this function."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

    return [
        GroupCommand(
            name="bitrix24",
            help="Manage connections to Bitrix24",
            subcommands=(
                ActionCommand(
                    name="authorize",
                    help="Authorise an OAuth application and store its tokens",
                    description=_AUTHORIZE,
                    func=lazy_load_command("airflow_provider_b24.cli.authorize.authorize"),
                    args=(
                        Arg(("conn_id",), help="The connection, of type bitrix24"),
                        Arg(
                            ("--code",),
                            help="The code, or the whole redirected address, instead of being asked for it",
                        ),
                    ),
                ),
            ),
        )
    ]
