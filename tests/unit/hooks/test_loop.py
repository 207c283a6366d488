"""A question that is asked by way of an event loop is answered even if that loop comes to its end meanwhile."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError

from airflow_provider_b24.hooks.loop import asked_by, running_loop


class Asker(threading.Thread):
    """Asks by way of the loop that runs where it is made, from a thread of its own."""

    def __init__(self, question, within=10.0):
        super().__init__()
        self.loop = running_loop()
        self.question = question
        self.within = within
        self.go = threading.Event()
        self.outcome = None
        self.start()

    def run(self):
        assert self.go.wait(10)
        try:
            self.outcome = asked_by(self.loop, self.within, self.question, "word")
        except Exception as error:
            self.outcome = error

    def heard(self):
        self.join(10)
        return self.outcome


def test_asked_from_a_thread_of_the_loops():
    async def main():
        asker = Asker(lambda word: (word, threading.current_thread()))
        asker.go.set()
        await asyncio.to_thread(asker.join, 10)
        return asker

    asker = asyncio.run(main())
    word, thread = asker.outcome
    assert word == "word"
    assert thread is not asker


def test_what_goes_wrong_is_raised():
    def fails(word):
        raise TimeoutError(word)

    async def main():
        asker = Asker(fails)
        asker.go.set()
        return await asyncio.to_thread(asker.heard)

    assert str(asyncio.run(main())) == "word"


def test_after_the_loop_has_ended():
    async def main():
        return Asker(lambda word: (word, threading.current_thread()))

    asker = asyncio.run(main())
    asker.go.set()
    assert asker.heard() == ("word", asker)


def test_the_loop_ends_while_it_is_asked():
    """Its tasks are cancelled, and that of the question with them."""
    asked, go_on = threading.Event(), threading.Event()

    def question(word):
        if not asked.is_set():
            asked.set()
            assert go_on.wait(10)
            raise ConnectionError
        return word

    async def main():
        asker = Asker(question)
        asker.go.set()
        await asyncio.to_thread(asked.wait, 10)
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        return asker

    assert asyncio.run(main()).heard() == "word"


def test_the_loop_has_closed_its_executor():
    async def main():
        asker = Asker(lambda word: word)
        await asyncio.get_running_loop().shutdown_default_executor()
        asker.go.set()
        with ThreadPoolExecutor(1) as other:
            return await asyncio.get_running_loop().run_in_executor(other, asker.heard)

    assert asyncio.run(main()) == "word"


def test_the_loop_stops_before_it_comes_to_the_question(monkeypatch):
    handed_over = threading.Event()
    loop = asyncio.new_event_loop()
    hand_over = loop.call_soon_threadsafe

    def noted(*words, **options):
        hand_over(*words, **options)
        handed_over.set()

    async def main():
        asker = Asker(lambda word: (word, threading.current_thread()))
        asker.go.set()
        assert handed_over.wait(10)
        return asker

    monkeypatch.setattr(loop, "call_soon_threadsafe", noted)
    try:
        asker = loop.run_until_complete(main())
        assert asker.heard() == ("word", asker)
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()


def test_a_loop_that_does_not_go_on():
    async def main():
        asker = Asker(lambda word: word, within=0.0)
        asker.go.set()
        return asker.heard()

    assert isinstance(asyncio.run(main()), FutureTimeoutError)
