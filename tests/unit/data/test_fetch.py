"""Fetching files."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import threading
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from faults.hostile import HostileServer, head

from drugtail.config.dataset import Dataset
from drugtail.data import fetch, unpacking
from drugtail.data.fetch import fetch_dataset
from drugtail.data.tables import unpacked
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json

GOOD = b"smiles,label\nCC,1\nCO,0\nCN,0\n"


PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


class Server:
    """Answers each path with a list of answers, one per request, the last one for ever."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, bytes, int]]] = {}
        self.streams: dict[str, tuple[str, Callable[[], Iterator[bytes]]]] = {}
        self.asked: Counter[str] = Counter()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path in outer.streams:
                    packing, pieces = outer.streams[self.path]
                    self.send_response(200)
                    if packing:
                        self.send_header("Content-Encoding", packing)
                    self.end_headers()
                    # The other end hangs up.
                    with contextlib.suppress(OSError):
                        for piece in pieces():
                            self.wfile.write(piece)
                            self.wfile.flush()
                    return
                answers = outer.answers[self.path]
                status, body, cut = answers[min(outer.asked[self.path], len(answers) - 1)]
                outer.asked[self.path] += 1
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) - cut])

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def serve(self, path: str, *answers: tuple[int, bytes] | tuple[int, bytes, int]) -> str:
        self.answers[path] = [(*answer, 0)[:3] for answer in answers]
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def stream(self, path: str, pieces: Callable[[], Iterator[bytes]], packing: str = "") -> str:
        """Answer a path with pieces, without saying how much will come."""
        self.streams[path] = (packing, pieces)
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = Server()
    yield running
    running.stop()


def register(
    *urls: str, content: bytes | None = None, rows: int | None = None, name: str = "table.csv",
    counts: dict[str, int] | None = None,
) -> Dataset:  # fmt: skip
    digest = hashlib.sha256(content).hexdigest() if content is not None else None
    return Dataset.model_validate(
        {
            "name": "tiny", "title": "t", "task": "t", "licence": "l", "citation": "c",
            "files": [
                {
                    "name": name, "mirror": "tiny/table.csv.gz", "columns": ["smiles", "label"],
                    "rows": rows, "sources": [{"url": url, "sha256": digest} for url in urls],
                }
            ],
            "columns": {"smiles": "smiles", "label": "label"},
            "expected": {"class_counts": counts},
        }
    )  # fmt: skip


def refused(dataset: Dataset, output: Path, mirror: Path | None = None) -> str:
    """Fetch what cannot be had: whatever was there stays, nothing is added; the message."""
    output.mkdir()
    (output / "table.csv").write_text("older")
    with pytest.raises(DrugtailError) as error:
        fetch_dataset(dataset, output, mirror=mirror, attempts=2, pause=0.001)
    assert [path.name for path in output.parent.iterdir() if path != mirror] == [output.name]
    assert {path.name: path.read_text() for path in output.iterdir()} == {"table.csv": "older"}
    message = str(error.value)
    assert "tiny: table.csv could not be fetched" in message
    for source in dataset.files[0].sources:
        assert str(source.url) in message
    return message


def test_a_good_file_lands_with_its_record(tmp_path: Path, server: Server) -> None:
    url = server.serve("/good", (200, GOOD))
    counts = {"0": 2, "1": 1}
    fetch_dataset(register(url, content=GOOD, rows=3, counts=counts), tmp_path / "raw")
    assert (tmp_path / "raw" / "table.csv").read_bytes() == GOOD
    assert read_json(tmp_path / "raw" / "fetch.json") == {
        "table.csv": {
            "source": url,
            "bytes": len(GOOD),
            "sha256": hashlib.sha256(GOOD).hexdigest(),
        }
    }
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_a_new_fetch_replaces_its_files_and_no_others(tmp_path: Path, server: Server) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "notes.txt").write_text("mine")
    (raw / "table.csv").write_text("old")
    for _ in range(2):
        fetch_dataset(register(server.serve("/good", (200, GOOD))), raw)
        assert sorted(path.name for path in raw.iterdir()) == [
            "fetch.json", "notes.txt", "table.csv"
        ]  # fmt: skip
        assert (raw / "table.csv").read_bytes() == GOOD
    assert (raw / "notes.txt").read_text() == "mine"


