"""The workload language: one definition that validates a file and publishes its JSON Schema.

docs/workloads.md explains it to those who write workloads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StrictBool, StrictInt, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from memtool.engine.replay.binding import MOST_MAPS
from memtool.workload.language.arrival_kinds import Arrivals
from memtool.workload.language.bounds import unbounded
from memtool.workload.language.descriptions import described
from memtool.workload.language.laws import CountLaw, Lifetime, NaturalLaw, SizeLaw
from memtool.workload.language.patterns import Buffer, Exchange, Refill, Requests, Sweep, Toggle, most_swept
from memtool.workload.language.values import (
    MOST_LIVE,
    Alignment,
    Capacity,
    Count,
    Factor,
    Moment,
    Natural,
    OneOf,
    Positive,
    Share,
    Size,
    Strict,
    Weight,
    misfit,
    raise_all,
    require_one_key,
)

_MOST_CLASSES = 1024
MOST_ROWS = 2048
_MOST_THREADS = 1024
_MOST_ROUNDS = 10_000
_MOST_LANES = 1 << 16
_DEEPEST_SCOPES = 16
_SOURCES = ("objects", "pattern", "profile")
_MOST_MARKS = MOST_MAPS - 2
"""There are heap maps of the peak and of the end, too."""
_OTHER_MOMENTS = ("peak", "end")
_PHASES = ("ramp", "steady", "drain")

Touch = Literal["none", "first", "pages", "all"]
Order = Literal["oldest", "youngest", "random", "both-ends"]
"""Order in which objects are freed; both-ends: half of them from the oldest on, then half from the youngest back."""


Name = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""Name in tables and files."""

FreedBy = Literal["own_thread", "other_thread"]
"""Which thread frees an object: the one that allocated it, or one of the others, drawn at random."""


class Matrix(Strict):
    """Joint distribution of sizes and lifetimes: `weights[i][j]` is the weight of `sizes[i]` with `lifetimes[j]`."""

    sizes: Annotated[list[SizeLaw], Field(min_length=1, max_length=64)]
    lifetimes: Annotated[list[Lifetime], Field(min_length=1, max_length=64)]
    weights: list[list[Weight]]

    @model_validator(mode="after")
    def _rectangular(self) -> Matrix:
        rows, columns = len(self.sizes), len(self.lifetimes)
        if len(self.weights) != rows:
            raise misfit(f"must have {rows} entries, one for each of sizes, has {len(self.weights)}", "weights")
        for index, row in enumerate(self.weights):
            if len(row) != columns:
                words = f"must have {columns} entries, one for each of lifetimes, has {len(row)}"
                raise misfit(words, "weights", index)
        if not any(any(row) for row in self.weights):
            raise misfit("must not all be 0", "weights")
        return self


ResizeWhen = Literal["spread", "at_birth"]


class Resize(Strict):
    """A share of the objects is reallocated, each time to `factor` times its size plus `by` bytes."""

    share: Share = Fraction(1)
    factor: Factor = Fraction(2)
    by: Size | None = None
    times: CountLaw = Field(1, validate_default=True)
    when: ResizeWhen | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_alone_adds(cls, content: Any) -> Any:  # noqa: ANN401  # any content of the file
        """Set the factor to 1 where only `by` is given: such objects grow by bytes alone."""
        grows = isinstance(content, dict) and content.get("by") is not None and "factor" not in content
        return {**content, "factor": 1} if grows else content


class Objects(Strict):
    """One class of objects in a weighted mix."""

    name: StrictStr | None = None
    weight: Positive = Fraction(1)
    size: SizeLaw | None = None
    lifetime: Lifetime | None = None
    matrix: Matrix | None = None
    alignment: Alignment = 16
    zeroed: StrictBool = False
    resize: Resize | None = None
    freed_by: FreedBy = "own_thread"

    @model_validator(mode="after")
    def _size_or_matrix(self) -> Objects:
        if self.matrix is None and self.size is None:
            raise misfit("is missing", "size")
        if self.matrix is not None:
            for key in ("size", "lifetime"):
                if getattr(self, key) is not None:
                    raise misfit("must go: matrix has sizes and lifetimes", key)
        spread = self.resize is not None and self.resize.when != "at_birth"
        if spread and self.lifetime is not None and self.lifetime.forever:
            raise misfit("needs a lifetime that ends, or when: at_birth", "resize")
        return self


