"""What the calls go to: servers in processes of their own, so that their work is not counted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# As light as a server can be in Python: it looks for the end of a request and writes the same answer each time.
# What is measured against it is nearly all the client's.
_LIGHT = r"""
import asyncio, json
BODY = json.dumps({
    "result": {"item": {"id": 7, "title": "Server rack 7", "stageId": "WON", "opportunity": 125000}},
    "time": {"start": 1757424671.5, "finish": 1757424672.2, "duration": 0.69, "processing": 0.67,
             "date_start": "2025-09-09T16:31:11+03:00", "date_finish": "2025-09-09T16:31:12+03:00",
             "operating_reset_at": 1757425271, "operating": 0.672},
}).encode()
ANSWER = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n" % len(BODY)
          + BODY)

class Light(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.buffer = transport, b""

    def data_received(self, data):
        self.buffer += data
        head, end, rest = self.buffer.partition(b"\r\n\r\n")
        _, _, length = head.lower().partition(b"content-length:")
        if end and len(rest) >= int(length.split(b"\r\n")[0] or 0):
            self.buffer = b""
            self.transport.write(ANSWER)

async def main():
    server = await asyncio.get_running_loop().create_server(Light, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}/rest/1/0123456789abcdef/", flush=True)
    await server.serve_forever()

asyncio.run(main())
"""

# Takes files of any size and keeps nothing of them.
_FILES = r"""
import asyncio, json
TIME = {"start": 1757424671.5, "finish": 1757424672.2, "duration": 0.69, "processing": 0.67}
MESSAGES = json.dumps({"result": {"chat_id": 5, "messages": [], "users": [], "files": []}, "time": TIME}).encode()
POSTED = json.dumps({"result": {"file": {"id": 3}, "messageId": 7, "chatId": 5, "dialogId": "chat5"},
                     "time": TIME}).encode()

class Files(asyncio.BufferedProtocol):
    room = memoryview(bytearray(1 << 18))

    def connection_made(self, transport):
        self.transport, self.head, self.left = transport, b"", 0

    def get_buffer(self, hint):
        return self.room

    def buffer_updated(self, count):
        if not self.left:
            self.head += self.room[:count].tobytes()
            head, end, rest = self.head.partition(b"\r\n\r\n")
            if not end:
                return
            self.head = head
            _, _, length = head.lower().partition(b"content-length:")
            self.left, count = int(length.split(b"\r\n")[0] or 0), len(rest)
        self.left -= count
        if not self.left:
            body = POSTED if b"File.upload" in self.head.split(b"\r\n")[0] else MESSAGES
            self.head = b""
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                                 % len(body) + body)

async def main():
    server = await asyncio.get_running_loop().create_server(Files, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}/rest/1/0123456789abcdef/", flush=True)
    await server.serve_forever()

asyncio.run(main())
"""

_COMMANDS = {
    "a bare server": [sys.executable, "-c", _LIGHT],
    "the fake portal": [sys.executable, "-m", "airflow_provider_b24.testing", "--port", "0", "--deals", "50"],
}
NAMES = tuple(_COMMANDS)
_COMMANDS["a server that takes files"] = [sys.executable, "-c", _FILES]


@contextmanager
def serving(name: str) -> Iterator[str]:
    """Run a server; gives the address of a webhook there.

    :param name: one of :data:`NAMES`.
    """
    process = subprocess.Popen(_COMMANDS[name], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = None
        for line in process.stdout:
            found = re.search(r"http://\S+/rest/\S+/", line)
            if found:
                break
        if found is None:
            raise RuntimeError(f"{name} did not start")
        yield found[0]
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def redis() -> Iterator[str]:
    """Run a Redis server that keeps nothing; gives its URL."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--port", "0", "--unixsocket", f"{folder}/redis.sock", "--save", ""]
        process = subprocess.Popen(["redis-server", *options], cwd=folder, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            if not any("ready to accept" in line.lower() for line in process.stdout):
                raise RuntimeError("the Redis server did not start")
            yield f"unix://{folder}/redis.sock"
        finally:
            process.terminate()
            process.communicate(timeout=10)


def connection(webhook_url: str) -> str:
    """An Airflow connection to a portal without a request limit, as JSON."""
    return json.dumps({"conn_type": "bitrix24", "password": webhook_url, "extra": {"plan": "unlimited"}})