def test_a_wrong_hash_is_refused(tmp_path: Path, server: Server) -> None:
    changed = GOOD.replace(b"CO", b"CP")
    dataset = register(server.serve("/changed", (200, changed)), content=GOOD)
    message = refused(dataset, tmp_path / "raw")
    assert hashlib.sha256(changed).hexdigest()[:16] in message
    assert hashlib.sha256(GOOD).hexdigest()[:16] in message


def test_a_truncated_transfer_is_tried_again_then_refused(tmp_path: Path, server: Server) -> None:
    dataset = register(server.serve("/cut", (200, GOOD * 1000, 10)))
    refused(dataset, tmp_path / "raw")
    assert server.asked["/cut"] == 2


def test_a_truncated_transfer_that_recovers_lands_whole(tmp_path: Path, server: Server) -> None:
    url = server.serve("/cut", (200, GOOD, 10), (200, GOOD))
    fetch_dataset(register(url), tmp_path / "raw", pause=0.001)
    assert (tmp_path / "raw" / "table.csv").read_bytes() == GOOD


def test_not_found_goes_to_the_next_address_at_once(tmp_path: Path, server: Server) -> None:
    missing = server.serve("/missing", (404, b"no"))
    good = server.serve("/good", (200, GOOD))
    fetch_dataset(register(missing, good, content=GOOD), tmp_path / "raw", pause=60)
    assert server.asked == {"/missing": 1, "/good": 1}
    assert read_json(tmp_path / "raw" / "fetch.json")["table.csv"]["source"] == good


