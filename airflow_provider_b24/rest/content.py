"""A file in the body of a request: it is read, encoded and sent in pieces, so that memory does not grow with it."""

from __future__ import annotations

import binascii
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

from airflow_provider_b24.rest.errors import FileError

# How much of a file is read at once, in bytes. A multiple of 3, so that only the end of a base64 text is padded.
_PIECE = 3 << 16
# A line that takes less than this is too slow, in bytes a second: 2 Mbit/s.
_LEAST_SPEED = 1 << 18
# Seconds that a body may take besides, however small it is.
_AT_LEAST = 30.0


@dataclass(frozen=True)
class Content:
    """A file as a parameter: where it stands, its bytes go to the portal as base64.

    :ivar name: what errors call it.
    :ivar size: in bytes, exactly.
    :ivar open: opens it for reading; again for each request that is sent again.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes]] = field(repr=False)

    def __len__(self) -> int:
        """How many characters it takes as base64."""
        return 4 * ((self.size + 2) // 3)

    def pieces(self) -> Iterator[bytes]:
        """Its base64.

        :raises FileError: if it can not be read, or has not the size that it had.
        """
        left = self.size
        with self._opened() as stream:
            while left:
                piece = self._read(stream, min(left, _PIECE))
                left -= len(piece)
                yield binascii.b2a_base64(piece, newline=False)
            if self._read(stream, 1, whole=False):
                raise self._changed("grew")

    def _opened(self) -> IO[bytes]:
        try:
            return self.open()
        except Exception as caught:
            error = caught
        raise unreadable(self.name, error)

    def _read(self, stream: IO[bytes], count: int, *, whole: bool = True) -> bytes:
        """So many bytes; a stream may give fewer at a time."""
        taken = b""
        error: Exception | None = None
        try:
            while len(taken) < count and (piece := stream.read(count - len(taken))):
                taken += piece
        except Exception as caught:
            error = caught
        if error is not None:
            raise unreadable(self.name, error)
        if whole and len(taken) < count:
            raise self._changed("shrank")
        return taken

    def _changed(self, how: str) -> FileError:
        return FileError(
            f"the file {self.name!r} {how} while it was sent: it had {self.size:,} bytes",
            advice="Nothing was posted. Send a file that nobody writes to any more.",
        )


def unreadable(name: str, error: Exception) -> FileError:
    """A file could not be read. Of the error only what can hold no secret is told, such as a signed URL."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return FileError(f"the file {name!r} can not be read: {reason}")


class Body:
    """A body with files in it, for one request.

    :ivar complete: whether its last piece was handed over. The portal can not read a body without its end: until then
        nothing can have been done.
    """

    def __init__(self, parts: Sequence[bytes | Content]) -> None:
        self._parts = parts
        self.complete = False

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    @property
    def seconds(self) -> float:
        """How long it may take to be sent."""
        return seconds_for(len(self))

    def __iter__(self) -> Generator[bytes, None, None]:
        """Its pieces.

        :raises FileError: if a file can not be read, has changed, or the line is too slow.
        """
        until = time.monotonic() + self.seconds
        for number, part in enumerate(self._parts, 1):
            if isinstance(part, bytes):
                self.complete = number == len(self._parts)
                yield part
                continue
            for piece in part.pieces():
                if time.monotonic() > until:
                    raise _too_slow(part.name, self.seconds)
                yield piece


def seconds_for(size: int) -> float:
    """How long a body of so many bytes may take to be sent."""
    return _AT_LEAST + size / _LEAST_SPEED


def _too_slow(name: str, seconds: float) -> FileError:
    return FileError(
        f"the file {name!r} was not sent within {seconds:.0f} s",
        advice="Nothing was posted. A file goes at 2 Mbit/s at least: the line to the portal, or what the file is read "
        "from, is slower.",
    )
