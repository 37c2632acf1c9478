"""Vectors of texts, in files beside the project: a cache that can be computed again at any time.

Not in the database: writing 10,000 vectors of 384 numbers there grew the process by 104 MB and held
up the labels for up to 0.4 s; here it is 9 MB. A vector is found by what its text says, not by
which item it belongs to, so a folder that another project left behind holds nothing wrong.

Every embedder has two files, rows of float32 and their keys. The rows are on disk before their
keys, and only rows with a key count: what a kill cut short is overwritten by the next ones.
"""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imfl_engine.store.failures import disk_full, disk_refuses

FloatArray = np.ndarray[tuple[int, int], np.dtype[np.float32]]
Keys = NDArray[np.uint64]


class Embeddings:
    """The vectors in ``folder``, which is made when the first are added.

    Safe to use from several threads of one process; the project's lock keeps other processes away.
    Every method raises `StorageError` where the disk is full or will not be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shelves: dict[str, _Shelf] = {}
        self._lock = threading.Lock()

    def has(self, embedder: str, keys: Keys) -> NDArray[np.bool_]:
        """Mark those of ``keys`` (n,) that have a vector of this embedder."""
        with self._lock, _storage(self._folder):
            return self._shelf(embedder).has(keys)

    def add(self, embedder: str, keys: Keys, vectors: FloatArray) -> None:
        """Store vectors, shape (n, d); keys that have one already keep it.

        Another d than before means another model under the same name: its old vectors go.
        """
        with self._lock, _storage(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._shelf(embedder).add(keys, vectors)

    def fetch(self, embedder: str, keys: Keys) -> FloatArray:
        """Return the vectors of ``keys`` in their order, float32 (n, d).

        Raises KeyError when one is missing: the loop embeds before it asks.
        """
        with self._lock, _storage(self._folder):
            return self._shelf(embedder).fetch(keys)

    def _shelf(self, embedder: str) -> _Shelf:
        shelf = self._shelves.get(embedder)
        if shelf is None or shelf.is_gone:
            shelf = self._shelves[embedder] = _Shelf(self._folder, _file_name(embedder))
        return shelf


class _Shelf:
    """The two files of one embedder; the width of a row is part of a file's name."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._keys_file = folder / f"{name}.keys"
        self._width = 0
        stored = np.zeros(0, np.uint64)
        found = sorted(folder.glob(f"{name}.*.f32"))
        if found and self._keys_file.exists():
            self._width = int(found[0].suffixes[-2].removeprefix("."))
            rows = found[0].stat().st_size // (4 * self._width)
            whole = self._keys_file.stat().st_size // 8
            stored = np.fromfile(self._keys_file, np.uint64, count=min(rows, whole))
        self._index(stored)

    @property
    def _rows_file(self) -> Path:
        return self._folder / f"{self._name}.{self._width}.f32"

    @property
    def is_gone(self) -> bool:
        """Whether somebody has removed its files since they were read."""
        return bool(len(self._stored)) and not self._rows_file.exists()

    def _index(self, stored: Keys) -> None:
        self._stored = stored
        self._order = np.argsort(stored, kind="stable")
        self._sorted = stored[self._order]

    def has(self, keys: Keys) -> NDArray[np.bool_]:
        places = np.searchsorted(self._sorted, keys)
        found = np.zeros(len(keys), bool)
        inside = places < len(self._sorted)
        found[inside] = self._sorted[places[inside]] == keys[inside]
        return found

    def add(self, keys: Keys, vectors: FloatArray) -> None:
        width = vectors.shape[1]
        if width != self._width:
            self._start_over(width)
        first = np.zeros(len(keys), bool)
        first[np.unique(keys, return_index=True)[1]] = True
        new = first & ~self.has(keys)
        count = len(self._stored)
        _write(self._rows_file, 4 * width * count, vectors[new].astype(np.float32))
        _write(self._keys_file, 8 * count, keys[new])
        self._index(np.concatenate([self._stored, keys[new]]))

    def fetch(self, keys: Keys) -> FloatArray:
        if not len(keys):
            return np.zeros((0, 0), np.float32)
        if not self.has(keys).all():
            raise KeyError("a vector is missing")
        wanted = self._order[np.searchsorted(self._sorted, keys)]
        shape = (len(self._stored), self._width)
        # Mapped for the moment of the copy only: pages that stay mapped count as our memory.
        rows = np.memmap(self._rows_file, np.float32, "r", shape=shape).view(np.ndarray)
        return np.asarray(rows[wanted])

    def _start_over(self, width: int) -> None:
        self._keys_file.unlink(missing_ok=True)
        for old in self._folder.glob(f"{self._name}.*.f32"):
            old.unlink()
        self._width = width
        self._index(np.zeros(0, np.uint64))


def _write(path: Path, offset: int, values: NDArray[np.generic]) -> None:
    """Write ``values`` at ``offset`` of a file, over what may be there, down to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.seek(offset)
        file.write(np.ascontiguousarray(values).data)
        file.flush()
        os.fsync(file.fileno())


def _file_name(embedder: str) -> str:
    """Return a name for an embedder's files; the hash keeps apart what looks alike."""
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", embedder)[-40:].strip("-")
    return f"{readable}-{blake2b(embedder.encode(), digest_size=4).hexdigest()}"


@contextmanager
def _storage(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise disk_full(folder) from error
        raise disk_refuses(folder, error.strerror or str(error)) from error
