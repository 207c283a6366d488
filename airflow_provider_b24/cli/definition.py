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

_DOCTOR = """
Look at the portal's address, the way to it (name, proxy, TLS), the clocks, who the credential is and which scopes it
has, the request limit and how much of it is used, the bot, and the fields of the connection; say of each finding what
to do about it. The status is 1 if there is an error among them. Nothing is posted, and no secret is shown.
"""

_REGISTER = """
Register a chat bot, so that messages and typing of the connection come from it and not from the person behind it.

Its id and its token are stored in the connection, if that is kept in Airflow's database; otherwise the command says
where the token is and what to add. Run again, it changes the name and the picture of the bot that the connection has.
The bot speaks in the chats of which it is a member: add it to them in the portal.
"""

# What the vendor's imbot.v2.Bot.register takes.
TYPES = ("bot", "personal", "supervisor", "openline")
COLOURS = (
    "red", "green", "mint", "lightBlue", "darkBlue", "purple", "aqua", "pink", "lime", "brown", "azure", "khaki",
    "sand", "marengo", "gray", "graphite",
)  # fmt: skip


def get_bitrix24_cli_commands() -> list[CLICommand]:
    """The command groups, as provider info names this function."""
    from airflow.cli.cli_config import ARG_OUTPUT, ARG_YES, ActionCommand, Arg, GroupCommand, lazy_load_command

    conn_id = Arg(("conn_id",), help="The connection, of type bitrix24")
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
                        conn_id,
                        Arg(
                            ("--code",),
                            help="The code, or the whole redirected address, instead of being asked for it",
                        ),
                    ),
                ),
                ActionCommand(
                    name="doctor",
                    help="Say what is right and wrong with a connection, and what to do about it",
                    description=_DOCTOR,
                    func=lazy_load_command("airflow_provider_b24.cli.doctor.doctor"),
                    args=(conn_id, ARG_OUTPUT),
                ),
                GroupCommand(
                    name="bot",
                    help="The chat bot as which a connection speaks",
                    subcommands=(
                        ActionCommand(
                            name="register",
                            help="Register a chat bot and let the connection speak as it",
                            description=_REGISTER,
                            func=lazy_load_command("airflow_provider_b24.cli.bot.register"),
                            args=(
                                conn_id,
                                Arg(("--name",), required=True, help="What it is called in chats"),
                                Arg(("--last-name",), help="Its last name"),
                                Arg(("--position",), help="What its profile says it does"),
                                Arg(("--avatar",), help="A file with its picture, 5000 by 5000 pixels at most"),
                                Arg(("--color",), choices=COLOURS, help="Of the avatar, where there is no picture"),
                                Arg(
                                    ("--code",),
                                    help="What tells it from other bots of the portal. Default: airflow_CONN_ID",
                                ),
                                Arg(
                                    ("--type",),
                                    choices=TYPES,
                                    default="bot",
                                    help="Of a new bot: personal and supervisor see all messages of their chats. "
                                    "Default: bot",
                                ),
                            ),
                        ),
                        ActionCommand(
                            name="list",
                            help="List the bots of a webhook's token, or of an application",
                            func=lazy_load_command("airflow_provider_b24.cli.bot.show"),
                            args=(conn_id, ARG_OUTPUT),
                        ),
                        ActionCommand(
                            name="unregister",
                            help="Remove the connection's bot from the portal and from the connection",
                            func=lazy_load_command("airflow_provider_b24.cli.bot.unregister"),
                            args=(conn_id, ARG_YES),
                        ),
                    ),
                ),
            ),
        )
    ]