def test_an_overloaded_server_is_tried_again_with_growing_pauses(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    url = server.serve("/busy", (503, b""), (503, b""), (200, GOOD))
    fetch_dataset(register(url), tmp_path / "raw", attempts=3, pause=0.01)
    assert server.asked["/busy"] == 3
    told = capsys.readouterr().err
    assert "503" in told
    assert "again in 0.01 s" in told
    assert "again in 0.02 s" in told


def test_too_many_requests_is_tried_again(tmp_path: Path, server: Server) -> None:
    url = server.serve("/limit", (429, b""), (200, GOOD))
    fetch_dataset(register(url), tmp_path / "raw", attempts=2, pause=0.001)
    assert (tmp_path / "raw" / "table.csv").read_bytes() == GOOD


def test_an_address_that_stays_down_is_given_up(tmp_path: Path, server: Server) -> None:
    message = refused(register(server.serve("/down", (500, b""))), tmp_path / "raw")
    assert "500" in message
    assert "2 attempts" in message
    assert server.asked["/down"] == 2


def test_every_address_and_its_answer_is_in_the_message(tmp_path: Path, server: Server) -> None:
    dataset = register(server.serve("/missing", (404, b"")), server.serve("/page", (200, PAGE)))
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    message = refused(dataset, tmp_path / "raw", mirror)
    place, missing, page = (line for line in message.splitlines() if line.startswith("  "))
    assert str(mirror / "tiny" / "table.csv.gz") in place
    assert "no such file" in place
    assert "/missing" in missing
    assert "404" in missing
    assert "/page" in page
    assert "web page" in page


@pytest.mark.parametrize(
    ("body", "facts", "says"),
    [
        (PAGE, {}, "web page"),
        (b"", {}, "is empty"),
        (b"smiles,activity\nCC,1\n", {}, "'label' is missing"),
        (GOOD, {"rows": 4}, "has 3 rows, expected 4"),
        (GOOD, {"counts": {"0": 1, "1": 2}}, "class '0' has 2 rows, expected 1"),
        (GOOD, {"counts": {"0": 2, "1": 1, "2": 5}}, "class '2' has 0 rows, expected 5"),
    ],
    ids=["html", "empty", "missing-column", "rows", "class-count", "absent-class"],
)
def test_wrong_content_is_refused_where_no_hash_is_known(
    tmp_path: Path, server: Server, body: bytes, facts: dict, says: str
) -> None:
    dataset = register(server.serve("/table", (200, body)), **facts)
    assert says in refused(dataset, tmp_path / "raw")


def test_nothing_listening_is_an_error_with_the_address(tmp_path: Path, server: Server) -> None:
    url = server.serve("/x", (200, GOOD))
    server._server.server_close()
    assert "ConnectionError" in refused(register(url), tmp_path / "raw")


def mirrored(folder: Path, content: bytes) -> Path:
    (folder / "mirror" / "tiny").mkdir(parents=True)
    (folder / "mirror" / "tiny" / "table.csv.gz").write_bytes(content)
    return folder / "mirror"


def test_the_mirror_comes_first_and_is_unpacked(tmp_path: Path, server: Server) -> None:
    dataset = register(server.serve("/good", (200, GOOD)), content=GOOD)
    mirror = mirrored(tmp_path, gzip.compress(GOOD))
    fetch_dataset(dataset, tmp_path / "raw", mirror=mirror)
    assert (tmp_path / "raw" / "table.csv").read_bytes() == GOOD
    assert server.asked == {}
    record = read_json(tmp_path / "raw" / "fetch.json")["table.csv"]
    assert record["source"] == str(mirror / "tiny" / "table.csv.gz")


def test_a_packed_file_is_mirrored_byte_for_byte(tmp_path: Path) -> None:
    packed = gzip.compress(GOOD)
    dataset = register("http://127.0.0.1:9/none", content=packed, name="table.csv.gz")
    fetch_dataset(dataset, tmp_path / "raw", mirror=mirrored(tmp_path, packed))
    assert (tmp_path / "raw" / "table.csv.gz").read_bytes() == packed


@pytest.mark.parametrize(
    "content",
    [gzip.compress(GOOD)[:-9], gzip.compress(GOOD[:-7]), b"not gzip at all", None],
    ids=["truncated", "other-content", "not-gzip", "absent"],
)
def test_a_bad_mirror_gives_way_to_the_address(
    tmp_path: Path, server: Server, content: bytes | None
) -> None:
    url = server.serve("/good", (200, GOOD))
    mirror = tmp_path / "mirror" if content is None else mirrored(tmp_path, content)
    fetch_dataset(register(url, content=GOOD), tmp_path / "raw", mirror=mirror)
    assert (tmp_path / "raw" / "table.csv").read_bytes() == GOOD
    assert read_json(tmp_path / "raw" / "fetch.json")["table.csv"]["source"] == url


def test_a_mirror_that_is_a_file_gives_way_to_the_address(tmp_path: Path, server: Server) -> None:
    (tmp_path / "mirror").write_text("not a folder")
    dataset = register(server.serve("/good", (200, GOOD)), content=GOOD)
    fetch_dataset(dataset, tmp_path / "raw", mirror=tmp_path / "mirror")
    assert (tmp_path / "raw" / "table.csv").read_bytes() == GOOD


def test_nothing_lands_when_the_second_file_fails(tmp_path: Path, server: Server) -> None:
    good, missing = server.serve("/good", (200, GOOD)), server.serve("/missing", (404, b""))
    one = register(good).files[0]
    two = one.model_copy(
        update={"name": "second.csv", "sources": register(missing).files[0].sources}
    )
    dataset = register(good).model_copy(update={"files": [one, two]})
    with pytest.raises(DrugtailError, match=r"second\.csv could not be fetched"):
        fetch_dataset(dataset, tmp_path / "raw")
    assert list(tmp_path.iterdir()) == []


def test_a_register_may_name_a_file_on_this_machine(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_bytes(GOOD)
    value = register("http://unused").model_dump()
    value["files"][0]["sources"] = [{"path": str(tmp_path / "mine.csv")}]
    fetch_dataset(Dataset.model_validate(value), tmp_path / "raw")
    assert (tmp_path / "raw" / "table.csv").read_bytes() == GOOD


def with_size(dataset: Dataset, size: int) -> Dataset:
    value = dataset.model_dump()
    value["files"][0]["sources"][0]["bytes"] = size
    return Dataset.model_validate(value)


def endless(piece: bytes, pause: float = 0.0) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        while True:
            yield piece
            time.sleep(pause)

    return pieces


def test_an_answer_without_an_end_is_stopped_at_the_size_that_is_declared(
    tmp_path: Path, server: Server
) -> None:
    url = server.stream("/endless", endless(b"CC,1\n" * 1000))
    message = refused(with_size(register(url), 100_000), tmp_path / "raw")
    assert "sent more than the 100,000 bytes that the register says" in message


def test_an_answer_without_an_end_is_stopped_at_what_tables_have(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MOST_BYTES", 1_000_000)
    message = refused(register(server.stream("/endless", endless(bytes(9999)))), tmp_path / "raw")
    assert "sent more than the 1,000,000 bytes that any table has" in message


def test_a_drip_is_stopped(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "SECONDS_WITHOUT_DATA", 1)
    url = server.stream("/drip", endless(b"C", 0.05))
    began = time.monotonic()
    message = refused(register(url), tmp_path / "raw")
    assert "fewer than 1,000 a second" in message
    assert time.monotonic() - began < 10


def test_what_is_packed_for_the_way_counts_as_what_it_is(tmp_path: Path, server: Server) -> None:
    packer = zlib.compressobj(9, wbits=31)
    zeros = [packer.compress(bytes(2**20)) for _ in range(200)] + [packer.flush()]
    url = server.stream("/bomb", lambda: iter(zeros), "gzip")
    message = refused(with_size(register(url), 10_000_000), tmp_path / "raw")
    assert "sent more than the 10,000,000 bytes" in message
    good = gzip.compress(GOOD)
    url = server.stream("/packed", lambda: iter([good[:9], good[9:]]), "gzip")
    fetch_dataset(with_size(register(url, content=GOOD), len(GOOD)), tmp_path / "good")
    assert (tmp_path / "good/table.csv").read_bytes() == GOOD


def test_a_packed_mirror_that_holds_nothing_but_zeros_is_refused(tmp_path: Path) -> None:
    mirror = mirrored(tmp_path, gzip.compress(bytes(unpacking.UNSUSPECTED + 1)))
    message = refused(register("http://127.0.0.1:9/none"), tmp_path / "raw", mirror)
    assert "unpacks to more than 64 MiB from " in message


@pytest.mark.parametrize("name", ["zeros.csv.gz", "zeros.zip"])
def test_a_table_that_holds_nothing_but_zeros_is_refused(name: str, tmp_path: Path) -> None:
    path, zeros = tmp_path / name, bytes(unpacking.UNSUSPECTED + 1)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(zeros))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("zeros.csv", zeros)
    with pytest.raises(DrugtailError, match=rf"{name}: unpacks to more than 64 MiB .* unpack"):
        unpacked(path)
    # As much, but not so tightly: a table.
    rng = np.random.default_rng(0)
    text = rng.choice(np.frombuffer(b"CNO,1\n", np.uint8), len(zeros)).tobytes()
    path.write_bytes(gzip.compress(text, 1))
    assert unpacked(path) == text


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (head("206 Partial Content", Content_Length=len(GOOD)) + GOOD, "answered 206 Partial"),
        (head("302 Found", Location="http://["), "or sends to none (Invalid IPv6 URL)"),
        (b"\x1b[2J" + b"\x07" * 9_000, "BadStatusLine"),
    ],
)
def test_an_answer_that_is_none_is_refused_in_a_line(
    server: Server, tmp_path: Path, answer: bytes, said: str
) -> None:
    with HostileServer(GOOD, np.random.default_rng(0)) as hostile:
        hostile.behave = lambda *_: iter([answer])
        message = refused(register(hostile.url), tmp_path / "raw")
    assert said in message
    assert len(message) < 700
    assert message.replace("\n", "").isprintable()


def test_a_length_that_is_no_number_is_not_gone_by(server: Server, tmp_path: Path) -> None:
    with HostileServer(GOOD, np.random.default_rng(0)) as hostile:
        hostile.behave = lambda *_: iter([head(Content_Length="ten") + GOOD])
        fetch_dataset(register(hostile.url, content=GOOD), tmp_path / "raw")
    assert (tmp_path / "raw/table.csv").read_bytes() == GOOD
