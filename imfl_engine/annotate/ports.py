"""What annotation needs from the store, and what the loop needs from annotation.

One process holds the project, so the *decision* whether a request may be paid for is made in
memory (`ledger.Ledger`); the store only has to make what was decided durable, in order. Changes
come in groups: while one transaction is being written the next ones are collected, so a slow disk
makes groups larger instead of the run slower.

The life of one paid request (a *charge*)::

    Reserved ──> Settled   the answer arrived; ``usd`` is its reconciled cost
            ├──> Voided    it is certain that nothing was billed (refused connection, 429, 4xx, 5xx)
            └──> Lost      nobody can know (timeout, dropped connection, killed process); the
                           reserved amount stays counted against the limit, never as spent
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from imfl_engine.annotate.facts import EndpointFacts
from imfl_engine.events import Annotated, Notice, Progress
from imfl_engine.types import AnnotationRequest, Purpose, Reply
from imfl_engine.views import CostEstimate


@dataclass(frozen=True, slots=True)
class Reserved:
    """A request is about to be sent and may cost up to ``usd``. Creates the charge."""

    charge_id: str
    prompt_hash: str
    item_id: int
    round: int
    usd: float


@dataclass(frozen=True, slots=True)
class Settled:
    """The answer to a charge arrived. ``answer`` is its raw text (None when it came to none).

    ``usd`` replaces the reserved amount. A charge may be settled before its item is finished (the
    repair of an unusable answer is a second charge under the same ``prompt_hash``).
    """

    charge_id: str
    usd: float
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Voided:
    """The charge was certainly not billed; it counts nothing from now on."""

    charge_id: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The charge may have been billed, its answer never came; it stays counted as reserved."""

    charge_id: str


@dataclass(frozen=True, slots=True)
class Committed:
    """The reply about an item. It replaces an earlier one of the same (item, round, purpose)."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """One request of a provider batch; ``charge_id`` is also its ``custom_id`` in the file."""

    charge_id: str
    prompt_hash: str
    item_id: int
    round: int
    purpose: Purpose
    labels: Sequence[str] = ()
    shown: Sequence[int] = ()
    """The demonstrations' item ids."""


@dataclass(frozen=True, slots=True)
class BatchJob:
    """A provider batch; survives restarts, so a submitted one is collected, not bought again.

    ``remote_id`` is None while submission is under way. ``entries`` are those whose results are not
    on disk; ``finished`` once all are, or its failure is.
    """

    batch_id: str
    annotator: str
    entries: tuple[BatchEntry, ...]
    remote_id: str | None = None
    input_file_id: str | None = None
    status: str = "new"
    finished: bool = False
    created_at: float = 0.0
    where: str | None = None
    """The endpoint's address as shown to a person; None in jobs of older versions."""


