"""A weekly sales report, with "is typing…" in the chat for as long as it is being made.

Reads every deal of the CRM that moved to another stage in the last weeks, adds them up by stage and by week,
and posts the report in a group chat. Reading thousands of deals takes a while; meanwhile whoever waits for the
figures sees that somebody is at it. If anything fails, nothing is posted and the indicator goes out.

Needs the connection ``bitrix24_default`` with the scopes ``im`` and ``crm``.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from itertools import pairwise

from airflow.sdk import Param, dag, task

# The chat's id is in its address in the portal: …/online/?IM_DIALOG=chat2935. The account behind the
# connection has to be a member of it.
CHAT = "chat2935"

# Stages that every portal has; one of your own is shown by its id.
STAGES = {
    "NEW": "New",
    "PREPARATION": "Preparing documents",
    "PREPAYMENT_INVOICE": "Prepayment invoice",
    "EXECUTING": "In progress",
    "FINAL_INVOICE": "Final invoice",
    "WON": "Won",
    "LOSE": "Lost",
    "APOLOGY": "Lost, analysed",
}

log = logging.getLogger(__name__)


@dag(
    schedule="0 9 * * MON",
    params={"weeks": Param(8, type="integer", minimum=2, description="How many full weeks the report goes back")},
    tags=["bitrix24", "example"],
    doc_md=__doc__,
)
def weekly_report():
    # [START howto_decorator_bitrix24_report]
    @task.bitrix24_report(dialog_id=CHAT, retries=2)
    def report(params=None) -> str:
        log.info("The report begins")
        from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

        deals_in: Counter[tuple[str, str]] = Counter()
        by_stage: defaultdict[tuple[str, str], float] = defaultdict(float)
        won_in: defaultdict[tuple[str, str], float] = defaultdict(float)
        with Bitrix24Hook() as hook:
            # Weeks are those of the portal's calendar: its own time tells which day it has.
            now = datetime.fromisoformat(hook.call("server.time"))
            this_week = monday_of(now)
            since = this_week - timedelta(weeks=params["weeks"])
            deals = hook.iterate(
                "crm.item.list",
                {
                    "entityTypeId": 2,
                    "select": ["id", "stageId", "opportunity", "currencyId", "movedTime"],
                    "filter": {">=movedTime": since.isoformat()},
                },
            )
            # Every deal comes by once, page after page; none is kept.
            for deal in deals:
                currency, amount = deal["currencyId"], float(deal["opportunity"] or 0)
                stage = deal["stageId"].split(":")[-1]  # C4:WON is the stage WON of the pipeline 4
                deals_in[currency, stage] += 1
                by_stage[currency, stage] += amount
                if stage == "WON":
                    won_in[currency, day(monday_of(datetime.fromisoformat(deal["movedTime"])))] += amount
        log.info("%s deals were read", f"{deals_in.total():,}")
        weeks = [day(this_week - timedelta(weeks=back)) for back in range(params["weeks"], 0, -1)]
        return as_text(weeks, deals_in, by_stage, won_in)

    # [END howto_decorator_bitrix24_report]
    report()


def monday_of(moment):
    """The beginning of the week, in the zone of the moment."""
    return (moment - timedelta(days=moment.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)


def day(moment):
    """As a date."""
    return moment.date().isoformat()


def as_text(weeks, deals_in, by_stage, won_in) -> str:
    """The report in BBCode, in the currency of most deals. [CODE] keeps columns under each other."""
    if not deals_in:
        return f"[B]Sales report[/B]\nNo deal has moved since {weeks[0]}."
    currencies: Counter[str] = Counter()
    for (currency, _), number in deals_in.items():
        currencies[currency] += number
    currency = currencies.most_common(1)[0][0]

    won = [won_in[currency, week] for week in weeks]
    changes = [""] + [f"{now / before - 1:+.1%}" if before else "" for before, now in pairwise(won)]
    lines = [
        f"[B]Sales report, week of {weeks[-1]}[/B]",
        f"Won: [B]{won[-1]:,.0f} {currency}[/B]" + (f", {changes[-1]} on the week before" if changes[-1] else ""),
        "",
        f"[B]Deals that moved since {weeks[0]}, by stage[/B]",
        "[CODE]",
        f"{'Stage':<20}{'Deals':>7}{currency:>16}",
    ]
    used = {stage for money, stage in deals_in if money == currency}
    for stage in [*(stage for stage in STAGES if stage in used), *sorted(used - set(STAGES))]:
        number, amount = deals_in[currency, stage], by_stage[currency, stage]
        lines.append(f"{STAGES.get(stage, stage):<20}{number:>7,}{amount:>16,.0f}")
    lines += ["[/CODE]", "[B]Won, week by week[/B]", "[CODE]", f"{'Week of':<12}{currency:>16}{'Change':>10}"]
    lines += [
        f"{week:<12}{amount:>16,.0f}{change:>10}" for week, amount, change in zip(weeks, won, changes, strict=True)
    ]
    lines.append("[/CODE]")
    others = deals_in.total() - currencies[currency]
    if others:
        lines.append(f"{others:,} deals are in other currencies, and not in these sums.")
    return "\n".join(lines)


weekly_report()
