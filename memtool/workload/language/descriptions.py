"""Descriptions and example values that editors show for the keys of a workload file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SIZES = (64, "4KiB", "1.5MiB")
_COUNTS = (1000, "200k", "2M")
_SHARES = ("20%", "50%", "80%")
_LAWS_OF_SIZES = (64, "4KiB", {"uniform": [16, 256]}, {"lognormal": {"median": 64, "sigma": 0.8, "max": "4KiB"}})

_KEYS: Mapping[str, tuple[str, tuple[Any, ...]]] = {
    # keys of a workload
    "Workload.name": ("Name in tables and files: letters, digits, '.', '_', '-'; at most 64.", ("web-server",)),
    "Workload.description": ("One sentence that describes the workload to a reader.", ()),
    "Workload.seed": ("Seed of all random choices; the command line can override it.", (42,)),
    "Workload.threads": ("Number of concurrent threads; the command line can override it.", (1, 2, 4)),
    "Workload.rounds": (
        "Rounds of short threads, each continuing where its predecessor stopped; patterns only.",
        (25,),
    ),
    "Workload.allocations": (
        "Exact number of allocations. Left out if the workload has frames.",
        ("100k", "1e6", "2M"),
    ),
    "Workload.objects": (
        "A weighted mix of classes of objects: each allocation draws its class, then its size, then its lifetime.",
        ([{"size": 64, "lifetime": {"exponential": {"mean": 200}}}],),
    ),
    "Workload.pattern": ("A regular pattern instead of objects.", ({"fifo": {"live": 1000, "size": 64}},)),
    "Workload.profile": ("A heap profile instead of objects: rows of size, allocation rate, live objects.", ()),
    "Workload.frames": ("Frames, requests or tasks: all objects of one are freed when it ends.", ()),
    "Workload.phases": (
        "Phases of the run, as shares that add up to 100%. In a ramp nothing dies; in a drain nothing is allocated.",
        ([{"steady": "90%"}, {"drain": "10%"}],),
    ),
    "Workload.touch": (
        "How much of each new block the replay writes: nothing, its first byte, one byte of each page, or all of it.",
        (),
    ),
    "Workload.arrivals": ("Open loop: the times at which operations are due, however fast the allocator is.", ()),
    "Workload.memory_limit": (
        "Capacity of the region in bytes; a strategy that needs more runs out of memory.",
        ("256KiB", "1MiB"),
    ),
    "Workload.marks": ("Named moments, each after a share or a number of the allocations.", ({"warm": "10%"},)),
    # classes of objects
    "Objects.name": ("Name of this class, for readers and for the mix of a phase.", ("header",)),
    "weight": ("Relative frequency of this class.", (1, 70)),
    "lifetime": (
        "Number of allocations for which an object lives: a number, a law, or forever.",
        (1, 200, {"exponential": {"mean": 200}}, "forever"),
    ),
    "matrix": ("Joint distribution of sizes and lifetimes, instead of size and lifetime.", ()),
    "zeroed": ("Whether the block must contain zeroes, as with calloc.", (True, False)),
    "freed_by": ("The thread that frees an object: the one that allocated it, or a random other one.", ()),
    "resize": (
        "A share of the objects is reallocated, each time to factor times its size plus by bytes.",
        ({"factor": 2, "times": 3}, {"by": 8, "times": 64}),
    ),
    "sizes": ("Sizes, or laws of sizes: the rows of weights.", ([64, "4KiB"],)),
    "lifetimes": ("Lifetimes, or laws of lifetimes: the columns of weights.", ([10, 1000],)),
    "weights": ("weights[i][j] is the weight of sizes[i] with lifetimes[j].", ([[9, 1], [1, 1]],)),
    "share": ("Share of the objects that are resized.", _SHARES),
    "factor": ("Factor by which each resize multiplies the size.", (1.5, 2)),
    "by": ("Bytes that each resize adds. If this is given, factor is 1 by default.", (8, "4KiB")),
    "times": ("Number of resizes of an object: a number or a law.", (1, 10)),
    "when": ("spread: over the object's life; at_birth: all at once, before the next allocation.", ()),
    # phases, frames
    "Phase.ramp": ("Lifetimes do not advance: live bytes grow and nothing dies.", _SHARES),
    "steady": (
        "Each allocation advances the clock by one tick, and objects die when their lifetime ends.",
        ("80%", "100%"),
    ),
    "drain": ("The clock advances without allocations, for this share of the run.", _SHARES),
    "mix": (
        "Weights of classes in this phase, by name, instead of their own; other classes are not allocated in it.",
        ({"header": 70, "session": 5},),
    ),
    "Frames.count": ("Number of frames.", _COUNTS),
    "objects_per_frame": (
        "Number of objects in a frame, without those of its scopes: a number or a law.",
        (100, {"uniform": [60, 140]}),
    ),
    "scopes": ("Scopes within each frame, with their own objects.", ({"per_frame": 2, "objects": 10, "depth": 1},)),
    "per_frame": ("Number of scopes in a frame or scope: a number or a law.", (2, {"uniform": [1, 4]})),
    "Scopes.objects": ("Number of objects in a scope: a number or a law.", (10, {"uniform": [5, 40]})),
    "Scopes.depth": ("Number of nested levels of scopes.", (1, 2)),
    # patterns
    "lifo": ("A stack: batch allocations, then as many frees, the youngest first.", ()),
    "fifo": ("A queue of live objects: allocate one, then free the oldest.", ()),
    "ring": ("A ring of slots: free the oldest object, then allocate in its place.", ()),
    "random-victim": ("Allocate an object, then free a random one.", ()),
    "larson": ("Slots: free a random object, then allocate in its place (Larson and Krishnan).", ()),
    "batches": ("batch allocations, then as many frees in the given order.", ()),
    "ramp": ("First all allocations, then all frees.", ()),
    "sawtooth": ("Repeatedly allocate up to high live objects, then free down to low.", ()),
    "producer-consumer": ("A queue of depth batches: produce one, then consume the oldest.", ()),
    "toggle": ("Choose a random slot: fill it if it is empty, empty it if it is full.", ()),
    "exchange": ("Threads free their objects, and exchange some of them through shared slots.", ()),
    "false-sharing": ("Each thread allocates an object, writes to it, and frees it.", ()),
    "buffer": ("Fill a buffer of slots; when it is full, free all of it but a part.", ()),
    "refill": ("In each loop, empty some slots, then fill some again, in strides.", ()),
    "sweep": ("After each allocation, resize a random stretch of all objects.", ()),
    "size": ("Bytes of each request: a number or a law.", _LAWS_OF_SIZES),
    "alignment": ("Alignment in bytes: a power of two, at most 2 MiB.", (8, 16, 64, 4096)),
    "live": ("Number of live objects.", _COUNTS),
    "batch": ("Number of objects in a batch.", (100, 1000)),
    "order": ("Order of the frees; both-ends: half from the oldest on, then half from the youngest back.", ()),
    "handed_on": ("Every this many times, the next thread does the freeing; 0: never.", (0, 2)),
    "high": ("Number of live objects at which freeing begins.", _COUNTS),
    "low": ("Number of live objects at which allocation begins again.", (0, 100)),
    "depth": ("Number of batches in the queue.", (2, 10)),
    "slots": ("Number of places for objects.", (1000, 5000)),
    "skew": ("80%: 80 % of the choices fall on a fifth of the slots, and likewise within each part.", ("80%",)),
    "Toggle.filled": ("Share of the slots that are full at the start.", ("0%", "50%")),
    "Refill.filled": ("Number of slots filled in a loop: a number or a law.", (50, {"uniform": [30, 99]})),
    "emptied": ("Number of slots emptied in a loop: a number or a law.", (40, {"uniform": [24, 79]})),
    "freed": ("Probability that a thread frees one of its objects after an allocation.", ("66%",)),
    "exchanged": ("Probability that a thread exchanges one of its objects with a shared slot.", ("25%",)),
    "retained": ("Share of its objects that a thread keeps until its end.", ("0%", "33%")),
    "retained_size": ("Size of the retained objects: a number or a law.", _LAWS_OF_SIZES),
    "survivors": ("Share of the objects in the shared slots that outlive a round.", ("50%", "100%")),
    "uneven": (
        "The second thread does twice as much as the first, and so on, up to eight times as much.",
        (True, False),
    ),
    "first_thread": ("Whether the thread that starts the others is one of the threads.", (True, False)),
    "allocate_first": ("Allocate before the free instead of after it.", (True, False)),
    "writes": ("Number of writes to each object before it is freed.", (100, 1000)),
    "passive": ("Each thread first frees an object that the first thread allocated.", (True, False)),
    "kept": ("Share of the buffer that is kept each time.", ("20%",)),
    "forgetful": ("Whether the first part is overwritten, so that it is never freed.", (True, False)),
    "wait": ("Number of loops after which the next thread frees the objects handed to it.", (1, 100)),
    "settled": ("Number of objects allocated before the first sweep.", (1000,)),
    "Sweep.largest": ("Objects of up to this many bytes are doubled; larger ones are cut to a quarter.", _SIZES),
    # profiles, arrivals
    "heap": ("Live bytes to which the profile is scaled.", ("64MiB", "1GiB")),
    "largest": ("Largest size; rows of larger sizes are left out.", ("4MiB",)),
    "rows": (
        "[size, allocation rate, live objects]; only the proportions of the last two matter.",
        ([[16, 168694, 403907], [32, 266647, 895840]],),
    ),
    "Arrivals.constant": ("Operations are due at equal intervals.", ({"rate": "1M/s"},)),
    "poisson": ("Operations are due at random times, independent of each other.", ({"rate": "1M/s"},)),
    "bursts": ("Several operations are due at once, at random or regular times.", ({"every": "16.7ms", "size": 100},)),
    "Arrivals.frames": ("All operations of a frame are due at once.", ({"every": "16.7ms"},)),
    "FrameStarts.every": ("Time from the start of one frame to the start of the next.", ("16.7ms", "1s")),
    "rate": ("Operations per second.", ("500k/s", "2M/s")),
    "every": ("Time from one burst to the next.", ("2666us", "16.7ms", "1s")),
    "Bursts.size": ("Number of operations in a burst.", (8, 100)),
    # laws
    "constant": ("Every draw has this value.", (64,)),
    "uniform": ("[low, high]: uniform whole numbers, both ends included", ([16, 256],)),
    "choice": ("value: weight of this value", ({"64": 9, "256": 1},)),
    "histogram": ("[low, high, weight]: uniform within each range", ([[16, 64, 9], [65, 256, 1]],)),
    "cycle": ("[count, value]: count times this value, then the next entry, over and over", ([[3, 64], [1, 256]],)),
    "exponential": ("Exponential distribution with this mean.", ({"mean": 200},)),
    "lognormal": ("Log-normal distribution.", ({"median": 64, "sigma": 0.8},)),
    "normal": ("Normal distribution.", ({"mean": 500, "deviation": 50},)),
    "pareto": ("Pareto distribution: P(X > x) = (minimum / x)^alpha.", ({"minimum": 1000, "alpha": 1.2},)),
    "forever": ("Objects live until the end of the run, where the epilogue frees them.", (True,)),
    "until": (
        "Objects die after this share of the allocations, or at a random moment in a range; 100%: after the last one.",
        ("60%", ["58%", "60%"]),
    ),
    "mean": ("Mean of the distribution.", (200,)),
    "median": ("Median of the distribution.", (64,)),
    "sigma": ("Standard deviation of the logarithm.", (0.8,)),
    "deviation": ("Standard deviation.", (50,)),
    "minimum": ("Smallest possible value.", (1000,)),
    "alpha": ("Exponent of the tail: the smaller it is, the heavier the tail.", (1.2,)),
    "min": ("Lower bound; smaller draws become this value.", (16,)),
    "max": ("Upper bound; larger draws become this value.", (4096,)),
}


def described(schema: dict[str, Any], model: str) -> dict[str, Any]:
    """Return a JSON Schema in which every property has a description and, where there are any, examples.

    ``model`` names the model that the schema describes; the models in its ``$defs`` are known by their own names.
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
