"""What a typing signal may be like. Light: DAG files import it."""

from __future__ import annotations

from airflow_provider_b24.rest.errors import ConfigurationError

# Seconds that a client shows the indicator after a signal, and seconds between two signals.
LASTS = 25.0
INTERVAL = 12.0
# The most seconds that a bot's signal may last.
LONGEST = 600.0

STATUSES = (
    "THINKING",
    "SEARCHING",
    "GENERATING",
    "ANALYZING",
    "PROCESSING",
    "TRANSLATING",
    "CONNECTING",
    "CHECKING",
    "CALCULATING",
    "READING_DOCS",
    "COMPOSING",
)
STATUS_PREFIX = "IMBOT_AGENT_ACTION_"


def check_status(status: str) -> str:
    """The status a bot shows, as the vendor writes it.

    :param status: ``PROCESSING``, ``CALCULATING``, …, with or without the vendor's prefix.
    :raises ConfigurationError: for one that is not documented; names those that are.
    """
    name = status.strip().upper().removeprefix(STATUS_PREFIX) if isinstance(status, str) else ""
    if name not in STATUSES:
        raise ConfigurationError(f"status is {status!r}", advice=f"It is one of {', '.join(STATUSES)}.")
    return name


def check_who_shows(status: str | None, as_bot: bool | None) -> None:
    """Only a bot shows a status.

    :raises ConfigurationError: for a status of the account.
    """
    if status is not None and as_bot is False:
        raise ConfigurationError(
            f"status is {status!r}, and as_bot is False",
            advice="Only a chat bot can show a status: leave one of the two out.",
        )


def check_interval(seconds: float) -> float:
    """Seconds between two signals.

    :raises ConfigurationError: unless it is from 2 to 24, for the indicator goes out after 25.
    """
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 2 <= seconds <= LASTS - 1:
        raise ConfigurationError(
            f"interval is {seconds!r}",
            advice=f"It is from 2 to {LASTS - 1:.0f} seconds: the indicator goes out {LASTS:.0f} s after a signal. "
            f"The default of {INTERVAL:.0f} s leaves no gap when one signal is lost.",
        )
    return float(seconds)
