"""The workload language: one definition validates a file and publishes its JSON Schema (docs/workloads.md)."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from memtool.units import COUNT_PATTERN, SIZE_PATTERN, format_size, parse_count, parse_size

LARGEST_SIZE = 1 << 47
LARGEST_COUNT = 1 << 31
_PERCENT_PATTERN = r"^\s*\d+(\.\d+)?\s*%\s*$"


def shown(value: object) -> str:
    """Return a value as an error message quotes it: in the words of YAML, and short."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = str(value)
    text = text if len(text) <= 40 else text[:37] + "..."
    return f"'{text}'" if isinstance(value, str) else text


def _whole(value: Any, parse: Any, what: str, least: int, most: int) -> int:  # noqa: ANN401  # raw YAML
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(f"must be a {what}, is {shown(value)}")
    number: int = parse(value)
    if number < least:
        raise ValueError(f"must be > {least - 1}, is {shown(value)}")
    if number > most:
        limit = format_size(most) if parse is parse_size else f"{most:,}"
        raise ValueError(f"must be at most {limit}, is {shown(value)}")
    return number


def _size(value: Any) -> int:  # noqa: ANN401
    return _whole(value, parse_size, "size such as 64 or 4KiB", 1, LARGEST_SIZE)


def _count(value: Any) -> int:  # noqa: ANN401
    return _whole(value, parse_count, "count such as 1000 or 2M", 1, LARGEST_COUNT)


def _natural(value: Any) -> int:  # noqa: ANN401
    return _whole(value, parse_count, "count such as 1000 or 2M", 0, LARGEST_COUNT)


def _fraction(value: Any) -> Fraction:  # noqa: ANN401
    if isinstance(value, Fraction):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"must be a number, is {shown(value)}")
    try:
        number = Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"must be a number, is {shown(value)}") from None
    if number <= 0:
        raise ValueError(f"must be > 0, is {value}")
    if not Fraction(1, 10**15) <= number <= 10**15:
        raise ValueError(f"must be between 1e-15 and 1e15, is {value}")
    return number


def _percent(value: Any) -> Fraction:  # noqa: ANN401
    if isinstance(value, Fraction):
        return value
    text = str(value).strip()
    if isinstance(value, bool) or not text.endswith("%"):
        raise ValueError(f"must be a share such as 20%, is {shown(value)}")
    try:
        share = Fraction(text[:-1].strip()) / 100
    except ValueError:
        raise ValueError(f"must be a share such as 20%, is {shown(value)}") from None
    if not 0 < share <= 1:
        raise ValueError(f"must be above 0% and at most 100%, is {shown(value)}")
    return share


def _power_of_two(value: int) -> int:
    if value & (value - 1):
        raise ValueError(f"must be a power of two, is {value}")
    if value > 2 << 20:
        raise ValueError(f"must be at most 2 MiB, is {format_size(value)}")
    return value


def _either(pattern: str, least: int) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"type": "integer", "minimum": least}, {"type": "string", "pattern": pattern}]})


Size = Annotated[int, BeforeValidator(_size), _either(SIZE_PATTERN, 1)]
Count = Annotated[int, BeforeValidator(_count), _either(COUNT_PATTERN, 1)]
Natural = Annotated[int, BeforeValidator(_natural), _either(COUNT_PATTERN, 0)]
Positive = Annotated[Fraction, BeforeValidator(_fraction), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]
Share = Annotated[Fraction, BeforeValidator(_percent), WithJsonSchema({"type": "string", "pattern": _PERCENT_PATTERN})]
Alignment = Annotated[int, BeforeValidator(lambda value: _power_of_two(_size(value))), _either(SIZE_PATTERN, 1)]
Touch = Literal["none", "first", "pages", "all"]
Order = Literal["oldest", "youngest", "random"]
N = TypeVar("N", bound=int)


