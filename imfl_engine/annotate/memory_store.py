"""`MemoryReplyStore`: the durable side of annotation for where nothing has to last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from imfl_engine.annotate.facts import EndpointFacts
from imfl_engine.annotate.ports import (
    Balance,
    BatchJob,
    BatchSaved,
    Change,
    Committed,
    Learned,
    Lost,
    PaidAnswer,
    Reserved,
    Settled,
    Voided,
)
from imfl_engine.types import Purpose, Reply


@dataclass
class MemoryReplyStore:
    """A `ReplyStore` that forgets: for trying an annotator out without a project, and for tests."""

    charges: dict[str, tuple[Reserved, str, Settled | None]] = field(default_factory=dict)
    replies: dict[tuple[int, int, Purpose], Reply] = field(default_factory=dict)
    jobs: dict[str, BatchJob] = field(default_factory=dict)
    learned: dict[tuple[str, str], EndpointFacts] = field(default_factory=dict)

    async def write(self, changes: Sequence[Change]) -> None:
        """Apply ``changes`` in order."""
        for change in changes:
            match change:
                case Reserved():
                    self.charges[change.charge_id] = (change, "open", None)
                case Settled():
                    reserved, _, _ = self.charges[change.charge_id]
                    self.charges[change.charge_id] = (reserved, "settled", change)
                case Voided():
                    reserved, _, _ = self.charges[change.charge_id]
                    self.charges[change.charge_id] = (reserved, "voided", None)
                case Lost():
                    reserved, _, _ = self.charges[change.charge_id]
                    self.charges[change.charge_id] = (reserved, "lost", None)
                case Committed(reply):
                    key = (reply.item_id, reply.round, reply.purpose)
                    self.replies.pop(key, None)
                    self.replies[key] = reply
                case BatchSaved(job):
                    self.jobs[job.batch_id] = job
                case Learned(where, model, facts):
                    self.learned[where, model] = facts

    async def find(self, prompt_hashes: Sequence[str]) -> Mapping[str, Reply | PaidAnswer]:
        """See `ReplyStore.find`."""
        wanted = set(prompt_hashes)
        found: dict[str, Reply | PaidAnswer] = {}
        for reserved, state, settled in self.charges.values():
            if reserved.prompt_hash not in wanted or state != "settled" or settled is None:
                continue
            before = found.get(reserved.prompt_hash)
            earlier = before if isinstance(before, PaidAnswer) else PaidAnswer((), 0)
            found[reserved.prompt_hash] = PaidAnswer(
                earlier.answers if settled.answer is None else (*earlier.answers, settled.answer),
                earlier.attempts + 1,
                earlier.input_tokens + settled.input_tokens,
                earlier.cached_tokens + settled.cached_tokens,
                earlier.output_tokens + settled.output_tokens,
                earlier.usd + settled.usd,
            )
        for reply in self.replies.values():
            if reply.prompt_hash in wanted and reply.status.is_final:
                found[reply.prompt_hash] = reply
        return found

    async def balance(self) -> Balance:
        """See `ReplyStore.balance`."""
        sums = {"open": 0.0, "settled": 0.0, "lost": 0.0, "voided": 0.0}
        for reserved, state, settled in self.charges.values():
            sums[state] += settled.usd if settled is not None else reserved.usd
        return Balance(sums["settled"], sums["open"], sums["lost"])

    async def recover(self) -> Balance:
        """See `ReplyStore.recover`."""
        batched = {
            entry.charge_id
            for job in self.jobs.values()
            if not job.finished
            for entry in job.entries
        }
        for charge_id, (reserved, state, settled) in self.charges.items():
            if state == "open" and charge_id not in batched:
                self.charges[charge_id] = (reserved, "lost", settled)
        return await self.balance()

    async def batches(self) -> Sequence[BatchJob]:
        """See `ReplyStore.batches`."""
        return [job for job in self.jobs.values() if not job.finished]

    async def facts(self, where: str, model: str) -> EndpointFacts | None:
        """See `ReplyStore.facts`."""
        return self.learned.get((where, model))

    async def all_learned(self) -> Sequence[Learned]:
        """What a project that is made later can take over."""
        return [Learned(*asked, facts) for asked, facts in self.learned.items()]