class Phase(Strict):
    """A phase of the run: a ramp, a steady phase or a drain; it can have its own mix of classes."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [kind]} for kind in _PHASES]})

    ramp: Share | None = None
    steady: Share | None = None
    drain: Share | None = None
    mix: Annotated[dict[StrictStr, Positive], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Phase:
        require_one_key(self, "phase", _PHASES)
        if self.drain is not None and self.mix is not None:
            raise misfit("must go: nothing is allocated in a drain", "mix")
        return self

    def weights(self, objects: Sequence[Objects]) -> list[Fraction]:
        """Return the relative frequency of each class in this phase."""
        if self.mix is None:
            return [declared.weight for declared in objects]
        return [self.mix.get(declared.name or "", Fraction(0)) for declared in objects]

    @property
    def share(self) -> Fraction:
        """Return this phase's share of the run."""
        return self.ramp or self.steady or self.drain or Fraction(0)


class Live(Requests):
    """`live` objects, one of which is replaced at a time."""

    live: Count


class Larson(Live):
    """`live` slots; with `allocate_first`, the new object is allocated before the old one is freed."""

    allocate_first: StrictBool = False


class Stack(Requests):
    """`batch` allocations, then as many frees, the youngest first, over and over."""

    batch: CountLaw


class Batches(Requests):
    """`batch` allocations, then as many frees in the given order, over and over."""

    batch: CountLaw
    order: Order = "oldest"
    handed_on: Natural = 0
    """Every this many batches, the next thread does the freeing; 0: never."""


class Sawtooth(Requests):
    """Allocations up to `high` live objects, then frees down to `low`, over and over."""

    high: Count
    low: Natural = 0
    order: Order = "random"
    handed_on: Natural = 0
    """Every this many times, the next thread does the freeing; 0: never."""

    @model_validator(mode="after")
    def _ordered(self) -> Sawtooth:
        if self.low >= self.high:
            raise misfit(f"must be below high ({self.high}), is {self.low}", "low")
        return self


class Ramp(Requests):
    """First all allocations, then all frees."""

    order: Order = "oldest"


class ProducerConsumer(Requests):
    """A queue of `depth` batches: one is produced, then the oldest is consumed."""

    batch: Count
    depth: Count


class FalseSharing(Requests):
    """Each thread repeatedly allocates an object, writes to it `writes` times, and frees it.

    If `passive`, each thread first frees an object that the first thread allocated next to those of the others.
    """

    writes: Annotated[Count, Field(lt=2**32)]
    passive: StrictBool = False


class Pattern(OneOf):
    """A regular pattern: exactly one of these keys."""

    noun = "pattern"

    lifo: Stack | None = None
    fifo: Live | None = None
    ring: Live | None = None
    random_victim: Live | None = Field(None, alias="random-victim")
    larson: Larson | None = None
    batches: Batches | None = None
    ramp: Ramp | None = None
    sawtooth: Sawtooth | None = None
    producer_consumer: ProducerConsumer | None = Field(None, alias="producer-consumer")
    toggle: Toggle | None = None
    exchange: Exchange | None = None
    false_sharing: FalseSharing | None = Field(None, alias="false-sharing")
    buffer: Buffer | None = None
    refill: Refill | None = None
    sweep: Sweep | None = None