class Strict(BaseModel):
    """A mapping with these keys and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, populate_by_name=True)


def _one_of(model: BaseModel, what: str) -> None:
    given = [name for name in type(model).model_fields if getattr(model, name) is not None]
    if len(given) != 1:
        keys = ", ".join(field.alias or name for name, field in type(model).model_fields.items())
        raise ValueError(f"must have exactly one {what} of {keys}")


class Exponential(Strict, Generic[N]):
    """Memoryless, with this mean."""

    mean: N
    min: N | None = None
    max: N | None = None


class Lognormal(Strict, Generic[N]):
    """Its logarithm is normal: this median, this standard deviation of the logarithm."""

    median: N
    sigma: Positive
    min: N | None = None
    max: N | None = None


class Pareto(Strict, Generic[N]):
    """Heavy-tailed: P(X > x) = (minimum / x)^alpha."""

    minimum: N
    alpha: Positive
    max: N | None = None


class Normal(Strict, Generic[N]):
    """Bell-shaped, cut at min and max."""

    mean: N
    deviation: Positive
    min: N | None = None
    max: N | None = None


class Law(Strict, Generic[N]):
    """A distribution of whole numbers: a number by itself, or exactly one of these."""

    constant: N | None = None
    uniform: Annotated[list[N], Field(min_length=2, max_length=2)] | None = None
    choice: Annotated[dict[N, Positive], Field(min_length=1)] | None = None
    exponential: Exponential[N] | None = None
    lognormal: Lognormal[N] | None = None
    pareto: Pareto[N] | None = None
    normal: Normal[N] | None = None

    @field_validator("uniform")
    @classmethod
    def _ordered(cls, bounds: list[N] | None) -> list[N] | None:
        if bounds is not None and bounds[0] > bounds[1]:
            raise ValueError(f"must be [low, high], is [{bounds[0]}, {bounds[1]}]")
        return bounds

    @model_validator(mode="after")
    def _exactly_one(self) -> Law[N]:
        _one_of(self, "law")
        for law in (self.exponential, self.lognormal, self.normal):
            if law is not None and law.min is not None and law.max is not None and law.min > law.max:
                raise ValueError("min must not be above max")
        return self


class LifetimeLaw(Law[Count]):
    """How many allocations an object lives, or `forever`: until the epilogue (or the end of its frame)."""

    forever: Literal[True] | None = None


def _law(value: Any) -> Any:  # noqa: ANN401
    """Accept the short forms: a number, and the word `forever`."""
    if value == "forever":
        return {"forever": True}
    return value if isinstance(value, (dict, Law)) else {"constant": value}


def _short(law: type[Law[Any]], forever: bool) -> WithJsonSchema:
    schema = TypeAdapter(law).json_schema(by_alias=True)
    forms = [
        {"type": "integer", "minimum": 1},
        {"type": "string", "pattern": SIZE_PATTERN if not forever else COUNT_PATTERN},
    ]
    return WithJsonSchema({"anyOf": [*forms, *([{"const": "forever"}] if forever else []), _inlined(schema)]})


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without $defs: a law is used in many places, each of which stands by itself."""
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:  # noqa: ANN401  # JSON
        if isinstance(node, dict):
            if "$ref" in node:
                return resolve(definitions[node["$ref"].rsplit("/", 1)[1]])
            return {key: resolve(value) for key, value in node.items()}
        return [resolve(item) for item in node] if isinstance(node, list) else node

    resolved: dict[str, Any] = resolve(schema)
    return resolved


SizeLaw = Annotated[Law[Size], BeforeValidator(_law), _short(Law[Size], forever=False)]
CountLaw = Annotated[Law[Natural], BeforeValidator(_law), _short(Law[Natural], forever=False)]
Lifetime = Annotated[LifetimeLaw, BeforeValidator(_law), _short(LifetimeLaw, forever=True)]


class Matrix(Strict):
    """Sizes and lifetimes drawn together: `weights[i][j]` is that of `sizes[i]` with `lifetimes[j]`."""

    sizes: Annotated[list[SizeLaw], Field(min_length=1)]
    lifetimes: Annotated[list[Lifetime], Field(min_length=1)]
    weights: list[
        list[
            Annotated[
                Fraction,
                BeforeValidator(lambda v: Fraction(0) if v == 0 else _fraction(v)),
                WithJsonSchema({"type": "number", "minimum": 0}),
            ]
        ]
    ]

    @model_validator(mode="after")
    def _rectangular(self) -> Matrix:
        if len(self.weights) != len(self.sizes) or any(len(row) != len(self.lifetimes) for row in self.weights):
            raise ValueError(f"weights must be {len(self.sizes)} lists of {len(self.lifetimes)} numbers")
        if not any(any(row) for row in self.weights):
            raise ValueError("weights must not all be 0")
        return self


class Resize(Strict):
    """A share of the objects is reallocated once, halfway through its life, to `factor` times its size."""

    share: Share
    factor: Positive = Fraction(2)


class Objects(Strict):
    """One class of objects in a weighted mix."""

    name: str | None = None
    weight: Positive = Fraction(1)
    size: SizeLaw | None = None
    lifetime: Lifetime | None = None
    matrix: Matrix | None = None
    alignment: Alignment = 16
    zeroed: bool = False
    resize: Resize | None = None

    @model_validator(mode="after")
    def _size_or_matrix(self) -> Objects:
        if (self.matrix is None) == (self.size is None):
            raise ValueError("must have either size (and lifetime) or matrix")
        if self.matrix is not None and self.lifetime is not None:
            raise ValueError("has its lifetimes in matrix; lifetime must go")
        return self


