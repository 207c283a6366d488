"""Whose turn it is: which dialogs' signals share the next request, and when it goes out. Pure.

A request carries 50 signals, so a thousand dialogs need 20 requests for each signal of theirs. Who is darkest goes
first. What is nearly due goes along where there is room, so that a few dozen dialogs, whenever they began, soon need
no more than one request for each of their intervals. In a crowd, signals come as late as still leaves time to send a
lost one again: a request a second is enough for 800 dialogs, and what else the portal allows is left to work.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from airflow_provider_b24.chat.typing import ANSWER, Light, lasting
from airflow_provider_b24.rest.batch import MOST_COMMANDS
from airflow_provider_b24.rest.errors import Bitrix24Error, LimitError, LowBucketError, OperatingLimitError
from airflow_provider_b24.rest.protocol import Call

# A new lamp waits this long for company, in seconds: those that start together go out together.
_GATHER = 0.1
# Seconds between two requests; and where a light is about to go out, which keeps within 2 requests a second.
_CALM = 1.0
_HASTE = 0.6
# A light that lasts less than this is about to go out: a request that gets no answer has to be followed by another.
_CLOSE = ANSWER + 3.0
# While the portal gives no answers, the pause between two requests doubles up to this.
_LONGEST_PAUSE = 12.0
# A request that got no answer was too large, perhaps: the next carries half as many signals, and each that is answered
# lets the next carry two more.
_MORE = 2
# How long a method rests whose execution time is used up, where the portal does not say.
_REST = 60.0


class Lamp:
    """One who wants a dialog lit.

    :param key: what makes two signals the same.
    :param call: the signal.
    :param light: when the next one is due.
    :param since: the time now.
    :param changed: called when it is switched on or off.
    :ivar on: whether it is to be lit.
    :ivar signals: how many the portal has taken.
    :ivar in_turn: whether a signal is on its way.
    :ivar context: where what happens is to be logged: in the context of whoever has made the lamp.
    """

    def __init__(
        self, key: Hashable, call: Call, light: Light, since: float, changed: Callable[[], object] = lambda: None
    ) -> None:
        self.key = key
        self.call = call
        self.light = light
        self.on = True
        self.signals = 0
        self.in_turn = False
        self.context = contextvars.copy_context()
        self._from = since + _GATHER
        self._changed = changed

    def switch(self, on: bool) -> None:
        """Let it be lit from now on, or not any more."""
        if on != self.on:
            self.on = on
            self._changed()

    def wait(self, now: float) -> float | None:
        """Seconds until its next signal is due; None if none is needed."""
        if not self.on or self.in_turn:
            return None
        pause = self.light.wait(now)
        return None if pause is None else max(pause, self._from - now)


@dataclass(frozen=True)
class Turn:
    """One request.

    :ivar at: when it goes out.
    :ivar lamps: by signal, those that it lights.
    """

    at: float
    lamps: list[list[Lamp]]

    def __contains__(self, lamp: Lamp) -> bool:
        return any(lamp in lamps for lamps in self.lamps)

    @property
    def calls(self) -> list[Call]:
        """The signals; each lasts as long as the most that one of its lamps needs."""
        return [lasting(lamps[0].call, max(lamp.light.span(self.at) for lamp in lamps)) for lamps in self.lamps]


class Rota:
    """Hands out turns. Told the time, it never looks at a clock."""

    def __init__(self) -> None:
        # In the order in which they came.
        self._lamps: dict[Lamp, None] = {}
        self._sent = float("-inf")
        self._most = MOST_COMMANDS
        self._under_way = 0
        self._failures = 0
        self._failed = float("-inf")
        self._resumes = float("-inf")
        self._rests: dict[str, float] = {}

    def add(self, lamp: Lamp) -> None:
        """Let a lamp take part."""
        self._lamps[lamp] = None

    def remove(self, lamp: Lamp) -> None:
        """It takes no part any more."""
        self._lamps.pop(lamp, None)

    def wait(self, now: float) -> float | None:
        """Seconds until the next turn; None while nobody needs one, or until one that is under way has ended."""
        if self._failures > 1 and self._under_way:
            return None
        waits = [(pause, lamp) for lamp in self._lamps if (pause := self._wait(lamp, now)) is not None]
        if not waits:
            return None
        soonest = min(pause for pause, _ in waits)
        darkest = min((lamp.light.lit_until for pause, lamp in waits if pause == 0), default=float("-inf"))
        allowed = max(self._sent + _HASTE, min(self._sent + _CALM, darkest - _CLOSE), self._resumes)
        return max(0.0, soonest, allowed - now)

    def take(self, now: float) -> Turn:
        """The next turn; everybody in it is to be told what came of it."""
        due, soon = [], []
        for lamp in self._lamps:
            pause = self._wait(lamp, now)
            if pause == 0:
                due.append(lamp)
            elif pause is not None and lamp.light.ripe(now) and self._rests.get(lamp.call.method, now) <= now:
                soon.append(lamp)
        taken: dict[Hashable, list[Lamp]] = {}
        for group in (due, soon):
            for lamp in sorted(group, key=lambda lamp: lamp.light.lit_until):
                if lamp.key in taken or len(taken) < self._most:
                    taken.setdefault(lamp.key, []).append(lamp)
                    lamp.in_turn = True
        self._sent = now
        self._under_way += 1
        return Turn(now, list(taken.values()))

    def answered(self, turn: Turn, errors: Mapping[int, Bitrix24Error], now: float) -> None:
        """The portal has answered.

        :param errors: of the signals that it did not take, by their place.
        """
        self._under_way -= 1
        self._failures = 0
        self._most = min(MOST_COMMANDS, self._most + _MORE)
        for place, lamps in enumerate(turn.lamps):
            self._settle(lamps, turn.at, errors.get(place), now)

    def failed(self, turn: Turn, error: Bitrix24Error, now: float) -> None:
        """The portal has not taken the request, or given no answer to it."""
        self._under_way -= 1
        passing = error.effect_unknown or not error.permanent
        # Requests that were on their way together fail together: that is one sign, not many.
        if passing and not isinstance(error, (LowBucketError, OperatingLimitError)) and turn.at > self._failed:
            self._failed = now
            self._failures += 1
            pause = _HASTE * 2 ** min(self._failures - 1, 10)
            self._resumes = now + max(error.retry_after or 0.0, min(_LONGEST_PAUSE, pause))
            if error.effect_unknown and len(turn.lamps) >= self._most > 1:
                self._most //= 2
        for lamps in turn.lamps:
            self._settle(lamps, turn.at, error, now)

    def _wait(self, lamp: Lamp, now: float) -> float | None:
        pause = lamp.wait(now)
        return None if pause is None else max(pause, self._rests.get(lamp.call.method, now) - now)

    def _settle(self, lamps: list[Lamp], at: float, error: Bitrix24Error | None, now: float) -> None:
        if isinstance(error, OperatingLimitError):
            self._rests[lamps[0].call.method] = now + (error.retry_after or _REST)
        for lamp in lamps:
            lamp.in_turn = False
            if error is None:
                lamp.signals += 1
                lamp.light.sent(at)
            else:
                # A limit strikes all alike: who was refused does not stand back for others, who would be lit twice.
                pause = 0.0 if isinstance(error, LimitError) else None
                lamp.context.run(lamp.light.failed, at, error, pause)
