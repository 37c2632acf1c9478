"""Which item this is: a hash of what it says, and whether its key falls into the test set."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from hashlib import blake2b


def content_hash(text: str, context: str | None = None, options: Sequence[str] = ()) -> str:
    """The identity of an item that has no other: BLAKE2b of its parts, 16 hexadecimal digits."""
    parts = (
        text if context is None and not options else "\x1f".join((text, context or "", *options))
    )
    return blake2b(parts.encode("utf-8", "replace"), digest_size=8).hexdigest()


def content_hashes(
    texts: Sequence[str], contexts: Sequence[str | None], options: Sequence[Sequence[str]]
) -> list[str]:
    """`content_hash` of many items; no contexts, or no options, means that no item has any."""
    if contexts or options:
        nothing = itertools.repeat(None), itertools.repeat(())
        rows = zip(texts, contexts or nothing[0], options or nothing[1], strict=False)
        return [content_hash(*row) for row in rows]
    return [blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest() for text in texts]


def split_fraction(key: str, fraction: float, seed: int = 0) -> bool:
    """Whether the item ``key`` falls into the ``fraction`` (0 to 1) that is held out.

    It depends on nothing else: not on the order, nor on which other items there are.
    """
    digest = blake2b(key.encode("utf-8", "replace"), digest_size=8, salt=seed.to_bytes(8, "little"))
    return int.from_bytes(digest.digest(), "little") < fraction * 2**64
