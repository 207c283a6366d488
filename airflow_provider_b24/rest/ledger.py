"""Where what is known of a portal's limits is kept: small records, each changed in one transaction.

How full a portal's request counter is concerns every process that calls the portal. A :class:`Ledger` keeps that
for those who share it: the threads of a process (:class:`MemoryLedger`), the processes of a host
(:class:`HostLedger`), or the hosts behind one address (:class:`~.redis_ledger.RedisLedger`). What a record means is
no business of the ledger: a change is a pure function, the same for all of them.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import struct
import tempfile
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import quote
from weakref import WeakSet

log = logging.getLogger(__name__)

T = TypeVar("T")

# Gets the record (None where there is none) and the ledger's clock; returns the record to keep and a result. The very
# same record is not written again. It is pure, for it may be called more than once.
Change = Callable[[bytes | None, float], tuple[bytes | None, T]]

DIRECTORY_VARIABLE = "B24_LEDGER_DIR"

# How long the lock of a record is tried for, in seconds: it is held for microseconds, so whoever holds it longer has
# been stopped. An event loop stands still meanwhile.
_PATIENCE = 0.1
_POLL = 0.0005
# After this many seconds the disk is tried again; doubled each time, up to the longest.
_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_MOST_OPEN = 64
_LONGEST_NAME = 120
_MOST_UNSAVED = 256

_MAGIC = b"b24\x01"
# magic, checksum of all that follows, length of the record, the ledger's clock
_HEADER = struct.Struct("<4sIId")
_CHECKED_FROM = 8
MOST_BYTES = (1 << 14) - _HEADER.size
# A clock that is this much behind a record has begun anew: the machine was started again.
_CLOCK_JUMP = 60.0


class Ledger(Protocol):
    """Keeps small records for those who share it.

    :ivar blocking: whether an update may take longer than a moment, so that an event loop leaves it to a thread.
    """

    @property
    def blocking(self) -> bool: ...

    def update(self, key: str, change: Change[T]) -> T:
        """Change one record in one transaction.

        Never fails for reasons of the ledger's own: where the place of the records is out of reach, it goes on with
        what this process knows.

        :param key: names the record. It may be seen by others; no secret belongs into it.
        :param change: gets the record, or None, and the ledger's clock in seconds, which only grows and is the same
            for all who share the ledger; returns the record to keep (None: no record) and what is returned here. It
            must be pure, for it may be called more than once. A record has 16,000 bytes at the most.
        """


def seal(record: bytes, now: float) -> bytes:
    """A record as it is stored where others could leave something else, or half of it."""
    if len(record) > MOST_BYTES:
        raise ValueError(f"a record of {len(record)} bytes is too long for a ledger")
    rest = struct.pack("<Id", len(record), now) + record
    return _MAGIC + struct.pack("<I", zlib.crc32(rest)) + rest


def unseal(stored: bytes, now: float) -> bytes | None:
    """The record in what was stored; None if it is torn, foreign, or from before the clock began anew."""
    if len(stored) < _HEADER.size:
        return None
    magic, checksum, length, at = _HEADER.unpack_from(stored)
    end = _HEADER.size + length
    if magic != _MAGIC or end > len(stored) or at > now + _CLOCK_JUMP:
        return None
    if zlib.crc32(memoryview(stored)[_CHECKED_FROM:end]) != checksum:
        return None
    return stored[_HEADER.size : end]


def new_lock() -> threading.RLock:
    """A lock for the threads of a process.

    The same thread gets it twice: Airflow calls ``on_kill`` in a signal handler, and who calls the portal there would
    otherwise wait for ever for what was interrupted.
    """
    return threading.RLock()


class MemoryLedger:
    """Records of this process, or of one test.

    :param clock: seconds that only grow.
    """

    blocking = False

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: dict[str, bytes | None] = {}
        self._lock = new_lock()
        call_after_fork(self)

    def update(self, key: str, change: Change[T]) -> T:
        """See :meth:`Ledger.update`."""
        with self._lock:
            self._records[key], result = change(self._records.get(key), self._clock())
            return result

    def forked(self) -> None:
        """This is a new process: whoever held the lock is not in it."""
        self._lock = new_lock()


class _File(NamedTuple):
    number: int
    identity: tuple[int, int]


class HostLedger:
    """Records that all processes of one user on this host share: small files, each under a lock.

    The files lie in a directory that only this user may enter. It is named by the environment variable
    ``B24_LEDGER_DIR``; by default it is ``airflow-provider-b24-<uid>`` in the directory for temporary files.
    Processes that see different directories (containers without a common volume, services of systemd with
    ``PrivateTmp=true``) or run as different users do not share: name a common directory on a local disk for the
    former, and use Redis for the latter.

    A lock ends with the process that holds it, and a record is written in one piece and checked when it is read: no
    death leaves anything behind that would stop others. Where the lock is not to be had (its holder is stopped, not
    dead) or the disk can not be used, this process goes on with what it knows, says so once in the log, tries
    again later, and then writes down what it did meanwhile.

    :param directory: instead of the default.
    :param clock: seconds that only grow, the same for all processes of the host.
    """

    blocking = False

    def __init__(self, directory: str | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.directory = directory or os.environ.get(DIRECTORY_VARIABLE) or _default_directory()
        self._clock = clock
        self._lock = new_lock()
        self._files: dict[str, _File] = {}
        # What this process knows of the records, and what it changed without writing it down.
        self._known: dict[str, bytes | None] = {}
        self._unsaved: deque[tuple[str, Change[Any], float]] = deque(maxlen=_MOST_UNSAVED)
        self._failures = 0
        self._again = float("-inf")
        self._told: set[str] = set()
        call_after_fork(self)

    def update(self, key: str, change: Change[T]) -> T:
        """See :meth:`Ledger.update`."""
        with self._lock:
            begun = time.monotonic()
            if begun >= self._again:
                try:
                    result = self._from_disk(key, change, begun + _PATIENCE)
                except OSError as error:
                    self._failed(error, begun)
                else:
                    self._failures = 0
                    return result
            return self._from_memory(key, change)

    def close(self) -> None:
        """Close the files; the next update opens them again."""
        with self._lock:
            for key in list(self._files):
                self._drop(key)

    def forked(self) -> None:
        """This is a new process: its lock must be its own, and so must be the files, which the others' locks are on."""
        self._lock = new_lock()
        self._unsaved.clear()
        for key in list(self._files):
            self._drop(key)

    def _failed(self, error: OSError, at: float) -> None:
        self._failures += 1
        if not isinstance(error, TimeoutError):
            self._tell(error.strerror or type(error).__name__)
        # A holder that the machine has just not let run is no reason for words, or for leaving the disk alone.
        elif self._failures > 1:
            self._tell("another process holds the lock of a record, and does not run")
        else:
            return
        self._again = at + min(_LONGEST_PAUSE, _PAUSE * 2 ** min(self._failures - 1, 10))

    def _from_memory(self, key: str, change: Change[T]) -> T:
        now = self._clock()
        self._known[key], result = change(self._known.get(key), now)
        self._unsaved.append((key, change, now))
        return result

    def _from_disk(self, key: str, change: Change[T], deadline: float) -> T:
        try:
            file = self._locked(key, deadline)
            now = self._clock()
            record = found = unseal(os.pread(file, _HEADER.size + MOST_BYTES, 0), now)
            for other, missed, then in self._unsaved:
                if other == key:
                    record, _ = missed(record, then)
            record, result = change(record, now)
            if record is not found:
                stored = seal(record, now) if record is not None else bytes(_HEADER.size)
                if os.pwrite(file, stored, 0) != len(stored):
                    raise OSError(0, "the disk is full")
        finally:
            # Whatever is raised meanwhile, by a signal for example: the lock is not kept.
            with suppress(OSError, KeyError):
                fcntl.flock(self._files[key].number, fcntl.LOCK_UN)
        self._known[key] = record
        if self._unsaved:
            self._unsaved = deque((entry for entry in self._unsaved if entry[0] != key), _MOST_UNSAVED)
        return result

    def _locked(self, key: str, deadline: float) -> int:
        """The file of a record, under its lock."""
        while True:
            file = self._files.get(key) or self._open(key)
            try:
                fcntl.flock(file.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found = os.fstat(file.number)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError from None
                time.sleep(_POLL)
                continue
            except OSError as error:
                if error.errno != errno.EBADF:
                    raise
                found = None
            if found is not None and found.st_nlink and (found.st_dev, found.st_ino) == file.identity:
                return file.number
            # Somebody has tidied up: the directory, where the others are at a new file of that name by now, or the
            # open files of this process, and the number means another one.
            self._drop(key)

    def _drop(self, key: str) -> None:
        file = self._files.pop(key)
        with suppress(OSError):
            found = os.fstat(file.number)
            if (found.st_dev, found.st_ino) == file.identity:
                os.close(file.number)

    def _open(self, key: str) -> _File:
        while len(self._files) >= _MOST_OPEN:
            self._drop(next(iter(self._files)))
        number, found = opened(self.directory, _file_name(key))
        self._files[key] = file = _File(number, (found.st_dev, found.st_ino))
        return file

    def _tell(self, problem: str) -> None:
        if problem not in self._told:
            self._told.add(problem)
            log.warning(
                "The request limit can not be shared with the other processes of this host for now, in %s: %s. "
                "This process counts for itself; %s names another directory.",
                self.directory,
                problem,
                DIRECTORY_VARIABLE,
            )


def host_ledger() -> HostLedger:
    """The ledger of this host, in the directory that is named now; one for the whole process."""
    directory = os.environ.get(DIRECTORY_VARIABLE) or _default_directory()
    with _creating:
        found = _hosts.get(directory)
        if found is None:
            found = _hosts[directory] = HostLedger(directory)
        return found


def opened(directory: str, name: str) -> tuple[int, os.stat_result]:
    """A file for reading and writing in a directory that only this user may enter; both are made if they are missing.

    Whatever lies there under these names, nobody shall lead us to another place, or listen.

    :return: its number, and what it is.
    :raises OSError: also if what lies there is somebody else's.
    """
    os.makedirs(directory, mode=0o700, exist_ok=True)
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _check(folder, stat.S_ISDIR)
        number = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        return number, _check(number, stat.S_ISREG)
    except OSError:
        os.close(number)
        raise


def _check(file: int, kind: Callable[[int], bool]) -> os.stat_result:
    found = os.fstat(file)
    if not kind(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise OSError(0, "what lies there belongs to somebody else, or others may enter it (chmod 700)")
    return found


def _default_directory() -> str:
    # Not XDG_RUNTIME_DIR: a login has one and a service has none, and both are to share.
    return os.path.join(tempfile.gettempdir(), f"airflow-provider-b24-{os.geteuid()}")


def _file_name(key: str) -> str:
    name = quote(key, safe=":")
    return name if len(name) <= _LONGEST_NAME and name[0] != "." else sha256(key.encode()).hexdigest()


def call_after_fork(owner: Any) -> None:
    """Have ``forked`` of this object called in processes that are forked from this one."""
    _living.add(owner)


def _forked() -> None:
    global _creating  # noqa: PLW0603
    _creating = new_lock()
    for owner in _living:
        owner.forked()


_hosts: dict[str, HostLedger] = {}
_creating = new_lock()
_living: WeakSet[Any] = WeakSet()
os.register_at_fork(after_in_child=_forked)
