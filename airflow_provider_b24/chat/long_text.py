"""A text that is too long for one message: as a file with its beginning, or as several messages. Nothing is ever cut.

Each message and file is delivered by itself, exactly once, under a key of its own; which way was chosen, and under
which keys, is kept under one more, so that a later try finds all of them again and goes on the same way.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_b24.rest.errors import ConfigurationError, OperatingLimitError

if TYPE_CHECKING:
    from airflow_provider_b24.chat.delivery import Memory, Posting
    from airflow_provider_b24.chat.typing import Bot
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.steps import Step

log = logging.getLogger(__name__)

LongText = Literal["file", "split", "refuse"]
LONG_TEXT = ("file", "split", "refuse")
# Of a text that goes as a file, so many characters at the most are the message.
BEGINNING = 2000
NAME = "message.txt"
_WAY = "/way"


@dataclass(frozen=True)
class Way:
    """How a text is posted.

    :ivar kind: as a file with its beginning, as a message with the file after it, or as several messages.
    :ivar keys: of its deliveries in their order, after the memory's own.
    :ivar print: tells the text from another one.
    """

    kind: Literal["file", "message and file", "split"]
    keys: tuple[str, ...]
    print: str = ""


def check_long_text(value: object) -> None:
    """Refuse what is no way to post a long text.

    :raises ConfigurationError: saying which there are.
    """
    if value not in LONG_TEXT:
        raise ConfigurationError(f"long_text is {value!r}", advice=f"It is one of {', '.join(LONG_TEXT)}.")


def kept_way(memory: Memory) -> Generator[Step, Any, Way | None]:
    """The way that an earlier try has begun; None if that was one message, or nothing."""
    from airflow_provider_b24.rest.steps import Ask

    kept = yield Ask(lambda: memory.store.get(memory.key + _WAY), blocking=memory.lasting)
    if not isinstance(kept, Mapping) or not (memory.any_life or kept.get("life") == memory.life):
        return None
    kind, keys = kept.get("kind"), kept.get("keys")
    if kind not in ("file", "message and file", "split") or not isinstance(keys, list) or not keys:
        return None
    return Way(kind, tuple(map(str, keys)), str(kept.get("print", "")))


def posted_before(peer: Peer, memory: Memory) -> Generator[Step, Any, int | None]:
    """What became of a message, or of all that a long text was made of, that an earlier try may have posted.

    :return: the id of the first message, or None if not all of it was posted.
    :raises DeliveryUnknownError: if the dialog does not tell.
    """
    return (yield from _recalled(peer, memory, (yield from kept_way(memory))))


def deliver_long(
    peer: Peer,
    *,
    text: str,
    source: str,
    way: Way | None,
    long_text: str,
    dialog_id: str,
    memory: Memory,
    bot: Bot | None,
    parameters: Mapping[str, Any],
    posting: Callable[[Mapping[str, Any]], Posting],
) -> Generator[Step, Any, int]:
    """Post a text that does not fit into one message, or that an earlier try has begun to post as such.

    :param text: as it would be sent.
    :param source: as it was given; this is what goes into a file.
    :param way: that of an earlier try.
    :param long_text: ``file`` or ``split``; an earlier try's way comes first.
    :param dialog_id: where, as an id.
    :param memory: what is kept of it.
    :param bot: post as this bot.
    :param parameters: of the message, besides its text.
    :param posting: makes a message of parameters.
    :return: the id of the first message.
    """
    from airflow_provider_b24.rest.steps import Ask

    if way is None:
        # An earlier try's text may have been short enough for one message.
        posted = yield from _recalled(peer, memory, None)
        if posted is not None:
            return posted
    kind = way.kind if way else _kind(long_text, parameters)
    deliveries: list[tuple[str, Callable[[Memory], Generator[Step, Any, int]]]]
    if kind == "split":
        finger = _print(text)
        if way is not None and way.print != finger:
            # Parts of two texts would make neither whole.
            posted = yield from _recalled(peer, memory, way)
            if posted is not None:
                return posted
            log.warning("The text has changed since an earlier try posted parts of it; it is posted as a whole")
        parts = yield Ask(partial(_parts, text, parameters))
        chosen = Way("split", tuple(f"/{finger}/{number}" for number in range(1, len(parts) + 1)), finger)
        deliveries = [(key, _message(peer, posting(part))) for key, part in zip(chosen.keys, parts, strict=True)]
    else:
        head = yield Ask(partial(_beginning, text))
        chosen = Way(kind, ("",) if kind == "file" else ("", "/file"))
        deliveries = [(chosen.keys[-1], _file(peer, dialog_id, source, head if kind == "file" else None, bot))]
        if kind == "message and file":
            deliveries.insert(0, ("", _message(peer, posting({**parameters, "message": head}))))
    if chosen != way:
        yield from _keep(memory, chosen)
    ids: list[int] = []
    for key, deliver in deliveries:
        try:
            ids.append((yield from deliver(replace(memory, key=memory.key + key))))
        except OperatingLimitError as error:
            if ids and not memory.lasting:
                # Nothing outlives the process that would tell what has been posted: no waiting outside of it. The
                # task's next try looks into the dialog.
                error.retry_after = None
            raise
    return ids[0]


def _kind(long_text: str, parameters: Mapping[str, Any]) -> Literal["file", "message and file", "split"]:
    if long_text == "split":
        return "split"
    # A file can have a text, and nothing else that a message can.
    more = any(value for name, value in parameters.items() if name != "url_preview")
    more = more or not parameters.get("url_preview", True)
    return "message and file" if more else "file"


def _parts(text: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages of a text: what it answers stands at the first, what hangs on it at the last."""
    from airflow_provider_b24.chat.splitting import split

    first, last = {"reply_id"}, {"attach", "keyboard", "menu"}
    parts = split(text)
    made = []
    for number, part in enumerate(parts):
        left_out = (first if number else set()) | (last if number < len(parts) - 1 else set())
        made.append({"message": part, **{name: value for name, value in parameters.items() if name not in left_out}})
    return made


