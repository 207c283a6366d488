"""Posting files in a dialog, exactly once.

``im.v2.File.upload`` uploads one file and posts it; the older way, for portals that lack it and for several files in
one message, uploads each into the chat's folder and posts them afterwards.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_b24.chat.dialogs import check_dialog_id, for_bot, is_reference, resolve
from airflow_provider_b24.chat.message import LONGEST_TEXT, worded
from airflow_provider_b24.rest.errors import (
    ConfigurationError,
    FileError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
)

if TYPE_CHECKING:
    from airflow_provider_b24.chat.delivery import Memory, Posting
    from airflow_provider_b24.chat.typing import Bot
    from airflow_provider_b24.rest.content import Content
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.steps import Step

# What im.v2.File.upload takes, in bytes: 100 MB.
LARGEST = 100 * 1024 * 1024
LONGEST_NAME = 255
# How often one file is uploaded into the chat's folder. What became of a lost upload nobody sees; it posts nothing.
_MOST_UPLOADS = 3
_UPLOADS = "/uploads"


@dataclass(frozen=True)
class File:
    """A file that can be posted: it is opened when it is sent, and again where that has to be repeated.

    :ivar name: shown in the dialog; its ending decides how it is shown.
    :ivar size: in bytes, exactly.
    :ivar open: opens it for reading.
    :raises ConfigurationError: for a name that can not be.
    :raises FileError: if it is empty, or larger than the 100 MB that the portal takes.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes]] = field(repr=False)

    def __post_init__(self) -> None:
        check_file_name(self.name)
        if self.size <= 0:
            raise _unfit(f"the file {self.name!r} is empty", "The portal takes no empty files.")
        if self.size > LARGEST:
            raise _unfit(
                f"the file {self.name!r} has {self.size:,} bytes",
                f"The portal takes {LARGEST:,} bytes (100 MB) at most: send a part of it, or a link to it.",
            )

    @classmethod
    def of_bytes(cls, name: str, content: bytes) -> File:
        """A file of bytes in memory."""
        return cls(name, len(content), partial(BytesIO, content))

    @classmethod
    def of_path(cls, path: str | os.PathLike[str], name: str | None = None) -> File:
        """A file of this machine.

        :param name: Default: that of the path.
        :raises FileError: if there is none that can be read.
        """
        from airflow_provider_b24.rest.content import unreadable

        where = os.fspath(path)
        problem: FileError | None = None
        try:
            size = os.stat(where).st_size
        except (OSError, ValueError) as caught:
            problem = unreadable(where, caught)
        if problem is not None:
            raise problem
        if os.path.isdir(where):
            raise FileError(f"{where!r} is a folder", advice="Name a file.")
        return cls(name or os.path.basename(where), size, lambda: open(where, "rb"))


def _unfit(problem: str, advice: str) -> FileError:
    error = FileError(problem, advice=advice)
    # Not before somebody makes another one.
    error.permanent = True
    return error


def check_file_name(value: object, argument: str = "name") -> str:
    """The name of a file.

    :raises ConfigurationError: unless it is a text of at most 255 characters, without slashes and control characters.
    """
    if not isinstance(value, str) or not value.strip(" ."):
        raise ConfigurationError(f"{argument} is {value!r}", advice="A file needs a name, such as 'report.pdf'.")
    if len(value) > LONGEST_NAME:
        raise ConfigurationError(
            f"{argument} has {len(value)} characters", advice=f"A file's name has {LONGEST_NAME} at most."
        )
    if not value.isprintable() or "/" in value or "\\" in value:
        raise ConfigurationError(
            f"{argument} is {value!r}", advice="The name of a file has no slashes and no control characters."
        )
    return value


def check_file_text(value: object, *, final: bool = True) -> str:
    """The text of a message with files.

    :param final: whether it is sent as it is; otherwise its length is known later.
    :raises ConfigurationError: if it is none, or too long.
    """
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"message is a {type(value).__name__}", advice="Give a text.")
    text = value or ""
    if final and len(text) > LONGEST_TEXT:
        raise ConfigurationError(
            f"message has {len(text):,} characters, and the portal would cut it at {LONGEST_TEXT:,} without a word",
            advice="Post a shorter text, or put it into the file.",
        )
    return text


@dataclass(frozen=True)
class PostedFiles:
    """A message with files.

    :ivar message_id: its id.
    :ivar file_ids: those of the files on the portal's Drive, in the order of the message; empty where the answer was
        lost and they could not be kept.
    """

    message_id: int
    file_ids: tuple[int, ...]


def post_file(
    peer: Peer,
    *,
    dialog_id: str | int,
    file: File,
    message: str | None = None,
    memory: Memory | None = None,
    bot: Bot | None = None,
) -> Generator[Step, Any, int]:
    """Post one file; see :func:`post_files`.

    :return: the id of the message.
    """
    posted = yield from post_files(
        peer, dialog_id=dialog_id, files=lambda: [file], message=message, memory=memory, bot=bot
    )
    return posted.message_id


