"""People who are mentioned in a text: ``@anna@example.com``, ``@"Anna Petrova"``, ``@head:Sales``, ``@all`` …"""

from __future__ import annotations

import logging
import re
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.chat.directory import ENTITY_TYPES, find_people, is_person
from airflow_provider_b24.chat.known import known
from airflow_provider_b24.chat.text import MENTION, mention
from airflow_provider_b24.rest.errors import Bitrix24Error

if TYPE_CHECKING:
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.steps import Step

log = logging.getLogger(__name__)

# What is no place for a mention: code, and what stands between the tags of another link.
_ELSEWHERE = r"\[(?P<tag>code|url|user|img|chat|send|put|call|context)\b[^\[\]]*\].*?(?:\[/(?P=tag)\]|\Z)"
_QUOTED = r'"[^"\n]{1,200}"'
_MENTION = re.compile(
    rf"""{_ELSEWHERE}
    |{MENTION}(?:
        (?P<email>[\w.+-]+@[\w-]+(?:\.[\w-]+)*)
        |(?P<name>{_QUOTED})
        |(?P<kind>department|head):(?P<department>{_QUOTED}|[\w-]+)
        |(?P<responsible>responsible:(?:{"|".join(ENTITY_TYPES)}|task):[1-9][0-9]{{0,18}})(?!\w)
        |(?P<all>all)(?![\w@])
    )""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


def with_mentions(peer: Peer, text: str) -> Generator[Step, Any, str]:
    """The text with its mentions as the portal knows them: ``[user=13]Anna Petrova[/user]``.

    ``@anna@example.com`` needs one of the scopes ``user``, ``user_basic`` or ``user_brief``, ``@responsible:…`` those
    of its method (``crm``, ``task``); names and departments are found with the scope ``im``. ``@head:Sales`` is the
    head of a department, ``@department:Sales`` are all who work in it, ``@all`` is everybody in the chat. Names of more
    than one word stand in quotes.

    All of a text are looked up in one ``batch`` (in two where there are departments or CRM items), and known for ten
    minutes. Who can not be found stays as he is written, and that is told in the log; nothing is raised. Mentions are
    not looked for in ``[code]``, in links, within words, and in what :func:`~.text.escape` has defused.
    """
    wanted = {reference: match[0] for match in _MENTION.finditer(text) if (reference := _reference(match))}
    memory = known(peer)
    answers: dict[str, Any] = {one: memory.get(f"mention {one}") for one in wanted}
    missing = [one for one, answer in answers.items() if answer is None]
    if missing:
        found = yield from find_people(peer, missing, named=True)
        answers |= found
        for reference, answer in found.items():
            # What may have been a passing trouble is tried again.
            if not isinstance(answer, Bitrix24Error) or answer.permanent:
                memory.put(f"mention {reference}", answer)
        left = [f"{wanted[one]} ({answer})" for one, answer in found.items() if isinstance(answer, Bitrix24Error)]
        if left:
            log.warning("Who is mentioned could not be found, and stays as it is written: %s", "; ".join(left))

    def written(match: re.Match[str]) -> str:
        if match["all"]:
            return mention("all", match["all"])
        answer = answers.get(_reference(match))
        return (
            ", ".join(mention(person.id, person.name) for person in answer) if isinstance(answer, tuple) else match[0]
        )

    return _MENTION.sub(written, text)


def _reference(match: re.Match[str]) -> str:
    """What is looked up for a mention; empty for what needs no looking up."""
    if match["email"]:
        return f"user:{match['email'].lower()}"
    if match["name"]:
        return f"user:{match['name']}" if is_person(f"user:{match['name']}") else ""
    if match["kind"]:
        return f"{match['kind'].lower()}:{match['department']}"
    return match["responsible"].lower() if match["responsible"] else ""
