"""One at a time: a lock among the threads of a process, or among all processes of a user on this host.

Whoever holds a lock may leave a note for the next one. Nothing here waits: who does not get a lock asks again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import threading
from typing import Protocol

from airflow_provider_b24.rest.ledger import DIRECTORY_VARIABLE, call_after_fork, host_ledger, opened

log = logging.getLogger(__name__)

# A note is a few words; more than this was not written here.
_LONGEST_NOTE = 8192


class Held(Protocol):
    """A lock, as long as one has it."""

    def read(self) -> bytes:
        """The note of an earlier holder; empty if there is none."""

    def write(self, note: bytes) -> None:
        """Leave a note in place of the earlier one."""

    def release(self) -> None:
        """Let the next one have it."""


class Lock(Protocol):
    """What only one may hold at a time."""

    def take(self) -> Held | None:
        """The lock, or None if somebody else has it; answers at once."""


class MemoryLock:
    """Among the threads that share this object."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._note = b""
        call_after_fork(self)

    def take(self) -> Held | None:
        """The lock, or None if somebody else has it."""
        return self if self._lock.acquire(blocking=False) else None

    def read(self) -> bytes:
        """The note of an earlier holder."""
        return self._note

    def write(self, note: bytes) -> None:
        """Leave a note."""
        self._note = note

    def release(self) -> None:
        """Let the next one have it."""
        self._lock.release()

    def forked(self) -> None:
        """This is a new process: whoever held the lock is not in it."""
        self._lock = threading.Lock()


class HostLock:
    """Among all processes of this user on this host, by a locked file.

    The system frees the lock of a process that ends, however it ends. Where no file can be written, the lock is
    one among the threads of this process; that is said once in the log.

    :param name: whose lock it is; what it says is not to be seen in the file's name.
    :param folder: where the file is. Default: where this host's ledger has its own, see :class:`~.ledger.HostLedger`.
    """

    def __init__(self, name: str, folder: str | None = None) -> None:
        self._name = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:32]
        self._folder = folder or host_ledger().directory

    def take(self) -> Held | None:
        """The lock, or None if somebody else has it."""
        try:
            descriptor, _ = opened(self._folder, f"{self._name}.lock")
        except OSError as error:
            return _instead(self._name, error)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            return None if isinstance(error, BlockingIOError) else _instead(self._name, error)
        return _HeldFile(descriptor)


class _HeldFile:
    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        _open_files.add(self)

    def read(self) -> bytes:
        assert self._descriptor is not None
        return os.pread(self._descriptor, _LONGEST_NOTE, 0)

    def write(self, note: bytes) -> None:
        assert self._descriptor is not None
        # A full disk is no reason to fail: the note saves others a question, no more.
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, note[:_LONGEST_NOTE], 0)

    def release(self) -> None:
        _open_files.discard(self)
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self.forget()

    def forget(self) -> None:
        """Close the file without freeing the lock: a child that was forked has it open as well, and is not the one
        who holds it. While it kept it open, the lock would outlive its holder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


_open_files: set[_HeldFile] = set()


def _in_a_forked_child() -> None:
    for held in list(_open_files):
        held.forget()
    _open_files.clear()


os.register_at_fork(after_in_child=_in_a_forked_child)

_instead_of_files: dict[str, MemoryLock] = {}
_said = threading.Event()


def _instead(name: str, error: OSError) -> Held | None:
    if not _said.is_set():
        _said.set()
        log.warning(
            "No lock can be made on this host (%s): access tokens are renewed by one thread of this process at a time, "
            "and processes do not wait for each other; %s names another directory.",
            error.strerror,
            DIRECTORY_VARIABLE,
        )
    return _instead_of_files.setdefault(name, MemoryLock()).take()
