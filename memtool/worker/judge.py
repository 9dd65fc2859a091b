"""Turns every outcome of a worker into a sample: sound figures, or in words why there are none."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtool.allocators.regions import Backing
from memtool.host.counters import Counter
from memtool.model import AllocatorPlan, Status
from memtool.passes import Figures, Noise, Sample
from memtool.units import printable
from memtool.worker import protocol

if TYPE_CHECKING:
    from memtool.worker.parent import Job


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a worker."""

    status: int
    message: str
    proof: Mapping[str, Any] = field(default_factory=dict)
    noise: Noise | None = None
    figures: Figures | None = None
    timed_out: bool = False
    """Whether it did not answer in time; ``message`` says what it was doing, where that is known."""


_UNDER_VALGRIND = (
    "under valgrind a process has less address space than the system gives it, and a library that reserves 64 GiB or "
    "more cannot run there (without counters the pass is left out)"
)


_LIMITS = (signal.SIGXCPU, signal.SIGXFSZ)
"""Signals that the kernel sends for a limit that the user has set."""


_NO_ROOM = {
    Backing.FILE: "no room for a page of the region's file: its disk, that of the results, is full",
    Backing.MEMORY: "no memory for a page that the region shares",
}
"""Causes of a SIGBUS in a mapped file that nobody truncates."""


def sample_of(job: Job, answer: Answer | None, returncode: int, complaint: str) -> Sample:
    """Return the sample of a worker that has ended; ``answer`` is None where it died.

    A failure says nothing about the allocator if the worker could not begin or could not count, if other code than the
    allocator was measured, if a limit of the user ended it (`ulimit -t`) or a disk was full, and if the interpreter
    itself exited with no code in the worker but memtool's and the C library's.
    """
    failed = Sample(job.cell, job.block, job.run_pass, Status.FAILED, None)
    if answer is None:
        reason = _death(returncode, complaint, job.region.backing)
        # It ran in the passes before, so the failure is due to the combination of allocator and instrument.
        under = "valgrind" if job.counter is Counter.CALLGRIND and job.plan.preload else ""
        reason = f"{reason}; {_UNDER_VALGRIND}" if under else reason
        of_harness = (
            -returncode in _LIMITS
            or _had_no_room(returncode, job.region.backing)
            or (returncode > 0 and not (job.plan.preload or job.plan.adopted))
        )
        return replace(failed, reason=printable(reason), died=True, under=under, of_harness=of_harness)
    why = _why_failed(job, answer)
    if why is not None:
        of_harness = not answer.timed_out and answer.status in (protocol.DONE, protocol.BAD_REQUEST)
        failed = replace(failed, reason=printable(why), proof=answer.proof)
        return replace(failed, timed_out=answer.timed_out, of_harness=of_harness)
    return Sample(job.cell, job.block, job.run_pass, Status.OK, None, answer.figures, answer.proof, answer.noise)


def _why_failed(job: Job, answer: Answer) -> str | None:
    if answer.timed_out:
        because = answer.message or "an endless loop, or too slow"
        return f"no answer within {job.time_limit:.0f} s: killed ({because}; --time-limit SECONDS allows more)"
    if answer.status != protocol.DONE:
        return answer.message
    return _why_other_code(job.plan, answer.proof) or _why_other_region(job, answer.figures)


def _why_other_code(plan: AllocatorPlan, proof: Mapping[str, Any]) -> str | None:
    """Fail a sample in which another library than the named one served malloc, and was measured instead."""
    owner = proof["malloc_owner"] or "nothing"
    if plan.expected_owner is not None and plan.expected_owner not in Path(owner).name:
        return f"malloc was served by {owner}, not by {plan.expected_owner}"
    return None


def _why_other_region(job: Job, figures: Figures | None) -> str | None:
    """Fail a sample whose region, by the kernel's own account, does not have the properties of its name."""
    account = None if figures is None or not job.plan.uses_region else figures.account
    if account is None:
        return None
    region = job.region
    if region.locked and account.locked_bytes < region.populate:
        return f"the kernel has {account.locked_bytes} bytes of the region locked, not {region.populate}"
    permissions, _, backing = account.mapping.partition(" ")
    is_file = backing != "anonymous"
    if permissions[-1:] != ("s" if region.shared else "p") or is_file != (region.backing is not Backing.NONE):
        return f"the kernel has the region as '{account.mapping}', which is not what was asked for"
    return None


def _had_no_room(returncode: int, backing: Backing) -> bool:
    return -returncode == signal.SIGBUS and backing in _NO_ROOM


def _death(returncode: int, complaint: str, backing: Backing) -> str:
    if _had_no_room(returncode, backing):
        complaint = complaint or _NO_ROOM[backing]
    because = f": {complaint}" if complaint else ""
    if returncode < 0:
        try:
            name = signal.Signals(-returncode).name
        except ValueError:
            name = f"signal {-returncode}"
        return f"the worker was killed by {name}{because}"
    return f"the worker ended with status {returncode} and no answer{because}"