class Profile(Strict):
    """A heap profile: rows of size, allocation rate and live objects, scaled to `heap` live bytes.

    By Little's law the mean lifetime of a row is live / rate.
    """

    heap: Size
    largest: Size | None = None
    rows: Annotated[list[tuple[Size, Weight, Weight]], Field(min_length=1, max_length=MOST_ROWS)]

    @model_validator(mode="after")
    def _holds_something(self) -> Profile:
        if all(size > self.cap for size, _, _ in self.rows):
            raise misfit(f"has no row of at most {self.cap} bytes", "rows")
        for state, column in (("allocated", 1), ("live", 2)):
            if not any(row[column] for row in self.rows if row[0] <= self.cap):
                raise misfit(f"has no row of at most {self.cap} bytes that is {state}: all are 0", "rows")
        if self.populated > MOST_LIVE:
            raise misfit(f"would be {float(self.populated):.2g} live objects, more than {MOST_LIVE:,}", "heap")
        return self

    @property
    def cap(self) -> int:
        """Return the largest size, in bytes, of the rows that are kept."""
        return self.largest or self.heap

    @property
    def populated(self) -> int:
        """Return how many objects are allocated before the steady phase."""
        kept = [(size, live) for size, _, live in self.rows if size <= self.cap]
        return round(self.heap * sum(live for _, live in kept) / sum(size * live for size, live in kept))


class Scopes(Strict):
    """Scopes within each frame, nested to `depth` levels, each with its own objects."""

    per_frame: NaturalLaw
    objects: NaturalLaw
    depth: Annotated[Count, Field(le=_DEEPEST_SCOPES)] = 1


class Frames(Strict):
    """Frames, requests or tasks: when one ends, all its objects are freed, the youngest first."""

    count: Count
    objects_per_frame: NaturalLaw
    scopes: Scopes | None = None


