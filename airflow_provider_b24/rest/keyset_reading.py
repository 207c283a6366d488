"""Reading a list by key, in chains of pages side by side: what is asked for next, and what is proven. Pure.

What has still to be read is a row of pieces: ranges of positions (see :mod:`.keyset`), each up to the beginning of the
next, the last one up to the end that the list had when the reading began. A piece is read by a chain of pages from its
beginning, and shrinks from there, whatever becomes of the chain. It is over when nothing can be left in it: a row at
its end or beyond was seen. A page that is merely short proves nothing, and an empty one little: what comes next,
wherever, is asked for then; and where nothing comes, which row is the last one now.
"""

from __future__ import annotations

import logging
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import gt, lt
from typing import Any

from airflow_provider_b24.rest.chains import Answer, Chain, converse_chains
from airflow_provider_b24.rest.errors import (
    Bitrix24Error,
    IncompleteReplyError,
    LimitError,
    NotFoundError,
    OutcomeUnknownError,
)
from airflow_provider_b24.rest.keyset import PAGE, Keyset, rows_of
from airflow_provider_b24.rest.lanes import Lane, Work, check_parallel
from airflow_provider_b24.rest.pace import Pace
from airflow_provider_b24.rest.pages import Page, resumable
from airflow_provider_b24.rest.windows import Density

log = logging.getLogger(__name__)

# Pages that are asked for first, from one end or the other: of a whole list, and of one with conditions, of which there
# may be few rows.
_FIRST_PAGES, _FEW_FIRST_PAGES = 49, 2
# An answer of so many bytes holds rows that are too wide to be kept until their turn comes.
_WIDE = 4_000_000
# Where nothing is known of what lies ahead and pages behind the last one cost as much as others.
_LEAP_PAGES = 10
# No new piece is begun with fewer pages in a request that has others.
_FEWEST_PAGES = 10
# What is held or under way at once, in requests for each lane: what is late must not be waited for with all the rest.
_AHEAD = 1.5
# So often a reference has led nowhere, or a short page was not the last, before each page is asked for by ids we know.
_BREAKS = 2
_SHORT_PAGES = 3.0
# So many empty pages in a row are believed where no row is known to lie behind them.
_EMPTY_PAGES = 2


@dataclass(eq=False)
class _Piece:
    """What lies between two positions.

    :ivar low: all up to here is known.
    :ivar high: where it ends; None where that is not known, and an empty page is the end.
    :ivar density: what is foretold of it; None where nothing is.
    :ivar told_at: the position of what that was learned from.
    :ivar pages: what was not given out yet.
    :ivar asked: how many pages of it are under way.
    :ivar short: whether its last page was short, and not proven to be the last.
    :ivar empty: empty pages in a row.
    :ivar empty_at: the number of the first of them in its chain.
    :ivar failures: requests in a row that brought nothing.
    :ivar error: what ends the reading here.
    """

    low: int | None
    high: int | None
    density: Density | None = None
    told_at: int | None = None
    pages: list[Page] = field(default_factory=list, repr=False)
    asked: int = 0
    out: bool = False
    over: bool = False
    short: bool = False
    empty: int = 0
    empty_at: int = 0
    failures: int = 0
    error: Bitrix24Error | None = None


@dataclass(frozen=True)
class _Request:
    """What a lane is for: so many pages from the other end, and chains with their pieces."""

    look: int
    alone: bool
    chains: Sequence[tuple[_Piece, Chain]] = field(repr=False)


