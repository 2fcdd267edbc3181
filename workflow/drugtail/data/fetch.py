"""Getting published files: mirror first, then the addresses; a file lands only when it is right."""

from __future__ import annotations

import gzip
import shutil
import time
import zlib
from pathlib import Path

import requests
import urllib3

from drugtail.config.dataset import Dataset, RawFile, Source
from drugtail.data.tables import read_table
from drugtail.data.unpacking import MOST_BYTES, copy_within_limits
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import temporary_directory, write_json
from drugtail.runtime.logging import Pace, say

CHUNK = 1 << 16
SECONDS_WITHOUT_DATA = 60
# Bytes a second, on average after the first minute.
SLOWEST = 1_000


class _Refused(Exception):
    """One place did not give the file; the next is tried."""


def fetch_dataset(
    dataset: Dataset,
    output: Path,
    *,
    mirror: Path | None = None,
    attempts: int = 4,
    pause: float = 1.0,
) -> None:
    """Fetch every file of a data set into the folder `output`, or leave nothing new there.

    Parameters
    ----------
    dataset
        The register.
    output
        Folder for the raw files and ``fetch.json`` (per file: where it came from, bytes, SHA-256).
    mirror
        Folder that is tried before any address.
    attempts
        How often an address is tried.
    pause
        Seconds before the second attempt; doubled for each further one.

    Raises
    ------
    DrugtailError
        If a file cannot be had from any place; the message says what each one answered.
    """
    with temporary_directory(output) as folder:
        record = {}
        tables = {file.name for file in dataset.table_files}
        for file in dataset.files:
            is_table = file.name in tables
            source = _fetch_file(file, folder, mirror, attempts, pause, dataset, is_table)
            path = folder / file.name
            record[file.name] = {
                "source": source,
                "bytes": path.stat().st_size,
                "sha256": file_digest(path),
            }
        # fetch.json goes first and comes last: with it, the files are those it tells of.
        output.mkdir(parents=True, exist_ok=True)
        (output / "fetch.json").unlink(missing_ok=True)
        for name in record:
            (folder / name).replace(output / name)
        write_json(output / "fetch.json", record)


def _fetch_file(
    file: RawFile,
    folder: Path,
    mirror: Path | None,
    attempts: int,
    pause: float,
    dataset: Dataset,
    is_table: bool,
) -> str:
    """Try every place in turn; return the name of the one that gave the right file."""
    target = folder / file.name
    answers, readable = [], False
    places: list[Source | Path] = [*file.sources]
    if mirror is not None and file.mirror is not None:
        places.insert(0, mirror / file.mirror)
    for place in places:
        name = str(place) if isinstance(place, Path) else str(place.url or place.path)
        try:
            if isinstance(place, Path):
                _copy(place, target)
                # A mirror may hold any of the registered versions of a file.
                _check_hash(target, file.sources, file.mirror_sha256)
            elif place.path is not None:
                _copy(Path(place.path), target)
                _check_hash(target, [place])
            else:
                _download(place, target, attempts, pause)
                _check_hash(target, [place])
            _check_content(target, file, dataset if is_table else None)
        except (_Refused, DrugtailError) as error:
            # The user knows the place, not the folder that it is copied to first.
            answers.append(f"  {name}: {str(error).removeprefix(f'{target}: ')}")
            readable = readable or isinstance(error, DrugtailError)
            target.unlink(missing_ok=True)
            continue
        say(f"{dataset.name}: {file.name} from {name}")
        return name
    advice = f"Correct `path` or `url` in config/datasets/{dataset.name}.yaml"
    if readable:
        advice = f"Correct the file, or what the register of {dataset.name} says of it"
    elif file.mirror is not None:
        advice = (
            "Put the file into a folder and name it with --mirror (or DRUGTAIL_MIRROR), as "
            f"{file.mirror}"
        )
    if len(places) == 1 and isinstance(places[0], Source) and places[0].path is not None:
        # It lies on this machine, so nothing was to be fetched.
        raise DrugtailError(f"{answers[0].strip()}\n{advice}")
    raise DrugtailError(
        "\n".join([f"{dataset.name}: {file.name} could not be fetched:", *answers, advice])
    )


def _copy(origin: Path, target: Path) -> None:
    """Copy a file, unpacking it when it is stored gzipped and the target is not."""
    try:
        unpack = origin.suffix == ".gz" and target.suffix != ".gz"
        with (
            gzip.open(origin) if unpack else origin.open("rb") as source,
            target.open("wb") as sink,
        ):
            if unpack:
                copy_within_limits(source, sink, origin.stat().st_size, target)
            else:
                shutil.copyfileobj(source, sink)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise _Refused((error.strerror or "cannot be read").lower()) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _Refused(f"damaged or cut short ({error})") from None


