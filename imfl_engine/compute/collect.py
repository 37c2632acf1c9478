"""Chunks of rows come in the order they were computed; this puts them back in the one asked for."""

from __future__ import annotations

import numpy as np

from imfl_engine.compute.wire import FloatArray, ProbabilityChunk, VectorChunk


class Collected:
    """The rows of all chunks received so far, as one float32 matrix of ``rows`` rows."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._came = 0
        self.matrix: FloatArray | None = None
        """None until the first chunk has said how wide the rows are."""

    def put(self, chunk: VectorChunk | ProbabilityChunk) -> None:
        """Put a chunk's rows where they belong."""
        values = chunk.vectors if isinstance(chunk, VectorChunk) else chunk.probabilities
        if self.matrix is None:
            self.matrix = np.zeros((self._rows, values.shape[1]), dtype=np.float32)
        self.matrix[chunk.indices] = values
        self._came += len(values)

    @property
    def whole(self) -> FloatArray | None:
        """The matrix, None unless every row has come."""
        return self.matrix if self._came == self._rows else None