@dataclass(frozen=True, slots=True)
class BatchSaved:
    """The state of a batch job, replacing the earlier one of the same ``batch_id``."""

    job: BatchJob


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known about ``model`` at the address ``where``, replacing what was known before."""

    where: str
    model: str
    facts: EndpointFacts


Change = Reserved | Settled | Voided | Lost | Committed | BatchSaved | Learned


@dataclass(frozen=True, slots=True)
class Balance:
    """Money in US dollars: ``spent`` settled, ``reserved`` open, ``lost`` outcome unknown.

    The hard stop holds for the sum of the three.
    """

    spent: float = 0.0
    reserved: float = 0.0
    lost: float = 0.0

    @property
    def committed(self) -> float:
        """What counts against the limit."""
        return self.spent + self.reserved + self.lost


@dataclass(frozen=True, slots=True)
class PaidAnswer:
    """Answers that were paid for although their item has no reply yet (killed before a repair).

    ``answers`` are the raw texts in the order they were settled, without those of the ``attempts``
    that thinking used up.
    """

    answers: tuple[str, ...]
    attempts: int
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0


class ReplyStore(Protocol):
    """The durable side of annotation."""

    async def write(self, changes: Sequence[Change]) -> None:
        """Make ``changes`` durable in order, all or none, in *one* transaction.

        Returns only when they would survive ``kill -9``. Called by one task at a time, with 1 to
        about 500 changes. A `Settled` and the `Committed` that belongs to it always come in the
        same call. Changes for an unknown ``charge_id`` (other than `Reserved`) are a programming
        error; settling or voiding a lost charge is allowed (a batch result that came late).
        """
        ...

    async def find(self, prompt_hashes: Sequence[str]) -> Mapping[str, Reply | PaidAnswer]:
        """What was bought already for each hash; hashes that are new are left out.

        The newest reply whose status ``is_final``, whichever item, round or purpose it was for;
        else the settled answers of charges of that hash, if there are any. Failures
        (`rate_limited`, `failed`) are never returned: they are asked again.
        """
        ...

    async def balance(self) -> Balance:
        """The sums over all charges of the project, exact after a crash."""
        ...

    async def recover(self) -> Balance:
        """Turn every open reservation that is in no unfinished batch into `Lost`.

        Returns the balance. Called before a run starts: a reservation that is open then belongs to
        a process that died.
        """
        ...

    async def batches(self) -> Sequence[BatchJob]:
        """The batch jobs that are not ``finished``, oldest first."""
        ...

    async def facts(self, where: str, model: str) -> EndpointFacts | None:
        """What was last `Learned` about ``model`` at ``where``, or None."""
        ...


@runtime_checkable
class Annotator(Protocol):
    """Whoever gives the cheap labels. Made by `build.build_annotator`."""

    @property
    def name(self) -> str:
        """The spec, as ``openai:gpt-5-mini``; stored with every reply."""
        ...

    @property
    def shots(self) -> int | None:
        """How many demonstrations this annotator wants; None leaves it to the settings."""
        ...

    @property
    def free(self) -> bool:
        """Whether asking costs no money, so that the loop may measure more often."""
        ...

    async def check(
        self, store: ReplyStore | None = None, *, limit_usd: float | None = None
    ) -> Sequence[Notice]:
        """See whether the annotator can be asked; find out what its endpoint can do.

        Costs a few tokens, which are entered in ``store`` within ``limit_usd`` before they are spent;
        without a store there is no project yet that could pay. Raises `KeyMissing`, `EndpointError`,
        `PriceUnknown` or `BudgetReached`.
        """
        ...

    async def recall(self, store: ReplyStore) -> None:
        """Take over what is known about the endpoint, for an estimate; asks nothing."""
        ...

    def estimate(
        self, requests: Sequence[AnnotationRequest], *, calls: int | None = None
    ) -> CostEstimate:
        """What ``requests`` will cost; with ``calls``, scaled from this sample to so many.

        Raises `PriceUnknown` never: an unknown price gives None for the money.
        """
        ...

    def annotate(
        self,
        requests: Sequence[AnnotationRequest],
        store: ReplyStore,
        *,
        limit_usd: float | None = None,
    ) -> AsyncGenerator[Annotated | Notice | Progress, None]:
        """Label ``requests`` in any order; every event's reply is on disk before it is yielded.

        One `Annotated` for each request, whatever became of it. When the next request could cross
        ``limit_usd`` (US dollars, for the whole project), those in flight are finished and
        committed, then `BudgetReached` is raised: requests without an event were not asked and
        cost nothing. Other errors that concern the endpoint as a whole (`KeyMissing`,
        `PriceUnknown`, `EndpointError`) are raised likewise. Closing the iterator cancels at once.
        """
        ...

    def pause(self) -> None:
        """Send nothing new; what is in flight is finished and committed."""
        ...

    def resume(self) -> None:
        """Go on after `pause`."""
        ...

    async def close(self) -> None:
        """Close connections; idempotent."""
        ...