class Phase(Strict):
    """A stretch of the run: lifetimes held back, steady, or no allocation."""

    ramp: Share | None = None
    steady: Share | None = None
    drain: Share | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Phase:
        _one_of(self, "phase")
        return self


class Live(Strict):
    """`live` objects at all times; each allocation beyond them first frees one."""

    live: Count
    size: SizeLaw
    alignment: Alignment = 16


class Batch(Strict):
    """`batch` allocations, then `batch` frees, again and again."""

    batch: Count
    size: SizeLaw
    alignment: Alignment = 16
    order: Order = "youngest"


class Sawtooth(Strict):
    """Up to `high` live objects, down to `low`, again and again."""

    high: Count
    low: Natural = 0
    size: SizeLaw
    alignment: Alignment = 16
    order: Order = "random"

    @model_validator(mode="after")
    def _ordered(self) -> Sawtooth:
        if self.low >= self.high:
            raise ValueError(f"low must be below high ({self.high}), is {self.low}")
        return self


class Ramp(Strict):
    """All allocations first, then all frees."""

    size: SizeLaw
    alignment: Alignment = 16
    order: Order = "oldest"


class ProducerConsumer(Strict):
    """A queue of `depth` batches: one is made, the oldest is freed."""

    batch: Count
    depth: Count
    size: SizeLaw
    alignment: Alignment = 16


class Pattern(Strict):
    """A regular pattern: exactly one of these."""

    lifo: Batch | None = None
    fifo: Live | None = None
    ring: Live | None = None
    random_victim: Live | None = Field(None, alias="random-victim")
    larson: Live | None = None
    batches: Batch | None = None
    ramp: Ramp | None = None
    sawtooth: Sawtooth | None = None
    producer_consumer: ProducerConsumer | None = Field(None, alias="producer-consumer")

    @model_validator(mode="after")
    def _exactly_one(self) -> Pattern:
        _one_of(self, "pattern")
        return self


class Profile(Strict):
    """A heap profile: rows of size, allocation rate and live count, scaled to `heap` live bytes.

    By Little's law the mean lifetime is live / rate, and a live object dies at rate / live.
    """

    heap: Size
    rows: Annotated[
        list[
            Annotated[
                list[Positive],
                Field(min_length=3, max_length=3),
            ]
        ],
        Field(min_length=1, max_length=4096),
    ]
    largest: Size | None = None


class Scopes(Strict):
    """Scopes within each frame, with objects of their own."""

    per_frame: CountLaw
    objects: CountLaw


class Frames(Strict):
    """Frames, requests or tasks: all objects of one end with it, the last born first."""

    count: Count
    objects_per_frame: CountLaw
    scopes: Scopes | None = None


class Workload(Strict):
    """A workload file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    description: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    allocations: Count | None = None
    objects: Annotated[list[Objects], Field(min_length=1, max_length=1024)] | None = None
    pattern: Pattern | None = None
    profile: Profile | None = None
    frames: Frames | None = None
    phases: Annotated[list[Phase], Field(min_length=1)] | None = None
    touch: Touch = "pages"
    memory_limit: Size | None = None

    @model_validator(mode="after")
    def _sources_agree(self) -> Workload:
        sources = [name for name in ("pattern", "profile") if getattr(self, name) is not None]
        if self.frames is not None and self.objects is None:
            raise ValueError("frames needs objects: what is allocated in a frame")
        if len(sources) + (self.objects is not None) != 1:
            raise ValueError(
                "must have exactly one source of events: objects, pattern, profile, or frames with objects"
            )
        if self.frames is not None and self.allocations is not None:
            raise ValueError("allocations follow from frames; allocations must go")
        if self.frames is None and self.allocations is None:
            raise ValueError("allocations is missing")
        if self.phases is not None and (self.objects is None or self.frames is not None):
            raise ValueError("phases go with objects only")
        if self.phases is not None:
            shares = [share for phase in self.phases for share in (phase.ramp, phase.steady, phase.drain) if share]
            if sum(shares) != 1:
                raise ValueError(f"phases must add up to 100%, are {float(sum(shares)):.4%}")
            if all(phase.drain for phase in self.phases):
                raise ValueError("phases need a ramp or a steady one")
        if self.frames is None and self.objects is not None:
            for index, each in enumerate(self.objects):
                if each.lifetime is None and each.matrix is None:
                    raise ValueError(f"objects[{index}].lifetime is missing")
        return self


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a workload file, for editors and validators."""
    schema = Workload.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "memtool workload", **schema}
