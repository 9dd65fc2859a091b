"""What editors show of each key of a workload file, and the values that they offer for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SIZES = (64, "4KiB", "1.5MiB")
_COUNTS = (1000, "200k", "2M")
_SHARES = ("20%", "50%", "80%")
_LAWS_OF_SIZES = (64, "4KiB", {"uniform": [16, 256]}, {"lognormal": {"median": 64, "sigma": 0.8, "max": "4KiB"}})

_KEYS: Mapping[str, tuple[str, tuple[Any, ...]]] = {
    # what a workload has
    "Workload.name": ("What tables and files call it: letters, digits, '.', '_', '-'; at most 64.", ("web-server",)),
    "Workload.description": ("One sentence for the reader.", ()),
    "Workload.seed": ("Seed of all random choices; a command may replace it.", (42,)),
    "Workload.threads": ("How many threads work at once; a command may replace it.", (1, 2, 4)),
    "Workload.rounds": ("Rounds of short threads, each going on where its predecessor stopped; patterns only.", (25,)),
    "Workload.allocations": (
        "How many objects are allocated, exactly. Frames say it otherwise.",
        ("100k", "1e6", "2M"),
    ),
    "Workload.objects": (
        "A weighted mix of classes of objects: each allocation draws its class, then its size, then its lifetime.",
        ([{"size": 64, "lifetime": {"exponential": {"mean": 200}}}],),
    ),
    "Workload.pattern": ("A regular pattern in place of objects.", ({"fifo": {"live": 1000, "size": 64}},)),
    "Workload.profile": ("A heap profile in place of objects: rows of size, allocation rate, live objects.", ()),
    "Workload.frames": ("Objects live in frames, requests or tasks, which end all at once.", ()),
    "Workload.phases": (
        "Shares of the run, 100% together. In a ramp nothing dies; in a drain nothing is allocated.",
        ([{"steady": "90%"}, {"drain": "10%"}],),
    ),
    "Workload.touch": (
        "What the replay writes to a fresh block: nothing, its first byte, a byte of each page, all of it.",
        (),
    ),
    "Workload.arrivals": ("Open loop: when operations are meant to begin, whatever the allocator does.", ()),
    "Workload.memory_limit": (
        "Capacity of the region; a strategy that needs more is out of memory.",
        ("256KiB", "1MiB"),
    ),
    "Workload.marks": ("Named moments: a share of the allocations, or a count of them.", ({"warm": "10%"},)),
    # classes of objects
    "Objects.name": ("For the reader.", ("header",)),
    "weight": ("Relative frequency of this class.", (1, 70)),
    "lifetime": (
        "How many allocations an object lives: a number, a law, or forever.",
        (1, 200, {"exponential": {"mean": 200}}, "forever"),
    ),
    "matrix": ("Sizes and lifetimes drawn together, in place of size and lifetime.", ()),
    "zeroed": ("The block must be all zeroes, as from calloc.", (True, False)),
    "freed_by": ("The thread that frees an object: its own, or one of the others, drawn at random.", ()),
    "resize": (
        "A share of the objects is reallocated, each time to factor times its size and by bytes more.",
        ({"factor": 2, "times": 3}, {"by": 8, "times": 64}),
    ),
    "sizes": ("Sizes, or laws of sizes: the rows of weights.", ([64, "4KiB"],)),
    "lifetimes": ("Lifetimes, or laws of lifetimes: the columns of weights.", ([10, 1000],)),
    "weights": ("weights[i][j] is that of sizes[i] with lifetimes[j].", ([[9, 1], [1, 1]],)),
    "share": ("How many of the objects are resized.", _SHARES),
    "factor": ("What the size is multiplied by each time.", (1.5, 2)),
    "by": ("Bytes that are added each time; where this is given, factor is 1 unless given.", (8, "4KiB")),
    "times": ("How often an object is resized: a number or a law.", (1, 10)),
    "when": ("Spread over the object's life, or all at_birth, with no allocation in between.", ()),
    # phases, frames
    "Phase.ramp": ("Lifetimes are held back: live bytes grow, nothing dies.", _SHARES),
    "steady": ("Each allocation is a tick of the clock by which objects die.", ("80%", "100%")),
    "drain": ("The clock goes on without allocations, for this share of the run.", _SHARES),
    "mix": (
        "Weights of classes by name, in place of their own, for this phase; the others are not allocated in it.",
        ({"header": 70, "session": 5},),
    ),
    "Frames.count": ("How many frames there are.", _COUNTS),
    "objects_per_frame": (
        "Objects of a frame besides those of its scopes: a number or a law.",
        (100, {"uniform": [60, 140]}),
    ),
    "scopes": ("Scopes within each frame, with objects of their own.", ({"per_frame": 2, "objects": 10, "depth": 1},)),
    "per_frame": ("Scopes in a frame or scope: a number or a law.", (2, {"uniform": [1, 4]})),
    "Scopes.objects": ("Objects of a scope: a number or a law.", (10, {"uniform": [5, 40]})),
    "Scopes.depth": ("How many levels of scopes there are.", (1, 2)),
    # patterns
    "lifo": ("batch allocations, then as many frees, the youngest first.", ()),
    "fifo": ("A queue: allocate, then free the oldest, with live objects in between.", ()),
    "ring": ("A ring of slots: free the oldest, then allocate in its place.", ()),
    "random-victim": ("Allocate, then free a random object.", ()),
    "larson": ("Slots: free a random object, then allocate in its place (Larson and Krishnan).", ()),
    "batches": ("batch allocations, then as many frees in an order.", ()),
    "ramp": ("All allocations, then all frees.", ()),
    "sawtooth": ("Fill to high live objects, empty to low, again and again.", ()),
    "producer-consumer": ("depth batches in a queue: one is produced, the oldest is consumed.", ()),
    "toggle": ("A random slot is filled if it is empty, emptied if it is full.", ()),
    "exchange": ("Threads free their objects and exchange some of them through shared slots.", ()),
    "false-sharing": ("Each thread allocates an object, writes to it, frees it.", ()),
    "buffer": ("A buffer of slots is filled; when it is full, all but a kept part of it is freed.", ()),
    "refill": ("In loops, some slots are emptied, then some filled anew, in strides.", ()),
    "sweep": ("Each allocation is followed by a sweep that resizes a random stretch of all objects.", ()),
    "size": ("Bytes of a request: a number or a law.", _LAWS_OF_SIZES),
    "alignment": ("A power of two, at most 2 MiB.", (8, 16, 64, 4096)),
    "live": ("Live objects.", _COUNTS),
    "batch": ("Objects of a batch.", (100, 1000)),
    "order": ("Whom to free first; both-ends: half from the oldest on, then half from the youngest back.", ()),
    "handed_on": ("Every so many times the next thread does the freeing; 0: never.", (0, 2)),
    "high": ("Live objects to fill to.", _COUNTS),
    "low": ("Live objects to empty to.", (0, 100)),
    "depth": ("Batches in the queue.", (2, 10)),
    "slots": ("Places for objects.", (1000, 5000)),
    "skew": ("This share of the choices falls on the rest of the slots: 80% on a fifth; and so on within.", ("80%",)),
    "Toggle.filled": ("Share of the slots that is filled at first.", ("0%", "50%")),
    "Refill.filled": ("Slots filled in a loop: a number or a law.", (50, {"uniform": [30, 99]})),
    "emptied": ("Slots emptied in a loop: a number or a law.", (40, {"uniform": [24, 79]})),
    "freed": ("Probability with which a thread frees one of its objects after each allocation.", ("66%",)),
    "exchanged": ("Probability with which a thread exchanges one of its objects with a shared slot.", ("25%",)),
    "retained": ("Share of its objects that a thread keeps besides.", ("0%", "33%")),
    "retained_size": ("Size of those: a number or a law.", _LAWS_OF_SIZES),
    "survivors": ("Share of what is in the slots that outlives a round.", ("50%", "100%")),
    "uneven": ("The second thread does twice as much as the first, and so on up to eight times.", (True, False)),
    "first_thread": ("The thread that starts the others is one of them.", (True, False)),
    "allocate_first": ("Allocate before the free, not after it.", (True, False)),
    "writes": ("Writes to each object before it is freed.", (100, 1000)),
    "passive": ("Each thread first frees an object that the first thread has allocated.", (True, False)),
    "kept": ("Part of the buffer that is kept each time.", ("20%",)),
    "forgetful": ("The first part is overwritten, and so never freed.", (True, False)),
    "wait": ("Loops until the next thread frees what it was handed.", (1, 100)),
    "settled": ("Objects before the first sweep.", (1000,)),
    "Sweep.largest": ("An object of up to so many bytes is doubled, a larger one cut to a quarter.", _SIZES),
    # profiles, arrivals
    "heap": ("Live bytes that the profile is scaled to.", ("64MiB", "1GiB")),
    "largest": ("Rows of larger sizes are left out.", ("4MiB",)),
    "rows": (
        "[size, allocation rate, live objects]; only proportions count.",
        ([[16, 168694, 403907], [32, 266647, 895840]],),
    ),
    "Arrivals.constant": ("Operations begin equally far apart.", ({"rate": "1M/s"},)),
    "poisson": ("Operations begin at random, independently of each other.", ({"rate": "1M/s"},)),
    "bursts": ("Several operations at once, at random or every so often.", ({"every": "16.7ms", "size": 100},)),
    "Arrivals.frames": ("A frame at a time, with all its operations at once.", ({"every": "16.7ms"},)),
    "FrameStarts.every": ("From the start of one frame to the next.", ("16.7ms", "1s")),
    "rate": ("Operations a second.", ("500k/s", "2M/s")),
    "every": ("From one burst to the next.", ("2666us", "16.7ms", "1s")),
    "Bursts.size": ("Operations that come at once.", (8, 100)),
    # laws
    "constant": ("Always this value.", (64,)),
    "uniform": ("[low, high], both included", ([16, 256],)),
    "choice": ("value: weight", ({"64": 9, "256": 1},)),
    "histogram": ("[low, high, weight]: uniform within a range", ([[16, 64, 9], [65, 256, 1]],)),
    "cycle": ("[count, value]: so many of the first, then of the next, round and round", ([[3, 64], [1, 256]],)),
    "exponential": ("Memoryless, with this mean.", ({"mean": 200},)),
    "lognormal": ("Its logarithm is normal.", ({"median": 64, "sigma": 0.8},)),
    "normal": ("Bell-shaped.", ({"mean": 500, "deviation": 50},)),
    "pareto": ("P(X > x) = (minimum / x)^alpha.", ({"minimum": 1000, "alpha": 1.2},)),
    "forever": ("Until the end of the run, where the epilogue frees it.", (True,)),
    "until": (
        "Until this share of the allocations is made, or a moment drawn from a stretch; 100%: just after the last.",
        ("60%", ["58%", "60%"]),
    ),
    "mean": ("Mean of the draws.", (200,)),
    "median": ("Median of the draws.", (64,)),
    "sigma": ("Standard deviation of the logarithm.", (0.8,)),
    "deviation": ("Standard deviation.", (50,)),
    "minimum": ("Smallest draw.", (1000,)),
    "alpha": ("Exponent of the tail: the smaller, the heavier.", (1.2,)),
    "min": ("What falls below becomes this.", (16,)),
    "max": ("What falls above becomes this.", (4096,)),
}


def described(schema: dict[str, Any], model: str) -> dict[str, Any]:
    """Return a JSON Schema in which every property has a description, and examples where there are any.

    ``model``: whose schema it is; the models in its ``$defs`` go by their names.
    """
    described_schema: dict[str, Any] = _walk(schema, model)
    return described_schema


def _walk(node: Any, model: str) -> Any:  # noqa: ANN401  # JSON
    if isinstance(node, list):
        return [_walk(part, model) for part in node]
    if not isinstance(node, dict):
        return node
    walked: dict[str, Any] = {}
    for key, value in node.items():
        if key == "$defs":
            walked[key] = {name: _walk(inner, name) for name, inner in value.items()}
        elif key == "properties":
            walked[key] = {name: _property(name, _walk(inner, model), model) for name, inner in value.items()}
        elif key in ("default", "examples", "const", "enum"):
            walked[key] = value
        else:
            walked[key] = _walk(value, model)
    return walked


def _property(name: str, schema: dict[str, Any], model: str) -> dict[str, Any]:
    words, examples = _KEYS.get(f"{model}.{name}") or _KEYS.get(name) or ("", ())
    said = {"description": words} if words and "description" not in schema else {}
    return {**schema, **said, **({"examples": list(examples)} if examples else {})}
