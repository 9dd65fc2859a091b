"""The finished and unfinished work of a group of equal machines: every sample once, by its key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from memtool import groups
from memtool.cluster.orders import Key, Part, Unit, key_to_plain
from memtool.kinds import places_blocks
from memtool.model import Cell, Mode, Status
from memtool.passes import Figures, Pass, Phase, Sample
from memtool.passes.records import plain
from memtool.plan import Plan
from memtool.store import journal
from memtool.worker.evidence import Evidence
from memtool.worker.settings import Measurable, cells_of

_BEFORE: Mapping[Part, tuple[Part, ...]] = {
    Part.PROOF: (),
    Part.BLOCK: (Part.PROOF,),
    Part.REST: (Part.PROOF, Part.BLOCK),
}
"""Part of a workload -> the parts that must have ended before it."""
_TRIES = 3
"""Number of times that a unit is handed out if it ends without all of its samples."""


@dataclass(slots=True)
class Ledger:
    """The samples of one group, by the journal's names of its workloads."""

    group: str
    plan: Plan
    record: Callable[[Sample], None]
    """Called with each new sample, with the journal's name of its workload."""
    samples: dict[Key, Sample] = field(default_factory=dict)
    """The samples so far, by plain names of workloads, in the order of their arrival."""
    failed: set[Cell] = field(default_factory=set)
    _open: list[Unit] = field(default_factory=list)
    """Units that are not handed out, in this order."""
    _out: set[Unit] = field(default_factory=set)
    _left: Counter[tuple[str, Part]] = field(default_factory=Counter)
    """Numbers of units of a workload that have not ended."""
    _tries: Counter[Unit] = field(default_factory=Counter)
    _evidence: Evidence = field(default_factory=Evidence)
    _kinds: dict[str, str] = field(init=False)
    _ready: dict[str, Measurable] = field(init=False)

    def __post_init__(self) -> None:
        self._kinds = {info.name: info.kind for info in self.plan.infos}
        self._ready = {ready.name: ready for ready in self.plan.measurables}
        for sample in list(self.samples.values()):
            self._hold(sample)
        self._open = [unit for unit in self._units() if self._wanted(unit)]
        self._left.update((unit.workload, unit.part) for unit in self._open)

    def _units(self) -> Iterator[Unit]:
        """Yield every unit, in the order in which they are handed out."""
        names = list(self._ready)
        settings = self.plan.settings
        for part in (Part.PROOF, Part.BLOCK, Part.REST):
            blocks = range(settings.first_block, settings.first_block + settings.blocks)
            for block in blocks if part is Part.BLOCK else (0,):
                yield from (Unit(name, part, block) for name in names)

    @property
    def total(self) -> int:
        """Return the number of samples, as far as it is known."""
        return sum(len(set(self._keys(unit))) for unit in self._units())

    @property
    def is_complete(self) -> bool:
        """Return whether nothing is left to do."""
        return not self._open and not self._out

    @property
    def missing(self) -> int:
        """Return the number of missing samples of cells that have not failed."""
        return sum(len(self._wanted(unit)) for unit in self._units())

    def next(self) -> Unit | None:
        """Return the next unit for an idle host; None: there is none at present."""
        for unit in self._open:
            if not self._waits(unit):
                self._open.remove(unit)
                self._out.add(unit)
                return unit
        return None

    def _waits(self, unit: Unit) -> bool:
        """Return whether another unit must end first: the proof of a workload, or all of its blocks."""
        return any(self._left[unit.workload, part] for part in _BEFORE[unit.part])

    def request(self, unit: Unit) -> dict[str, Any]:
        """Return the message to a host about a unit."""
        return {
            "name": f"{unit.name}-{self._tries[unit]}",
            "workload": unit.workload,
            "part": str(unit.part),
            "block": unit.block,
            "done": [key_to_plain(key) for key in self._keys(unit) if key in self.samples],
            "failed": [plain(cell) for cell in self.failed if cell.workload == unit.workload],
            "differing": [plain(cell) for cell in self._differing(unit)] if unit.part is Part.REST else [],
        }

    def take(self, line: bytes, host: str) -> bool:
        """Store a host's sample and return whether it is new. Raises ValueError for a line that is not a sample."""
        try:
            sample = journal.sample_of(line, self._kinds)
        except (KeyError, TypeError) as problem:
            raise ValueError(str(problem)) from None
        key = (sample.cell, sample.block, sample.run_pass)
        if key in self.samples or sample.cell.workload not in self._ready:
            return False
        sample = replace(self._evidence.hold(sample), host=host)
        self.record(self.named(sample))
        self.samples[key] = sample
        self._hold(sample)
        return True

    def _hold(self, sample: Sample) -> None:
        if sample.status is not Status.OK and sample.run_pass.declared.phase is not Phase.COUNTED:
            self.failed.add(sample.cell)

    def named(self, sample: Sample) -> Sample:
        """Return a sample with the journal's name of its workload, which is unique over all groups."""
        workload = groups.in_group(sample.cell.workload, self.group)
        return replace(sample, cell=replace(sample.cell, workload=workload))

    def ended(self, unit: Unit) -> None:
        """Record that a unit has ended; its missing samples are tried again."""
        if unit in self._out:
            self._tries[unit] += 1
            again = self._wanted(unit) and self._tries[unit] < _TRIES
            self._put_back(unit, 0) if again else self.give_up(unit)

    def give_back(self, unit: Unit) -> None:
        """Give a unit to another host, because its host is gone; after units not begun, because the host may return."""
        if unit in self._out:
            same = [index for index, other in enumerate(self._open) if other.part is unit.part]
            self._put_back(unit, same[-1] + 1 if same else 0) if self._wanted(unit) else self.give_up(unit)

    def _put_back(self, unit: Unit, place: int) -> None:
        self._out.discard(unit)
        self._open.insert(place, unit)

    def give_up(self, unit: Unit) -> None:
        """Remove a unit: it has ended, or cannot be done."""
        if unit in self._out or unit in self._open:
            self._left[unit.workload, unit.part] -= 1
            self._out.discard(unit)
            self._open = [other for other in self._open if other != unit]

    def give_up_all(self) -> None:
        """Remove all units."""
        for unit in (*self._open, *self._out):
            self.give_up(unit)

    def _wanted(self, unit: Unit) -> set[Key]:
        """Return the missing samples of a unit, of cells that have not failed."""
        return {
            key
            for key in self._keys(unit)
            if key not in self.samples and replace(key[0], mode=self._mode(key[0])) not in self.failed
        }

    def _mode(self, cell: Cell) -> str:
        """Return the mode of a sample's cell: the single-threaded replay belongs to the cell with several threads."""
        return next((own.mode for own in self._ready[cell.workload].cells), cell.mode)

    def _keys(self, unit: Unit) -> Iterator[Key]:
        """Yield the samples of a unit."""
        settings, ready = self.plan.settings, self._ready[unit.workload]
        if unit.part is Part.PROOF:
            yield from (
                (cell, 0, run_pass) for run_pass in settings.of(Phase.PROOF) for cell in cells_of(ready, run_pass)
            )
            return
        if unit.part is Part.BLOCK:
            turn = unit.block - settings.first_block
            passes = (
                *settings.of(Phase.TIMED),
                *(settings.of(Phase.REPEATED) if turn < settings.footprint_repeats else ()),
            )
            yield from ((cell, unit.block, run_pass) for run_pass in passes for cell in cells_of(ready, run_pass))
            return
        for run_pass in (*settings.of(Phase.COUNTED), *settings.of(Phase.WAITING)):
            repeats = settings.repeats(run_pass) if run_pass.declared.phase is Phase.COUNTED else 1
            yield from ((cell, block, run_pass) for cell in cells_of(ready, run_pass) for block in range(repeats))
        for run_pass in settings.of(Phase.REPEATED):
            if ready.serial is not None and places_blocks(ready.kind, (run_pass,)):
                yield from ((replace(cell, mode=str(Mode.SERIAL)), 0, run_pass) for cell in cells_of(ready, run_pass))
            blocks = range(settings.first_block + settings.footprint_repeats, settings.first_block + settings.blocks)
            yield from ((cell, block, run_pass) for cell in self._differing(unit) for block in blocks)

    def _differing(self, unit: Unit) -> list[Cell]:
        """Return the cells of a workload whose repeats differ, so that more are wanted."""
        ready = self._ready[unit.workload]
        repeats: dict[tuple[Cell, Pass], list[Figures]] = {}
        for (cell, _, run_pass), sample in self.samples.items():
            if run_pass.declared.phase is Phase.REPEATED and sample.payload is not None and cell in ready.cells:
                repeats.setdefault((cell, run_pass), []).append(sample.payload)
        return [
            cell
            for (cell, run_pass), figures in repeats.items()
            if cell not in self.failed
            if (measure := ready.measure(run_pass)) is not None and measure.differ(figures)
        ]


def of_group(name: str, finished: Mapping[Key, Sample]) -> dict[Key, Sample]:
    """Return the samples of one group in a journal, by plain names of workloads."""
    own: dict[Key, Sample] = {}
    for (cell, block, run_pass), sample in finished.items():
        workload, group = groups.split(cell.workload)
        if group == name:
            plain_cell = replace(cell, workload=workload)
            own[plain_cell, block, run_pass] = replace(sample, cell=plain_cell)
    return own