class Workload(Strict):
    """A workload file."""

    name: Name
    description: StrictStr = ""
    seed: Annotated[StrictInt, Field(ge=0, lt=2**63)] = 42
    threads: Annotated[Count, Field(le=_MOST_THREADS)] = 1
    rounds: Annotated[Count, Field(le=_MOST_ROUNDS)] = 1
    allocations: Count | None = None
    objects: Annotated[list[Objects], Field(min_length=1, max_length=_MOST_CLASSES)] | None = None
    pattern: Pattern | None = None
    profile: Profile | None = None
    frames: Frames | None = None
    phases: Annotated[list[Phase], Field(min_length=1, max_length=64)] | None = None
    touch: Touch = "pages"
    arrivals: Arrivals | None = None
    memory_limit: Capacity | None = None
    marks: (
        Annotated[
            dict[Name, Moment],
            Field(min_length=1, max_length=_MOST_MARKS, json_schema_extra={"additionalProperties": False}),
        ]
        | None
    ) = None

    @model_validator(mode="after")
    def _consistent(self) -> Workload:
        sources = [key for key in _SOURCES if getattr(self, key) is not None]
        if self.frames is not None and sources != ["objects"]:
            raise misfit("needs objects, what is allocated in a frame, and no other source of events", "frames")
        if not sources:
            raise misfit(f"must have a source of events: one of {', '.join(_SOURCES)}")
        if len(sources) > 1:
            raise misfit(f"must go: {sources[0]} is the source of events already", sources[1])
        raise_all((*self._check_source(), *self._check_phases(), *self._check_threads(), *self._check_marks()))
        raise_all(unbounded(self))
        return self

    def _check_source(self) -> Iterator[PydanticCustomError]:
        if self.frames is not None:
            yield from self._check_frames()
            return
        if self.arrivals is not None and self.arrivals.frames is not None:
            yield misfit("must go: the workload has no frames", "arrivals", "frames")
        if self.allocations is None:
            yield misfit("is missing", "allocations")
        for index, declared in enumerate(self.objects or ()):
            if declared.lifetime is None and declared.matrix is None:
                yield misfit("is missing", "objects", index, "lifetime")

    def _check_threads(self) -> Iterator[PydanticCustomError]:
        if self.frames is not None and self.threads > 1:
            yield misfit("must be 1: frames run on one thread", "threads")
        if self.pattern is None and self.rounds > 1:
            yield misfit("must go: only patterns have rounds of threads", "rounds")
        if self.threads * self.rounds >= _MOST_LANES:
            yield misfit(f"would be {self.threads * self.rounds:,} threads, more than {_MOST_LANES - 1:,}", "rounds")
        if self.pattern is None:
            for index, declared in enumerate(self.objects or ()):
                if declared.freed_by == "other_thread" and "threads" not in self.model_fields_set:
                    yield misfit("needs threads", "objects", index, "freed_by")
            return
        if (words := most_swept((self.allocations or 0) // self.threads, self.pattern.sweep)) is not None:
            yield misfit(words, "allocations")
        if self.pattern.false_sharing is not None and self.rounds > 1:
            yield misfit("must go: false-sharing has one", "rounds")
        if self.pattern.producer_consumer is not None and self.threads > 1 and self.threads % 2:
            yield misfit("must be even: half of them produce, half consume", "threads")

    def _check_marks(self) -> Iterator[PydanticCustomError]:
        noun = "allocations" if self.frames is None else "frames"
        for name, moment in (self.marks or {}).items():
            if name in _OTHER_MOMENTS:
                yield misfit(f"must go: {name} is a moment of every workload", "marks", name)
            if isinstance(moment, int) and moment > self.length > 0:
                yield misfit(f"must be at most {self.length:,}, the number of {noun}, is {moment:,}", "marks", name)

    @property
    def length(self) -> int:
        """Return the number of allocations, or of frames in a workload with frames, where the allocations are drawn."""
        if self.frames is not None:
            return self.frames.count
        return (self.allocations or 0) + (0 if self.profile is None else self.profile.populated)

    @property
    def moments(self) -> dict[str, int]:
        """Return the marks in the order of the run: name -> number of allocations or frames before the mark."""
        after = {
            name: moment if isinstance(moment, int) else max(1, int(moment * self.length))
            for name, moment in (self.marks or {}).items()
        }
        return dict(sorted(after.items(), key=lambda mark: mark[1]))

    def _check_frames(self) -> Iterator[PydanticCustomError]:
        if self.allocations is not None:
            yield misfit("must go: they follow from frames", "allocations")
        for index, declared in enumerate(self.objects or ()):
            for key in ("lifetime", "matrix"):
                if getattr(declared, key) is not None:
                    yield misfit("must go: objects die with their frame", "objects", index, key)
            if declared.resize is not None and declared.resize.when == "spread":
                yield misfit("must be at_birth: in frames objects grow at once", "objects", index, "resize", "when")

    def _check_phases(self) -> Iterator[PydanticCustomError]:
        if self.phases is None:
            return
        if self.objects is None or self.frames is not None:
            why = "only objects have phases" if self.objects is None else "frames have none"
            yield misfit(f"must go: {why}", "phases")
            return
        whole = sum((phase.share for phase in self.phases), Fraction(0))
        if whole != 1:
            yield misfit(f"must add up to 100%, are {float(whole * 100):g}%", "phases")
        if all(phase.drain for phase in self.phases):
            yield misfit("must have a ramp or a steady one", "phases")
        names = [declared.name for declared in self.objects]
        for index, phase in enumerate(self.phases):
            for name in phase.mix or ():
                if names.count(name) != 1:
                    problem = f"no class of objects is called '{name}'"
                    if name in names:
                        problem = f"{names.count(name)} classes of objects are called '{name}'"
                    yield misfit(f"must name one class each: {problem}", "phases", index, "mix", name)

    def effective(self) -> dict[str, Any]:
        """Return the content of the workload's file with every default written out; it loads as the same workload."""
        plain: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        if self.objects is not None and self.frames is None:
            plain.setdefault("phases", [{"steady": "100%"}])
        for declared in plain.get("objects", ()):
            if "resize" in declared:
                declared["resize"].setdefault("when", "spread" if self.frames is None else "at_birth")
        return plain


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a workload file, for editors and validators."""
    schema = described(Workload.model_json_schema(by_alias=True), "Workload")
    sources = {"oneOf": [{"required": [key]} for key in _SOURCES]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "memtool workload",
        **sources,
    }
