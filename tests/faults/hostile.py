"""A server that gives a file in every wrong way that a network, a proxy or an attacker may."""

from __future__ import annotations

import contextlib
import functools
import gzip
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator

import numpy as np

# An answer: what is sent, piece by piece; the connection is closed after the last one.
Answer = Iterator[bytes]
Behaviour = Callable[[bytes, np.random.Generator], Answer]
# An endless answer ends here, so that a client that takes all of it fails and does not hang.
ENDLESS = 60.0
STATUSES = [
    "204 No Content", "206 Partial Content", "304 Not Modified", "401 Unauthorized",
    "404 Not Found", "429 Too Many Requests", "500 Oh", "503 Busy", "999 Odd",
]  # fmt: skip


def head(status: str = "200 OK", **headers: str | int) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "Connection: close", "", ""]).encode()


def right(body: bytes, rng: np.random.Generator) -> Answer:
    yield head(Content_Length=len(body)) + body


def another_status(body: bytes, rng: np.random.Generator) -> Answer:
    status = rng.choice(STATUSES)
    yield head(str(status), Content_Length=len(body)) + body


def a_page(body: bytes, rng: np.random.Generator) -> Answer:
    page = b"<!DOCTYPE html><html><body>Please log in</body></html>"
    yield head(Content_Length=len(page), Content_Type="text/html") + page


def cut_short(body: bytes, rng: np.random.Generator) -> Answer:
    whole = head(Content_Length=len(body)) + body
    yield whole[: int(rng.integers(len(whole)))]


def a_bit_flipped(body: bytes, rng: np.random.Generator) -> Answer:
    wrong = bytearray(body)
    wrong[int(rng.integers(len(wrong)))] ^= 1 << int(rng.integers(8))
    yield head(Content_Length=len(wrong)) + bytes(wrong)


def wrong_length(body: bytes, rng: np.random.Generator) -> Answer:
    said = rng.choice(["-1", "0", "ten", "", "1e3", str(len(body) - 1), str(len(body) + 1),
                       str(10**30)])  # fmt: skip
    yield head(Content_Length=str(said)) + body


def two_lengths(body: bytes, rng: np.random.Generator) -> Answer:
    yield head(Content_Length=len(body), content_Length=len(body) + 5) + body


def noise(body: bytes, rng: np.random.Generator) -> Answer:
    yield rng.bytes(int(rng.integers(1, 5_000)))


def nothing(body: bytes, rng: np.random.Generator) -> Answer:
    yield b""


def silence(body: bytes, rng: np.random.Generator) -> Answer:
    yield (head(Content_Length=len(body)) + body)[: int(rng.integers(len(body)))]
    time.sleep(5)


def a_drop_at_a_time(body: bytes, rng: np.random.Generator) -> Answer:
    yield head()
    ends = time.monotonic() + ENDLESS
    while time.monotonic() < ends:
        yield b"C"
        time.sleep(0.1)


def endless(body: bytes, rng: np.random.Generator) -> Answer:
    yield head()
    ends = time.monotonic() + ENDLESS
    while time.monotonic() < ends:
        yield body * 100


def endless_headers(body: bytes, rng: np.random.Generator) -> Answer:
    yield b"HTTP/1.1 200 OK\r\n"
    for number in range(100_000):
        yield f"X-{number}: {'x' * 100}\r\n".encode()


def a_long_header(body: bytes, rng: np.random.Generator) -> Answer:
    yield head(X_Long="x" * 1_000_000, Content_Length=len(body)) + body


@functools.cache
def bomb() -> bytes:
    """A gzip file of 2 MB that holds 2 GB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b"\0" * 1_000_000) for _ in range(2_000)) + packer.flush()


def a_bomb(body: bytes, rng: np.random.Generator) -> Answer:
    packed = bomb()
    yield head(Content_Encoding="gzip", Content_Length=len(packed)) + packed


def packed_well(body: bytes, rng: np.random.Generator) -> Answer:
    packed = gzip.compress(body)
    yield head(Content_Encoding="gzip", Content_Length=len(packed)) + packed


def packed_badly(body: bytes, rng: np.random.Generator) -> Answer:
    packed = bytearray(gzip.compress(body))
    packed[int(rng.integers(len(packed)))] ^= 1 << int(rng.integers(8))
    kind = str(rng.choice(["gzip", "deflate", "br", "zstd", "gzip, gzip", "nonsense"]))
    yield head(Content_Encoding=kind, Content_Length=len(packed)) + bytes(packed)


def in_chunks(body: bytes, rng: np.random.Generator) -> Answer:
    middle = int(rng.integers(1, len(body) - 1))
    yield head(Transfer_Encoding="chunked")
    for part in (body[:middle], body[middle:], b""):
        yield f"{len(part):x}\r\n".encode() + part + b"\r\n"


def in_wrong_chunks(body: bytes, rng: np.random.Generator) -> Answer:
    size = str(rng.choice(["zz", "-5", "fffffff", "", "5;x=y"]))
    yield head(Transfer_Encoding="chunked") + f"{size}\r\n".encode() + body


def sent_elsewhere(body: bytes, rng: np.random.Generator) -> Answer:
    where = rng.choice(["/again", "file:///etc/passwd", "http://127.0.0.1:1/", "", "//", "http://[",
                        "gopher://127.0.0.1/", "http://nowhere.invalid/"])  # fmt: skip
    yield head("302 Found", Location=str(where), Content_Length=0)


BEHAVIOURS: list[Behaviour] = [
    right, another_status, a_page, cut_short, a_bit_flipped, wrong_length, two_lengths, noise,
    nothing, silence, a_drop_at_a_time, endless, endless_headers, a_long_header, a_bomb,
    packed_well, packed_badly, in_chunks, in_wrong_chunks, sent_elsewhere,
]  # fmt: skip


class HostileServer:
    """Answers every request as `behave` does; used in a `with` statement.

    Parameters
    ----------
    body
        The file that a good server would give.
    rng
        Where chance comes from.
    """

    def __init__(self, body: bytes, rng: np.random.Generator) -> None:
        self.behave: Behaviour = right
        self._body, self._rng = body, rng
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/table.csv"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> HostileServer:
        bomb()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Closing alone does not wake a thread that waits for a connection.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        # The other end may hang up.
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            for piece in self.behave(self._body, self._rng):
                connection.sendall(piece)