def _beginning(text: str) -> str:
    from airflow_provider_b24.chat.splitting import beginning

    return beginning(text, BEGINNING)


def _message(peer: Peer, posting: Posting) -> Callable[[Memory], Generator[Step, Any, int]]:
    def delivery(memory: Memory) -> Generator[Step, Any, int]:
        from airflow_provider_b24.chat.delivery import deliver

        return deliver(peer, posting, memory)

    return delivery


def _file(
    peer: Peer, dialog_id: str, source: str, message: str | None, bot: Bot | None
) -> Callable[[Memory], Generator[Step, Any, int]]:
    def delivery(memory: Memory) -> Generator[Step, Any, int]:
        from airflow_provider_b24.chat.files import File, post_file

        # Editors that guess the alphabet guess wrong without the mark at the beginning.
        content = source.encode("utf-8-sig", errors="backslashreplace")
        file = File.of_bytes(NAME, content)
        return post_file(peer, dialog_id=dialog_id, file=file, message=message, memory=memory, bot=bot)

    return delivery


def _recalled(peer: Peer, memory: Memory, way: Way | None) -> Generator[Step, Any, int | None]:
    from airflow_provider_b24.chat.delivery import recall

    ids = []
    for key in way.keys if way else ("",):
        found = yield from recall(peer, replace(memory, key=memory.key + key))
        if found is None:
            return None
        ids.append(found)
    return ids[0]


def _keep(memory: Memory, way: Way) -> Generator[Step, Any, None]:
    from airflow_provider_b24.rest.steps import Ask

    def keep() -> None:
        kept = {"kind": way.kind, "keys": list(way.keys), "print": way.print, "life": memory.life}
        memory.store[memory.key + _WAY] = kept

    yield Ask(keep, blocking=memory.lasting)


def _print(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]
