"""Recognising a message that was sent: what is kept of it beforehand, and which message of a dialog it is.

Nothing of the text itself is kept, only fingerprints. There are two of the text: one of its exact words after
undoing what portals are known to change, and a loose one of its letters and digits. A message with the same
loose fingerprint only may be ours, changed in a way that nobody has described: that is neither a yes nor a no.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import html
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from airflow_provider_b24.rest.protocol import as_number

_BREAK = re.compile(r"\[br\s*/?\]|<br\s*/?>|\r\n?", re.IGNORECASE)
# What a mention shows is the portal's to choose: the name of today instead of the one that was sent.
_MENTION = re.compile(r"\[(user|chat|context)\b[^\]]*\].*?\[/\1\]", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"\[[^\[\]]*\]")
# An application's system message gets the application's name as a first line.
_APPLICATION = re.compile(r"\A\[b\][^\n]*\[/b\]\n", re.IGNORECASE)
# What a portal puts behind the name of a file that is in the chat's folder already: "report (1).pdf".
_COPY = re.compile(r"\s*\(\d+\)(?=(\.[^.]*)?\Z)")
_MOST_BLOCK_PRINTS = 40
_OURS = "airflow-provider-b24"


class Likeness(Enum):
    """Whether a message is the one that was sent."""

    SAME = "same"
    UNSURE = "unsure"
    OTHER = "other"


@dataclass(frozen=True)
class FileMark:
    """What a file of a message is recognised by.

    :ivar name: fingerprint of the letters and digits of its name; the others a portal may change.
    :ivar size: in bytes.
    :ivar id: on the portal's Drive, if that is known beforehand; otherwise 0.
    """

    name: str
    size: int
    id: int = 0

    def alike(self, card: Mapping[str, Any]) -> Likeness:
        """Whether this is the file, from what the portal says of one."""
        shown = str(card.get("name") or "")
        named = self.name in (_name_print(shown), _name_print(_COPY.sub("", shown)))
        sized = as_number(card.get("size")) == self.size
        if named and sized:
            return Likeness.SAME
        return Likeness.UNSURE if named or sized else Likeness.OTHER


def file_mark(name: str, size: int, file_id: int = 0) -> FileMark:
    """What a file will be recognised by."""
    return FileMark(_name_print(name), size, file_id)


@dataclass(frozen=True)
class Marks:
    """What a message is recognised by.

    :ivar author: the account or bot that writes it; 0 for a system message.
    :ivar text: fingerprint of the text's words; empty where there is no text.
    :ivar loose: fingerprint of its letters and digits.
    :ivar blocks: fingerprints of the texts in its attachment.
    :ivar uuid: of a bot's message; empty for a user's, which can not be given one.
    :ivar files: of the files in it.
    """

    author: int
    text: str
    loose: str
    blocks: tuple[str, ...] = ()
    uuid: str = ""
    files: tuple[FileMark, ...] = ()

    def like(self, message: Mapping[str, Any], files: Sequence[Mapping[str, Any]] = ()) -> Likeness:
        """Whether this is the message, from what ``im.dialog.messages.get`` says of one.

        :param files: what it says of the message's files; of one without, those that are in no message.
        """
        uuid = str(message.get("uuid") or "").lower()
        if self.uuid and uuid == self.uuid:
            return Likeness.SAME
        if as_number(message.get("author_id")) != self.author:
            return Likeness.OTHER
        likeness = self._by_files(message, files)
        if likeness is not Likeness.OTHER:
            likeness = max(likeness, self._by_text(message), key=list(Likeness).index)
        if self.uuid and likeness is not Likeness.OTHER:
            # Another message that we sent has a uuid of ours; without one, this portal does not give it back.
            return Likeness.OTHER if is_our_uuid(uuid) else Likeness.UNSURE
        return likeness

    def _by_text(self, message: Mapping[str, Any]) -> Likeness:
        params = message.get("params")
        params = params if isinstance(params, Mapping) else {}
        if _is_deleted(message):
            return Likeness.UNSURE
        text = str(message.get("text") or "")
        same = self.text in (_words_print(text), *self._without_application(text))
        if not same and self.loose not in (_loose_print(text), *map(_loose_print, self._rest(text))):
            return Likeness.OTHER
        blocks = set(block_prints(params.get("ATTACH"), most=None))
        held = set(self.blocks) <= blocks
        if self.text:
            return Likeness.SAME if same and (held or not blocks) else Likeness.UNSURE
        return Likeness.SAME if same and (self.blocks or self.files) and held else Likeness.UNSURE

    def _by_files(self, message: Mapping[str, Any], files: Sequence[Mapping[str, Any]]) -> Likeness:
        ids = file_ids(message)
        if _is_deleted(message):
            return Likeness.UNSURE
        if self.files and not ids:
            # Which files are a message's own is not documented. Of one that is in no message this may be the message.
            alike = any(mark.alike(card) is Likeness.SAME for mark in self.files for card in files)
            return Likeness.UNSURE if alike else Likeness.OTHER
        if len(ids) != len(self.files):
            return Likeness.OTHER
        if {mark.id for mark in self.files} == set(ids):
            return Likeness.SAME
        cards = [card for card in files if as_number(card.get("id")) in ids]
        if len(cards) < len(ids):
            # One was removed from the Drive since.
            return Likeness.UNSURE
        found = Likeness.SAME
        for mark in self.files:
            best = min(cards, key=lambda card: list(Likeness).index(mark.alike(card)))
            found = max(found, mark.alike(best), key=list(Likeness).index)
            cards.remove(best)
        return found

    def _without_application(self, text: str) -> list[str]:
        return [_words_print(rest) for rest in self._rest(text)]

    def _rest(self, text: str) -> list[str]:
        words = _words(text)
        return [_APPLICATION.sub("", words)] if self.author == 0 and _APPLICATION.match(words) else []

    def as_json(self) -> dict[str, Any]:
        """For a store."""
        kept = {**asdict(self), "blocks": list(self.blocks), "files": [asdict(file) for file in self.files]}
        return kept if self.files else {name: value for name, value in kept.items() if name != "files"}

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> Marks:
        """What :meth:`as_json` made.

        :raises LookupError: if it is something else.
        :raises TypeError: likewise.
        """
        files = tuple(FileMark(**file) for file in kept.get("files", ()))
        return cls(int(kept["author"]), kept["text"], kept["loose"], tuple(kept["blocks"]), kept["uuid"], files)


def marks_of(
    author: int, message: str | None, attach: object = None, uuid: str = "", files: Sequence[FileMark] = ()
) -> Marks:
    """What a message will be recognised by.

    :param author: who will be its author; 0 for a system message.
    :param message: its text.
    :param attach: its attachment, as it is sent.
    :param uuid: the one that it is sent with, if any.
    :param files: of the files in it.
    """
    text = message or ""
    return Marks(author, _words_print(text), _loose_print(text), block_prints(attach), uuid, tuple(files))


def file_ids(message: Mapping[str, Any]) -> list[int]:
    """The ids of the files in a message."""
    params = message.get("params")
    named = params.get("FILE_ID") if isinstance(params, Mapping) else None
    return [int(number) for one in (named if isinstance(named, list) else [named]) if (number := as_number(one))]


def _is_deleted(message: Mapping[str, Any]) -> bool:
    params = message.get("params")
    return isinstance(params, Mapping) and params.get("IS_DELETED") == "Y"


def block_prints(blocks: object, most: int | None = _MOST_BLOCK_PRINTS) -> tuple[str, ...]:
    """Fingerprints of the texts in an attachment: a portal adds to the blocks, and leaves these as they are."""
    if isinstance(blocks, str):
        try:
            blocks = json.loads(blocks)
        except (ValueError, RecursionError):
            return ()
    prints = sorted({_print(_words(text))[:12] for text in _texts(blocks) if text.strip()})
    return tuple(prints[:most])


def new_uuid(seed: str) -> str:
    """A UUID (version 4, lower case) by which a message that we sent can be told from any other.

    :param seed: the same seed gives the same UUID.
    """
    random = hashlib.sha256(seed.encode()).hexdigest()
    head = f"{random[:8]}-{random[8:12]}-4{random[12:15]}-{'89ab'[int(random[15], 16) % 4]}{random[16:19]}"
    return f"{head}-{_print(_OURS + head)[:12]}"


def is_our_uuid(uuid: str) -> bool:
    """Whether :func:`new_uuid` made it."""
    head, _, tail = uuid.lower().rpartition("-")
    return len(uuid) == 36 and tail == _print(_OURS + head)[:12]


def written_at(message: Mapping[str, Any]) -> float | None:
    """When a message was written, in seconds since the epoch; None where that can not be read."""
    try:
        return dt.datetime.fromisoformat(str(message.get("date")).replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return None


def _words(text: str) -> str:
    """The text without what portals are known to change: entities, line ends, space around lines."""
    lines = _BREAK.sub("\n", html.unescape(html.unescape(text))).replace("\xa0", " ").split("\n")
    return "\n".join(line.strip() for line in lines).strip()


def _words_print(text: str) -> str:
    words = _words(text)
    return _print(words) if words else ""


def _loose_print(text: str) -> str:
    bare = _TAG.sub("", _MENTION.sub("", _words(text)))
    return _print("".join(filter(str.isalnum, bare)).casefold())


def _name_print(name: str) -> str:
    return _print("".join(filter(str.isalnum, unicodedata.normalize("NFKC", name))).casefold())


def _print(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


def _texts(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Mapping):
            waiting += item.values()
        elif isinstance(item, Sequence) and not isinstance(item, (str, bytes, bytearray)):
            waiting += item
        elif isinstance(item, (str, int, float, dt.date)) and not isinstance(item, bool):
            yield item.isoformat() if isinstance(item, dt.date) else str(item)
