"""Opening a person's files: what kind they are, how they are decoded, and what can be wrong.

Every way a file can fail to open or decode is mapped here, once, to one of our errors. A file is
read from its start to its end and never held in memory.
"""

from __future__ import annotations

import codecs
import errno
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from imfl_engine.errors import DataError, ImflError, StorageError, UsageError

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".txt": "txt",
}
"""File name endings and the reader each one gets; all but Parquet may also end in ``.gz``."""

READABLE = ".csv, .tsv, .jsonl, .json, .parquet or .txt (also .gz)"

_SIGNATURES = (
    (b"PK\x03\x04", "a zip archive or an Office document"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"%PDF", "a PDF"),
    (b"SQLite format 3", "an SQLite database"),
    (b"PAR1", "a Parquet file"),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed"),
)
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins with UTF-16's mark, so it is tried first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_PROBE = 4096
_BLOCK = 1 << 20


def format_of(path: Path) -> str:
    """The reader for ``path`` by its name's ending; `UsageError` for an ending nobody reads."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compressed = bool(suffixes) and suffixes[-1] == ".gz"
    ending = (suffixes[-2] if len(suffixes) > 1 else "") if compressed else "".join(suffixes[-1:])
    name = FORMATS.get(ending)
    if name is None or (compressed and name == "parquet"):
        raise UsageError(
            f"'{path}' has an ending that is not known.",
            f"Give a file that ends in {READABLE}.",
        )
    return name


def check_file(path: Path) -> None:
    """Raise unless ``path`` is a readable file that holds something."""
    with reading(path):
        if path.is_dir():
            inside = sorted(
                entry.relative_to(path).as_posix()
                for entry in (*path.glob("*"), *path.glob("data/*"))
                if entry.suffix.lower() in FORMATS
            )
            raise UsageError(
                f"'{path}' is a directory.",
                f"Name the files inside it, for example '{path / inside[0]}'."
                if inside
                else "Name a data file.",
            )
        if path.stat().st_size == 0 and path.is_file():
            raise DataError(f"'{path}' is empty.", "Give a file that holds at least one item.")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Map what the operating system says about reading ``path`` to our errors."""
    try:
        yield
    except ImflError:
        raise
    except FileNotFoundError as error:
        raise UsageError(
            f"There is no file '{path}'.", "Check the path and its spelling."
        ) from error
    except PermissionError as error:
        raise StorageError(
            f"'{path}' may not be read.", "Ask its owner for permission to read it."
        ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"'{path}' is not a whole gzip file: {error}.", "Copy or compress the file again."
        ) from error
    except UnicodeDecodeError as error:
        raise _not_decodable(path, error.encoding) from error
    except UnicodeError as error:  # UTF-16 without the mark that says which half comes first
        raise DataError(
            f"'{path}' is not in the encoding that was given: {error}.",
            "Leave --encoding out, or name the right one.",
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno == errno.ENAMETOOLONG:
            raise UsageError(f"'{path}' is too long for a path.", "Check the path.") from error
        raise StorageError(f"'{path}' cannot be read: {reason}.", "Check the disk.") from error


class InputFile:
    """One file, opened for reading from its start; ``share`` says how far reading has come."""

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        check_file(path)
        self.path = path
        with reading(path):
            self._size = max(path.stat().st_size, 1)
            self._raw: BinaryIO = path.open("rb")
            self._binary: BinaryIO = self._raw
            if path.suffix.lower() == ".gz":
                self._binary = cast(BinaryIO, gzip.open(self._raw))  # noqa: SIM115 - closed by us
        self._text: IO[str] | None = None
        try:
            with reading(path):
                start = cast(io.BufferedReader, self._binary).peek(_PROBE)[:_PROBE]
            self.encoding = self._check_encoding(start, encoding)
        except BaseException:
            self.close()
            raise

    def _check_encoding(self, start: bytes, encoding: str | None) -> str:
        if encoding is not None:
            try:
                return codecs.lookup(encoding).name
            except LookupError as error:
                raise UsageError(
                    f"There is no encoding called '{encoding}'.",
                    "Common ones are utf-8, utf-16, latin-1, cp1252, gb18030 and shift_jis.",
                ) from error
        for signature, kind in _SIGNATURES:
            if start.startswith(signature):
                raise DataError(
                    f"'{self.path}' is {kind}, whatever its name says.",
                    f"Export it as {READABLE}.",
                )
        for mark, name in _BYTE_ORDER_MARKS:
            if start.startswith(mark):
                return name
        return "utf-8"

    def text(self, *, newline: str | None) -> IO[str]:
        """The file as text; ``newline`` as in `open`. A wrong byte raises `UnicodeDecodeError`."""
        self._text = io.TextIOWrapper(self._binary, encoding=self.encoding, newline=newline)
        return self._text

    def binary(self) -> BinaryIO:
        """The file's bytes, decompressed."""
        return self._binary

    @property
    def share(self) -> float:
        """The share of the (compressed) bytes that has been read, 0 to 1."""
        return min(self._raw.tell() / self._size, 1.0) if not self._raw.closed else 1.0

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        for file in (self._text, self._binary, self._raw):
            if file is not None:
                file.close()


def _not_decodable(path: Path, encoding: str) -> DataError:
    """Find the first byte that is wrong, by reading the file again, and say where it is."""
    line, offset, bad = 1, 0, b""
    decoder = codecs.getincrementaldecoder(encoding)()
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rb") as file:
        held = b""
        while True:
            block = file.read(_BLOCK)
            held = decoder.getstate()[0]
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                data = held + block
                line += data.count(b"\n", 0, error.start)
                offset += error.start
                bad = data[error.start : error.start + 1]
                break
            if not block:
                break
            consumed = len(held) + len(block) - len(decoder.getstate()[0])
            line += (held + block).count(b"\n", 0, consumed)
            offset += consumed
    value = f" 0x{bad.hex()}" if bad else ""
    hint = (
        "Convert the file to UTF-8, or name its encoding with --encoding, often cp1252 or latin-1."
    )
    return DataError(
        f"'{path}' is not {encoding.upper().removesuffix('-SIG')}: byte {offset + 1}{value} "
        f"in line {line} cannot be decoded.",
        hint,
    )