class KeysetReading(Work[Page]):
    """Every row of a list once, in order.

    :param after: the id behind which it begins.
    :param parallel: requests at once at most.
    """

    def __init__(self, keyset: Keyset, after: int | str | None, parallel: int) -> None:
        check_parallel(parallel)
        self._keyset = keyset
        self._after = after
        self._pace = Pace(parallel)
        self.width = parallel
        self._pieces = [_Piece(keyset.start, None)]
        # The position that all begins behind.
        self._first = keyset.start
        self._looked = False
        # The rows at the other end, and the position of the last one: all from the first one on is known.
        self._seen: tuple[list[Any], list[int]] | None = None
        self._last = 0
        self._alone = not keyset.batch
        # Whether a reference to the page before leads to its last row: None until one has, or several have not.
        self._chained: bool | None = None
        self._breaks = 0
        self._short_pages = 0.0
        # How many pieces may be under way: behind a stretch without rows, what was read says little of what comes.
        self._trusted = math.inf

    def begin(self) -> Lane | None:
        """The next request, for the first pieces that none is under way for."""
        if not self._looked:
            return self._opening()
        if sum(piece.out for piece in self._pieces) >= self._trusted:
            return None
        # A list whose end is not known is read page by page.
        limit = 1 if self._alone or (self._pieces and self._pieces[-1].high is None) else self._pace.commands
        room = self._room()
        chains: list[tuple[_Piece, Chain]] = []
        used = at = 0
        while at < len(self._pieces) and used < limit:
            piece = self._pieces[at]
            if piece.error is not None or (at and room <= 0):
                break
            # What has failed goes by itself: it has to wait before.
            if not (piece.out or piece.over or (chains and piece.failures != chains[0][0].failures)):
                if piece.empty >= _EMPTY_PAGES:
                    if chains:
                        break
                    return self._lane([(piece, Chain(piece.low, None, 0))], look=1)
                chain = self._chain(at, limit - used, beside=bool(chains))
                if chain is None:
                    break
                chains.append((piece, chain))
                used += chain.pages
                room -= chain.pages
            if piece.empty and piece.high is not None and piece.low is not None and piece.high - piece.low > PAGE:
                # What comes next will show how far there is nothing.
                break
            at += 1
        return self._lane(chains, look=0) if chains else None

    def end(self, lane: Lane, outcome: Any) -> None:
        """Take what an answer proves."""
        request: _Request = lane.about
        answer: Answer = Answer(error=outcome) if isinstance(outcome, Bitrix24Error) else outcome
        for piece, _ in request.chains:
            piece.out, piece.asked = False, 0
        if answer.error is not None:
            self._failed(request, answer, answer.error)
        else:
            self._pace.answered(answer.commands, answer.seconds, answer.waited, answer.size)
            if request.look and self._looked:
                self._see_whether_it_ends(request.chains[0][0], answer)
            elif not request.look or self._see_the_end(answer):
                for (piece, chain), pages in zip(request.chains, answer.pages, strict=False):
                    self._take(piece, chain, pages, answer.tries)
                if request.look:
                    self._join_the_end()
        self.width = self._pace.lanes

    def ready(self) -> list[Page]:
        """The rows of the first pieces, as far as they are known."""
        pages: list[Page] = []
        while self._pieces:
            piece = self._pieces[0]
            if piece.pages:
                pages += piece.pages
                piece.pages = []
                self._after = pages[-1].after
            if not piece.over:
                if piece.error is not None and not pages:
                    raise resumable(piece.error, self._after)
                break
            del self._pieces[0]
        return pages

    def share(self) -> float | None:
        """How much of the ids lies behind; None before the last one is known."""
        last = self._pieces[-1].high if self._pieces else None
        if last is None or self._first is None or self._pieces[0].low is None:
            return None
        return (self._pieces[0].low - self._first) / max(1, last - self._first)

    @property
    def over(self) -> bool:
        """Whether all has been given out."""
        return not self._pieces

    # ---- what is asked for

    def _opening(self) -> Lane | None:
        """The first request: which id is the last one now, and the first pages, which make the question useful.

        Where a reference that leads nowhere is not refused, pages behind the last one cost as much as others. There it
        goes downwards from the other end, below which such a reference finds nothing; but not where an earlier reading
        has stopped, for all that would have to be held until the end.
        """
        piece = self._pieces[0]
        if piece.out or piece.error is not None:
            return None
        if self._alone:
            return self._lane([(piece, Chain(piece.low, None, 0))], look=1)
        known, whole = self._keyset.known, not self._keyset.filtered
        most = 1 if self._chained is False else max(1, self._pace.commands - 1)
        pages = min(_FIRST_PAGES, most) if whole and known.strict else min(_FEW_FIRST_PAGES, most)
        look = 1
        if whole and not known.strict and piece.low is None:
            pages, look = 1, min(_FIRST_PAGES, most)
        return self._lane([(piece, Chain(piece.low, None, pages))], look=look)

    def _lane(self, chains: Sequence[tuple[_Piece, Chain]], *, look: int) -> Lane:
        for piece, chain in chains:
            piece.out, piece.asked = True, chain.pages
        alone = self._alone or look + sum(chain.pages for _, chain in chains) == 1
        conversation = partial(
            converse_chains,
            keyset=self._keyset,
            chains=[chain for _, chain in chains],
            look=look,
            alone=alone,
            failures=chains[0][0].failures,
        )
        return Lane(conversation, _Request(look, alone, chains))

    def _room(self) -> float:
        """For how many more pages there is room, beside those that are held or under way."""
        held = sum(piece.asked + sum(len(page.rows) for page in piece.pages) / PAGE for piece in self._pieces)
        commands = 1 if self._alone else self._pace.commands
        return (_AHEAD * self._pace.lanes + 1) * commands - held

    def _chain(self, at: int, most: int, *, beside: bool) -> Chain | None:
        """The pages to read a piece by, which is cut where it is too long for one request.

        :param most: how many there may be.
        :param beside: whether the request has others already.
        """
        piece = self._pieces[at]
        if piece.empty:
            # No end: what comes next shows how far there is nothing.
            return Chain(piece.low, None, 1)
        if self._chained is False:
            most = 1
        if piece.low is None or piece.high is None or piece.density is None:
            if beside:
                return None
            pages = most if self._keyset.known.strict else min(most, _LEAP_PAGES)
            return Chain(piece.low, piece.high, _bounded(pages, piece.low, piece.high))
        density = piece.density
        width = density.width(most)
        if piece.high - piece.low > width:
            if beside and most < _FEWEST_PAGES and self._chained is not False:
                return None
            cut = piece.low + width
            self._pieces.insert(at + 1, _Piece(cut, piece.high, density, piece.told_at))
            piece.high = cut
            pages = most
        else:
            overlap = min(density.overlap(most), self._last - piece.high)
            pages = min(most, density.pages(piece.high - piece.low, overlap))
        high = min(piece.high + density.overlap(pages), self._last)
        return Chain(piece.low, high, _bounded(pages, piece.low, high))

    # ---- what has come

    def _see_the_end(self, answer: Answer) -> bool:
        """Learn which row is the last one now; whether the answer told anything of that."""
        piece = self._pieces[0]
        if answer.look is None or isinstance(answer.look, Bitrix24Error):
            error = answer.look or _nothing_said(self._keyset.method)
            if not self._refuses_batches(error):
                self._fail(piece, error, answer.tries, at_once=error.permanent)
            return False
        try:
            rows = rows_of(self._keyset.method, answer.look, self._keyset.known.rows)
        except IncompleteReplyError as error:
            self._fail(piece, error, answer.tries, at_once=False)
            return False
        try:
            positions = self._keyset.positions(rows)
        except IncompleteReplyError as error:
            piece.error = error
            return False
        self._looked = True
        start = self._keyset.start
        if positions and all(map(gt, positions, positions[1:])) and (start is None or positions[-1] > start):
            if piece.low is None or positions[0] > piece.low:
                piece.high = positions[0]
                self._see_further(rows, positions, answer)
                self._seen = rows[::-1], positions[::-1]
            else:
                piece.over = True
        elif positions:
            log.info("%s does not sort in the other direction: it is read page by page.", self._keyset.method)
        else:
            piece.empty = 1
        return True

    def _see_further(self, rows: list[Any], positions: list[int], answer: Answer) -> None:
        """Take the pages that follow at the other end, as far as they can be believed."""
        length = len(rows)
        for page in answer.behind if answer.size <= _WIDE else ():
            if length != PAGE or page is None or isinstance(page, Bitrix24Error):
                return
            try:
                found = rows_of(self._keyset.method, page, self._keyset.known.rows)
                at = self._keyset.positions(found)
            except IncompleteReplyError:
                return
            if not at or at[0] >= positions[-1] or not all(map(gt, at, at[1:])):
                return
            if self._first is not None and at[-1] <= self._first:
                return
            rows += found
            positions += at
            length = len(found)

    def _see_whether_it_ends(self, piece: _Piece, answer: Answer) -> None:
        """Learn whether there is nothing behind empty pages: what is left of the list may have been removed."""
        error = answer.look if isinstance(answer.look, Bitrix24Error) else None
        if error is None:
            try:
                positions = self._keyset.positions(rows_of(self._keyset.method, answer.look, self._keyset.known.rows))
            except IncompleteReplyError as caught:
                error = caught
            else:
                if not positions:
                    # Rows were seen there: that all of them are gone is not believed at once.
                    piece.empty += 1
                    piece.over = piece.empty > _EMPTY_PAGES + answer.tries
                    return
                if piece.low is not None and positions[0] <= piece.low:
                    piece.over = True
                    return
                piece.empty = 1
                error = IncompleteReplyError(
                    f"the portal sends empty pages, and has a row with {self._keyset.known.filter_key} "
                    f"{self._keyset.id_at(positions[0])} behind them",
                    method=self._keyset.method,
                )
        self._fail(piece, error, answer.tries, at_once=error.permanent)

    def _join_the_end(self) -> None:
        """What was seen at the other end is the last piece, which has been read; what lies before it is left."""
        piece = self._pieces[0]
        if piece.over or self._seen is None:
            return
        rows, positions = self._seen
        known = 0 if piece.low is None else bisect_right(positions, piece.low)
        self._last = positions[0]
        piece.high = self._last - 1
        piece.over = known > 0 or piece.low == piece.high
        end = _Piece(positions[-1], positions[-1], over=True)
        end.pages.append(Page(rows[known:], self._keyset.id_at(positions[-1])))
        self._pieces.append(end)
        self._seen = None
        if len(positions) > PAGE:
            # Of many rows far away, and of few near by.
            far = Density(len(positions), positions[-1] - positions[0] + 1)
            if piece.density is None or 0.5 < piece.density.value / far.value < 2:
                piece.density = far

    def _take(self, piece: _Piece, chain: Chain, pages: Sequence[Any], tries: int) -> None:
        """Take the pages of a chain."""
        before, known, was_short = piece.low, len(piece.pages), piece.short
        try:
            trouble = self._accept(piece, pages)
        except IncompleteReplyError as error:
            piece.error = error
            return
        found = piece.pages[known:]
        count = sum(len(page.rows) for page in found)
        if was_short:
            # There were rows behind a page that was short.
            self._short_pages += 1.0 if count else -0.25
            self._give_up_chains(when=self._short_pages >= _SHORT_PAGES, why="pages are short that are not the last")
            self._short_pages = max(0.0, self._short_pages)
        if count or piece.over:
            piece.failures = 0
            self._trusted *= 2 if count else 1
            if before is None:
                before = self._keyset.positions(found[0].rows[:1])[0] - 1 if found else 0
                self._first = before
            self._foretell(piece, before, count)
        elif trouble is not None and not self._refuses_batches(trouble):
            self._fail(piece, trouble, tries, at_once=trouble.permanent)

    def _accept(self, piece: _Piece, pages: Sequence[Any]) -> Bitrix24Error | None:
        """Take pages as far as they can be believed; what is wrong with the next one."""
        piece.short = False
        length = PAGE
        full = self._accept_full(piece, pages)
        if piece.over:
            return None
        for number, page in enumerate(pages[full:], full):
            if length != PAGE:
                # The next page refers to a row that is not there.
                piece.short = True
                return None
            if page is None or isinstance(page, Bitrix24Error):
                self._broken(number, certain=page is not None and page.permanent)
                return page or _nothing_said(self._keyset.method)
            try:
                rows = rows_of(self._keyset.method, page, self._keyset.known.rows)
            except IncompleteReplyError as error:
                return error
            positions = self._keyset.positions(rows)
            if positions and ((piece.low is not None and positions[0] <= piece.low) or not _ascending(positions)):
                self._broken(number, certain=True)
                return self._not_in_order(piece.low, positions)
            if number:
                self._chained = True
            if not rows:
                self._accept_empty(piece, number)
                return None
            self._keep(piece, rows, positions)
            if piece.over:
                return None
            length = len(rows)
        piece.short = length != PAGE
        return None

    def _accept_empty(self, piece: _Piece, number: int) -> None:
        """An empty page may be the end, or a mistake of the portal's."""
        if not piece.empty:
            piece.empty_at = number
        piece.empty += 1
        piece.over = piece.high is None and piece.empty >= _EMPTY_PAGES

    def _accept_full(self, piece: _Piece, pages: Sequence[Any]) -> int:
        """Take full pages in order at once, which is what most answers are, in half the time; how many they are."""
        rows: list[Any] = []
        count = 0
        try:
            for page in pages:
                if page is None or isinstance(page, Bitrix24Error):
                    break
                found = rows_of(self._keyset.method, page, self._keyset.known.rows)
                if len(found) != PAGE:
                    break
                rows += found
                count += 1
            positions = self._keyset.positions(rows)
        except IncompleteReplyError:
            return 0
        if count < 2 or (piece.low is not None and positions[0] <= piece.low) or not _ascending(positions):
            return 0
        self._chained = True
        self._keep(piece, rows, positions)
        return count

    def _keep(self, piece: _Piece, rows: list[Any], positions: list[int]) -> None:
        """Rows that follow what is known; those behind the end are somebody else's, and show that this was reached."""
        if piece.empty:
            if piece.high is None or positions[0] <= piece.high:
                # There were rows behind an empty page.
                self._broken(piece.empty_at, certain=True)
            # Where even the other end was empty, it is looked at again.
            self._looked = self._looked and piece.high is not None
            piece.empty = 0
            if piece.high is not None and positions[0] > piece.high:
                self._leap(piece, positions[0])
        if piece.high is not None and positions[-1] >= piece.high:
            piece.over = True
            if positions[-1] > piece.high:
                fitting = bisect_right(positions, piece.high)
                rows, positions = rows[:fitting], positions[:fitting]
        if rows:
            piece.pages.append(Page(rows, self._keyset.id_at(positions[-1])))
            piece.low = positions[-1]

    def _leap(self, piece: _Piece, position: int) -> None:
        """Leave out what lies ahead up to a row that was the next one."""
        self._trusted = 1.0
        for other in self._pieces[self._pieces.index(piece) + 1 :]:
            if other.out or other.over or other.pages or other.low is None or other.high is None:
                continue
            if other.high >= position:
                if other.low < position - 1:
                    other.low, other.density, other.empty = position - 1, None, 0
                break
            other.over = True

    def _not_in_order(self, low: int | None, positions: Sequence[int]) -> Bitrix24Error:
        for position in positions:
            if low is not None and position <= low:
                break
            low = position
        return self._keyset.not_in_order(low, position)

    def _foretell(self, piece: _Piece, before: int, count: int) -> None:
        """What was read behind a position foretells what lies ahead."""
        until = piece.high if piece.over else piece.low
        if piece.high is None or until is None:
            return
        ids = until - before
        ahead = [piece] if not piece.over else []
        at = self._pieces.index(piece)
        ahead += [other for other in self._pieces[at + 1 :] if not (other.out or other.over or other.pages)][:1]
        for one in ahead:
            if one.told_at is not None and one.told_at > before:
                continue
            one.told_at = before
            if not count or ids <= 0:
                one.density = None
            elif one.density is None or piece.density is None:
                one.density = Density(count, ids)
            else:
                one.density = one.density.with_next(count, ids, piece.density)

    # ---- what has gone wrong

    def _failed(self, request: _Request, answer: Answer, error: Bitrix24Error) -> None:
        """A request has failed as a whole."""
        if not request.alone and isinstance(error, NotFoundError):
            log.info("%s has no batch: it is read page by page.", self._keyset.method)
            self._alone = True
            return
        lost = isinstance(error, OutcomeUnknownError)
        if lost:
            self._pace.lost()
        smaller = lost and answer.commands > 1
        at_once = (error.permanent and not smaller) or isinstance(error, LimitError)
        for piece, _ in request.chains:
            self._fail(piece, error, answer.tries, at_once=at_once)

    def _fail(self, piece: _Piece, error: Bitrix24Error, tries: int, *, at_once: bool) -> None:
        """It has brought nothing: it is tried again, or the reading ends there."""
        piece.failures += 1
        if at_once or piece.failures >= tries:
            if piece.failures > 1:
                error.advice = f"Tried {piece.failures} times. {error.advice}".rstrip()
            piece.error = error

    def _refuses_batches(self, error: Bitrix24Error) -> bool:
        """Whether the method must not be called in a batch; then it is called by itself from now on."""
        if self._alone or (error.code or "").lower() != "error_batch_method_not_allowed":
            return False
        log.info("%s can not be called in a batch: it is read page by page.", self._keyset.method)
        self._alone = True
        return True

    def _broken(self, number: int, *, certain: bool) -> None:
        """A page that refers to a full one before it is not what it should be."""
        if number and certain and self._chained is None:
            self._breaks += 1
            self._give_up_chains(when=self._breaks >= _BREAKS, why="references to the page before lead nowhere")

    def _give_up_chains(self, *, when: bool, why: str) -> None:
        if when and self._chained is not False:
            log.info("%s: %s; each page is asked for by ids that are known.", self._keyset.method, why)
            self._chained = False


def _ascending(positions: Sequence[int]) -> bool:
    return all(map(lt, positions, positions[1:]))


def _bounded(pages: int, low: int | None, high: int | None) -> int:
    """No more pages than there are ids."""
    return pages if low is None or high is None else min(pages, max(1, math.ceil((high - low) / PAGE)))


def _nothing_said(method: str) -> IncompleteReplyError:
    return IncompleteReplyError("the portal's answer to the batch says nothing of a page", method=method)