def post_files(
    peer: Peer,
    *,
    dialog_id: str | int,
    files: Callable[[], Sequence[File]],
    message: str | None = None,
    markdown: bool = False,
    mentions: bool = False,
    memory: Memory | None = None,
    bot: Bot | None = None,
) -> Generator[Step, Any, PostedFiles]:
    """Post files in one message, once, whatever becomes of the answer.

    One file goes with ``im.v2.File.upload`` (``imbot.v2.File.upload`` as a bot). Several, or one to a portal that has
    no such method, go with ``im.disk.folder.get``, ``disk.folder.uploadFile`` and ``im.disk.file.commit``, which need
    the scope ``disk``.

    :param dialog_id: where, as an id or a reference.
    :param files: makes the files; asked only if the message was not posted before, and not in the event loop.
    :param message: a text with them, of at most 20,000 characters as it is sent.
    :param markdown: the text is Markdown.
    :param mentions: people whom it names as in ``@anna@example.com`` are mentioned.
    :param memory: what is kept of it, for whoever tries again. Default: until this ends.
    :param bot: post as this bot, one file only.
    :raises ConfigurationError: before anything is sent.
    :raises FileError: if a file can not be read, is empty or too large, or changes while it is sent.
    :raises NotFoundError: if the reference leads nowhere.
    :raises DeliveryUnknownError: if it may or may not have been posted.
    :raises Bitrix24Error: if the portal refuses.
    """
    from airflow_provider_b24.chat.delivery import Memory, deliver, posted_files, recall
    from airflow_provider_b24.rest.steps import Ask

    checked = check_dialog_id(dialog_id)
    check_file_text(message, final=not (markdown or mentions))
    memory = memory or Memory()
    # What was posted needs neither dialog nor files any more.
    message_id = yield from recall(peer, memory)
    if message_id is None:
        text = check_file_text((yield from worded(peer, message, markdown=markdown, mentions=mentions)))
        made = list((yield Ask(files)))
        _check_files(made, bot)
        found = yield from _chat_of(peer, checked)
        if len(made) == 1:
            try:
                message_id = yield from deliver(peer, _upload(found, made[0], text, bot), memory)
            except NotFoundError as refused:
                if bot is not None or (refused.code or "").upper() != "ERROR_METHOD_NOT_FOUND":
                    raise
        if message_id is None:
            posting = yield from _before_posting(_committing(peer, found, made, text, memory))
            message_id = yield from deliver(peer, posting, memory)
    return PostedFiles(message_id, (yield from posted_files(memory)))


def _check_files(files: Sequence[File], bot: Bot | None) -> None:
    if not files:
        raise ConfigurationError("there are no files", advice="Give at least one.")
    if bot is not None and len(files) > 1:
        raise ConfigurationError(
            f"a bot's message can not have {len(files)} files",
            advice="Send them one by one, or with as_bot=False: only the account behind the connection can post "
            "several in one message.",
        )


def _chat_of(peer: Peer, dialog_id: str) -> Generator[Step, Any, str]:
    """The dialog as the methods for files take it: they do not know the chats of workgroups by their group."""
    dialog_id = for_bot(dialog_id)
    return (yield from resolve(peer, dialog_id)) if is_reference(dialog_id) else dialog_id


def _content(file: File) -> Content:
    from airflow_provider_b24.rest.content import Content

    return Content(file.name, file.size, file.open)


def _upload(dialog_id: str, file: File, text: str, bot: Bot | None) -> Posting:
    """Uploads a file and posts it."""
    from airflow_provider_b24.chat.delivery import Posting
    from airflow_provider_b24.chat.recognition import file_mark
    from airflow_provider_b24.rest.content import seconds_for
    from airflow_provider_b24.rest.protocol import Call

    content = _content(file)
    fields = {"name": file.name, "content": content, **({"message": text} if text else {})}
    if bot is None:
        call = Call("im.v2.File.upload", {"dialogId": dialog_id, "fields": fields})
    else:
        speaker = {"botId": bot.bot_id, **({"botToken": bot.token} if bot.token else {})}
        call = Call("imbot.v2.File.upload", {**speaker, "dialogId": dialog_id, "fields": fields})
    return Posting(
        dialog_id,
        text,
        None,
        None if bot is None else bot.bot_id,
        lambda _: call,
        readable=bot is None or not dialog_id.isdecimal(),
        files=(file_mark(file.name, file.size),),
        # Texts and names are small beside what this adds however small the file is.
        sending=seconds_for(len(content)),
    )