def _download(source: Source, target: Path, attempts: int, pause: float) -> None:
    """Download with retries; errors that another attempt cannot mend end it at once."""
    for attempt in range(attempts):
        try:
            _download_once(source, target)
            return
        except requests.HTTPError as error:
            status = error.response.status_code
            if status < 500 and status != 429:
                raise _Refused(f"answered {status} {error.response.reason}") from None
            problem = f"answered {status} {error.response.reason}"
        except ValueError as error:
            # Addresses that are none, of the register or that a server sends to.
            raise _Refused(f"is no address, or sends to none ({_printable(error)})") from None
        except (requests.RequestException, EOFError) as error:
            # The message may hold anything that a broken server sent.
            problem = f"{type(error).__name__}: {_printable(error)}"
        if attempt + 1 < attempts:
            wait = pause * 2**attempt
            say(f"{source.url}: {problem}; trying again in {wait:g} s")
            time.sleep(wait)
    raise _Refused(f"{problem} ({attempts} attempts)")


def _download_once(source: Source, target: Path) -> None:
    """Download a file as it comes, and stop one that is too large or too slow.

    Raises
    ------
    _Refused
        If more bytes come than the register says, or than any table has, or hardly any come.
    requests.RequestException, EOFError
        If the connection fails or ends early.
    """
    url, pace, most = str(source.url), Pace(5), source.bytes or MOST_BYTES
    with requests.get(url, stream=True, timeout=SECONDS_WITHOUT_DATA) as answer:
        answer.raise_for_status()
        if answer.status_code != requests.codes.ok:
            raise _Refused(f"answered {answer.status_code} {answer.reason}")
        began = time.monotonic()
        said = answer.headers.get("Content-Length", "")
        total = int(said) if said.isdecimal() and "Content-Encoding" not in answer.headers else 0
        done = 0
        with target.open("wb") as sink:
            # A slow server could take days for a whole chunk.
            while chunk := _received(answer):
                sink.write(chunk)
                done += len(chunk)
                if done > most:
                    said = "the register says" if source.bytes else "any table has"
                    raise _Refused(f"sent more than the {most:,} bytes that {said}")
                slowest = done / SLOWEST + SECONDS_WITHOUT_DATA
                if time.monotonic() - began > slowest:
                    raise _Refused(
                        f"sent {done:,} bytes in {slowest:,.0f} seconds, fewer than {SLOWEST:,} a "
                        "second"
                    )
                if pace.due():
                    say(f"{url}: {done:,} of {total:,} bytes" if total else f"{url}: {done:,}")
    if total and done != total:
        raise EOFError(f"cut short at {done:,} of {total:,} bytes")


def _printable(error: Exception) -> str:
    """Return a message in one line, its middle left out where it is long."""
    text = "".join(one if one.isprintable() else "?" for one in str(error))
    return text if len(text) <= 300 else f"{text[:150]} … {text[-150:]}"


def _received(answer: requests.Response) -> bytes:
    """Return some bytes, unpacked if they were packed for the way; none at the end.

    Raises
    ------
    requests.RequestException
        As ``answer.iter_content`` does.
    """
    try:
        some: bytes = answer.raw.read1(CHUNK, decode_content=True)
    except urllib3.exceptions.DecodeError as error:
        raise requests.exceptions.ContentDecodingError(error) from error
    except urllib3.exceptions.HTTPError as error:
        raise requests.exceptions.ConnectionError(error) from error
    return some


def _check_hash(target: Path, sources: list[Source], other: str | None = None) -> None:
    wanted = [source for source in sources if source.sha256]
    if not wanted:
        return
    found = file_digest(target)
    if found not in {other, *(source.sha256 for source in wanted)}:
        size = target.stat().st_size
        raise _Refused(
            f"wrong content: {size:,} bytes with SHA-256 {found[:16]}…, expected "
            f"{wanted[0].bytes or 'unknown'} bytes with {str(wanted[0].sha256)[:16]}…"
        )


def _check_content(target: Path, file: RawFile, dataset: Dataset | None) -> None:
    """Rows, columns and classes: what a hash cannot say when it is unknown."""
    frame = read_table(target, list(dict.fromkeys([*file.columns, *_used(dataset)])), file)
    if file.rows is not None and len(frame) != file.rows:
        raise _Refused(f"has {len(frame):,} rows, expected {file.rows:,}")
    if dataset is not None and dataset.expected.class_counts is not None and _whole(dataset):
        found = frame[dataset.columns.labels[0]].value_counts().to_dict()
        for label, count in dataset.expected.class_counts.items():
            if found.get(label, 0) != count:
                raise _Refused(f"class {label!r} has {found.get(label, 0)} rows, expected {count}")


def _used(dataset: Dataset | None) -> list[str]:
    """Columns that the table itself must have: not those that lookups add."""
    if dataset is None:
        return []
    added = {lookup.name for lookup in dataset.lookups}
    columns = [*dataset.columns.used, *(dataset.tasks or {})]
    return [column for column in columns if column not in added]


def _whole(dataset: Dataset) -> bool:
    """Return whether one file holds all classes as they are counted; else `prepare` counts them."""
    return dataset.labels.kind == "class" and len(dataset.table_files) == 1