def _before_posting(steps: Generator[Step, Any, Posting]) -> Generator[Step, Any, Posting]:
    """Steps that post nothing: whatever became of a lost one, nothing was posted."""
    lost: OutcomeUnknownError | None = None
    try:
        return (yield from steps)
    except OutcomeUnknownError as caught:
        lost = caught
    raise NotSentError(
        f"nothing was posted, for the files could not be uploaded before: {lost.description}",
        method=lost.method,
        status=lost.status,
        advice="The portal or a proxy before it is in trouble; the next try goes on with what was uploaded.",
        retry_after=lost.retry_after,
    )


def _committing(
    peer: Peer, dialog_id: str, files: Sequence[File], text: str, memory: Memory
) -> Generator[Step, Any, Posting]:
    """Uploads files into the chat's folder, unless an earlier try has; posts them."""
    from airflow_provider_b24.chat.delivery import Posting
    from airflow_provider_b24.chat.recognition import file_mark
    from airflow_provider_b24.rest.conversation import converse
    from airflow_provider_b24.rest.protocol import Call, as_number

    # The folder is given for the number of a chat only, which a private talk has too.
    reply = yield from converse(peer, Call("im.dialog.messages.get", {"DIALOG_ID": dialog_id, "LIMIT": 1}))
    chat = as_number(reply.result.get("chat_id")) if isinstance(reply.result, dict) else None
    where = {"CHAT_ID": int(chat)} if chat else {"DIALOG_ID": dialog_id}
    ids = yield from _uploaded(peer, where, files, memory)
    params = {**where, "UPLOAD_ID": ids, **({"MESSAGE": text} if text else {})}
    return Posting(
        dialog_id,
        text,
        None,
        None,
        lambda _: Call("im.disk.file.commit", params),
        files=tuple(file_mark(file.name, file.size, number) for file, number in zip(files, ids, strict=True)),
    )


def _uploaded(
    peer: Peer, where: dict[str, Any], files: Sequence[File], memory: Memory
) -> Generator[Step, Any, list[int]]:
    """The ids of the files in the chat's folder. They are kept, for nothing takes away what is uploaded twice."""
    from airflow_provider_b24.rest.conversation import converse
    from airflow_provider_b24.rest.protocol import Call, as_number
    from airflow_provider_b24.rest.steps import Ask

    def kept() -> Any:
        return memory.store.get(memory.key + _UPLOADS)

    # A report that is made anew may well have the same name and size.
    wanted = yield Ask(lambda: [[file.name, file.size, _digest(file)] for file in files])
    before = yield Ask(kept, blocking=memory.lasting)
    same = isinstance(before, dict) and before.get("files") == wanted and before.get("where") == where
    same = same and (memory.any_life or before.get("life") == memory.life)
    ids = [int(one) for one in before["ids"]] if same else []
    folder: float | None = None
    for file in files[len(ids) :]:
        if folder is None:
            reply = yield from converse(peer, Call("im.disk.folder.get", where))
            folder = as_number(reply.result.get("ID")) if isinstance(reply.result, dict) else None
            if not folder:
                raise NotFoundError(
                    "the chat has no folder for files",
                    method="im.disk.folder.get",
                    advice="Is the module Drive (disk) of this portal switched on?",
                )
        ids.append((yield from _uploaded_one(peer, int(folder), file)))
        entry = {"life": memory.life, "where": where, "files": wanted, "ids": list(ids)}

        def keep(entry: dict[str, Any] = entry) -> None:
            memory.store[memory.key + _UPLOADS] = entry

        yield Ask(keep, blocking=memory.lasting)
    return ids


def _digest(file: File) -> str:
    """The same for the same content.

    :raises FileError: if it can not be read.
    """
    digest = hashlib.sha256()
    for piece in _content(file).pieces():
        digest.update(piece)
    return digest.hexdigest()


def _uploaded_one(peer: Peer, folder: int, file: File) -> Generator[Step, Any, int]:
    from airflow_provider_b24.rest.conversation import converse
    from airflow_provider_b24.rest.errors import UnexpectedReplyError
    from airflow_provider_b24.rest.protocol import Call, as_number
    from airflow_provider_b24.rest.steps import Wait

    call = Call(
        "disk.folder.uploadFile",
        {
            "id": folder,
            "data": {"NAME": file.name},
            "fileContent": [file.name, _content(file)],
            "generateUniqueName": True,
        },
    )
    for tries in range(1, _MOST_UPLOADS + 1):
        try:
            reply = yield from converse(peer, call)
            break
        except OutcomeUnknownError:
            # If it is there, it is there unseen. It must not be posted, and this is not the last word about it.
            if tries == _MOST_UPLOADS:
                raise
        yield Wait(peer.backoff(tries, peer.patience))
    number = as_number(reply.result.get("ID")) if isinstance(reply.result, dict) else None
    if not number:
        raise UnexpectedReplyError("the portal does not say which file it has stored", method=call.method)
    return int(number)
