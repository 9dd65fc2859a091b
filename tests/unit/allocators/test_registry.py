"""From names to what a worker needs, with an engine that is only described."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from memtool.allocators import pairing, system
from memtool.allocators import registry as module
from memtool.allocators.pairing import why_not
from memtool.allocators.registry import Capabilities, Registry, Unavailable
from memtool.allocators.spec import parse_allocators
from memtool.allocators.system_libraries import SYSTEM_ALLOCATORS
from memtool.engine.abi import binding
from memtool.errors import InputError
from memtool.model import AllocatorPlan, AllocatorSpec, Call, TraceInfo


def parameter(name: str, choices: tuple[str, ...] = ()) -> Mapping[str, Any]:
    return {
        "name": name,
        "summary": "",
        "default": 0 if choices else 64,
        "minimum": 0 if choices else 1,
        "maximum": len(choices) - 1 if choices else 4096,
        "unit": "choice" if choices else "bytes",
        "choices": list(choices),
    }


def strategy(name: str, family: str, *parameters: Mapping[str, Any], **changed: object) -> Mapping[str, Any]:
    texts = dict.fromkeys(("summary", "source", "complexity", "when"), "words")
    base: dict[str, object] = {"free_order": "any", "uses_region": True, "is_control": False, "thread_safe": False}
    base |= {"uses_malloc": False, "route": "inlined", "sized_free": True, "frees_bare": False}
    base |= dict.fromkeys(("allocates_zeroed", "reallocates", "scoped"), False)
    return {"name": name, "family": family, **texts, **base, "parameters": list(parameters), **changed}


def adaptor(
    name: str, *parameters: Mapping[str, Any], threads: str = "none", keeps_books: bool = False
) -> Mapping[str, Any]:
    texts = dict.fromkeys(("summary", "source", "complexity", "when"), "words")
    return {"name": name, **texts, "threads": threads, "keeps_books": keeps_books, "parameters": list(parameters)}


DESCRIBED = (
    strategy("null", "control", is_control=True),
    strategy("malloc", "standard", uses_region=False, uses_malloc=True),
    strategy("new-delete", "standard", uses_region=False, uses_malloc=True, thread_safe=True, route="linker"),
    strategy("pool", "pool", parameter("block"), parameter("chunk"), frees_bare=True),
    strategy("slab", "pool"),
    strategy("stack", "arena", free_order="lifo"),
    strategy("ring", "arena", free_order="fifo"),
    strategy("bump", "arena", free_order="reset"),
    strategy("tlsf", "real-time", parameter("subdivisions", ("8", "16"))),
)
ADAPTORS = (
    adaptor("virtual", threads="as below"),
    adaptor("redzone", parameter("bytes"), keeps_books=True),
    adaptor("lock", threads="any"),
    adaptor("as-malloc", threads="any"),
)
INSTALLED = {"glibc": None, "jemalloc": Path("/opt/lib/libjemalloc.so.2")}


Limits = tuple[int | None, int | None]
NONE: Limits = (None, None)


def refusal(strategy: str, parameters: str) -> str | None:
    """Refuse one combination, as an engine would whose parameters do not go together."""
    assert parameters
    return "chunk: must hold a block" if (strategy, parameters) == ("pool", "block=4096,chunk=1") else None


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Return a registry on a machine that has glibc and jemalloc."""
    monkeypatch.setattr(module, "library_of", INSTALLED.get)
    monkeypatch.setattr(
        module,
        "why_missing",
        lambda name: None if name in INSTALLED else f"not installed; get it with: apt install {name}",
    )
    monkeypatch.setattr(system, "linker_cache", dict)
    monkeypatch.setattr(system, "_FOLDERS", ())
    return Registry(
        described=DESCRIBED,
        refusal=refusal,
        limits=lambda name, _: (64, 4096) if name == "pool" else NONE,
        adaptors=ADAPTORS,
        interpreted=dict,
    )


def resolve(registry: Registry, text: str) -> AllocatorPlan:
    (spec,) = parse_allocators(text, registry.groups)
    return registry.resolve(spec)


def trace(**changed: Any) -> TraceInfo:  # any field
    fields: dict[str, Any] = dict.fromkeys(TraceInfo.__dataclass_fields__, 0)
    fields |= {"name": "w", "largest_size": 4096, "largest_alignment": 16}
    fields |= {"first_not_lifo": None, "first_not_fifo": None}
    return TraceInfo(**{**fields, "memory_limit": None, "notes": (), **changed})


def test_names_are_the_systems_and_then_the_engines_but_not_malloc(registry: Registry) -> None:
    assert registry.names == (
        *("glibc", "jemalloc", "mimalloc", "mimalloc-pypi", "tcmalloc", "tbbmalloc"),
        *("null", "new-delete", "pool", "slab", "stack", "ring", "bump", "tlsf"),
    )


def test_groups(registry: Registry) -> None:
    groups = registry.groups
    systems = ("glibc", "jemalloc", "mimalloc", "mimalloc-pypi", "tcmalloc", "tbbmalloc")
    assert groups["pools"] == ("pool", "slab")
    assert groups["arenas"] == ("stack", "ring", "bump")
    assert groups["real-time"] == ("tlsf",)
    assert groups["standard"] == ("new-delete",)
    # Also what is not installed: that it is left out is said.
    assert groups["system"] == systems
    assert groups["strategies"] == ("new-delete", "pool", "slab", "stack", "ring", "bump", "tlsf")
    assert groups["all"] == (*systems, "new-delete", "pool", "slab", "stack", "ring", "bump", "tlsf")
    assert "buddies" not in groups
    assert not any("null" in members for members in groups.values())


def test_a_group_of_a_list_resolves_to_its_members(registry: Registry) -> None:
    specs = parse_allocators("@pools,glibc", registry.groups)
    assert [registry.resolve(spec).strategy for spec in specs] == ["pool", "slab", "malloc"]


def test_where_memory_comes_from_may_be_a_parameter(registry: Registry) -> None:
    chosen = Registry(
        described=(*DESCRIBED, strategy("pmr", "pmr", parameter("upstream", ("region", "new")), uses_malloc=True)),
        refusal=refusal,
        limits=lambda *_: NONE,
        uses_region=lambda _, parameters: parameters != "upstream=new",
        adaptors=ADAPTORS,
        interpreted=dict,
    )
    for text in ("pmr", "pmr:upstream=region"):
        plan = resolve(chosen, text)
        assert (plan.uses_region, plan.exact, plan.expected_owner) == (True, True, None)
    plan = resolve(chosen, "pmr:upstream=new,malloc=jemalloc")
    assert (plan.uses_region, plan.exact, plan.expected_owner) == (False, False, "libjemalloc")
    assert plan.engine_parameters == "upstream=new"
    assert resolve(chosen, "pmr:upstream=new").expected_owner == "libc.so"
    with pytest.raises(InputError, match="malloc: takes its memory from the region as its parameters stand"):
        resolve(chosen, "pmr:malloc=jemalloc")


def test_what_takes_memory_from_the_kernel_stands_on_no_malloc(registry: Registry) -> None:
    mapping = Registry(
        described=(*DESCRIBED, strategy("mmap", "mapping", uses_region=False)),
        refusal=refusal,
        limits=lambda *_: NONE,
        adaptors=ADAPTORS,
        interpreted=dict,
    )
    plan = resolve(mapping, "mmap")
    assert (plan.uses_region, plan.exact, plan.expected_owner, plan.preload) == (False, False, None, ())
    with pytest.raises(InputError, match="mmap has no parameters"):
        resolve(mapping, "mmap:malloc=jemalloc")


def test_the_default_is_twelve_allocators_that_the_real_engine_has() -> None:
    assert len(module.DEFAULT) == 12
    assert set(module.DEFAULT) <= set(Registry().names)


def test_a_strategy(registry: Registry) -> None:
    plan = resolve(registry, "pool:block=64,chunk=4KiB")
    assert plan == AllocatorPlan(
        spec=AllocatorSpec("pool", (("block", "64"), ("chunk", "4KiB"))),
        strategy="pool",
        engine_parameters="block=64,chunk=4096",
        family="pool",
        frees_bare=True,
    )
    assert plan.spec.label == "pool:block=64,chunk=4KiB"


def test_a_sweep_resolves_to_one_plan_each(registry: Registry) -> None:
    specs = parse_allocators("tlsf:subdivisions=8|16", registry.groups)
    assert [registry.resolve(spec).engine_parameters for spec in specs] == ["subdivisions=8", "subdivisions=16"]


def test_what_is_said_of_a_strategy_is_in_its_plan(registry: Registry) -> None:
    assert resolve(registry, "null").is_control
    assert resolve(registry, "stack").free_order == "lifo"
    assert resolve(registry, "pool").exact
    assert not resolve(registry, "new-delete").exact


def test_adaptors_over_a_strategy(registry: Registry) -> None:
    plan = resolve(registry, "pool:block=64+redzone:bytes=1KiB+lock")
    assert (plan.strategy, plan.engine_parameters) == ("pool+redzone+lock", "block=64+bytes=1024+")
    assert (plan.family, plan.free_order, plan.uses_region, plan.exact) == ("pool", "any", True, True)
    assert plan.spec.label == "pool:block=64+redzone:bytes=1KiB+lock"


def test_adaptors_over_a_system_allocator_keep_its_library_and_its_proof(registry: Registry) -> None:
    plan = resolve(registry, "jemalloc:narenas=1+lock")
    assert (plan.strategy, plan.engine_parameters) == ("malloc+lock", "+")
    assert (plan.preload, plan.expected_owner) == (("/opt/lib/libjemalloc.so.2",), "libjemalloc")
    assert plan.environment == (("MALLOC_CONF", "narenas:1"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pool", False),
        ("pool+virtual", False),
        ("pool+lock", True),
        ("pool+redzone+lock", True),
        ("pool+lock+virtual", True),
        ("pool+lock+redzone", False),
        ("new-delete", True),
        ("new-delete+redzone", False),
        ("glibc", True),
        ("glibc+virtual", True),
    ],
)
def test_what_any_thread_may_call(registry: Registry, text: str, expected: bool) -> None:
    assert resolve(registry, text).thread_safe is expected


def test_a_system_allocator_is_preloaded_and_must_own_malloc(registry: Registry) -> None:
    plan = resolve(registry, "jemalloc")
    assert (plan.strategy, plan.preload, plan.expected_owner) == (
        "malloc",
        ("/opt/lib/libjemalloc.so.2",),
        "libjemalloc",
    )
    assert (plan.uses_region, plan.exact, plan.environment) == (False, False, ())


def test_the_c_library_needs_no_preload(registry: Registry) -> None:
    plan = resolve(registry, "glibc")
    assert (plan.preload, plan.expected_owner) == ((), "libc.so")


def test_parameters_of_system_allocators_become_environment(registry: Registry) -> None:
    assert resolve(registry, "glibc:arena_max=1,top_pad=1MiB").environment == (
        ("GLIBC_TUNABLES", "glibc.malloc.arena_max=1:glibc.malloc.top_pad=1048576"),
    )
    assert resolve(registry, "jemalloc:narenas=1,dirty_decay_ms=0").environment == (
        ("MALLOC_CONF", "narenas:1,dirty_decay_ms:0"),
    )


def test_new_delete_over_another_malloc(registry: Registry) -> None:
    plan = resolve(registry, "new-delete:malloc=jemalloc")
    assert (plan.strategy, plan.engine_parameters) == ("new-delete", "")
    assert (plan.preload, plan.expected_owner) == (("/opt/lib/libjemalloc.so.2",), "libjemalloc")
    assert plan.spec.label == "new-delete:malloc=jemalloc"
    assert resolve(registry, "new-delete").expected_owner == "libc.so"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pol", "unknown allocator 'pol'; did you mean 'pool'?"),
        ("zzz", "unknown allocator 'zzz'; memtool list allocators has all"),
        (
            "pool:blok=8",
            "pool:blok=8: pool has no parameter 'blok', only block (1 to 4KiB), chunk (1 to 4KiB); "
            "did you mean 'block'?",
        ),
        ("slab:x=8", "slab:x=8: slab has no parameters"),
        ("pool+lok", "pool+lok: unknown adaptor 'lok'; did you mean 'lock'?"),
        ("glibc+zzz", "glibc+zzz: unknown adaptor 'zzz' (adaptors: virtual, redzone, lock, as-malloc)"),
        ("slab+lock:x=8", "slab+lock:x=8: lock has no parameters"),
        (
            "slab+redzone:bytes=8KiB+lock",
            "slab+redzone:bytes=8KiB+lock: bytes: must be from 1 to 4KiB, is 8KiB",
        ),
        (
            "slab+redzone:byte=8",
            "slab+redzone:byte=8: redzone has no parameter 'byte', only bytes (1 to 4KiB); did you mean 'bytes'?",
        ),
        ("pool:block=4KiB,chunk=1+lock", "pool:block=4KiB,chunk=1: chunk: must hold a block"),
        (
            "pool:block=big",
            "pool:block=big: block: must be a size such as 64, 4KiB or 1.5MiB, is 'big'; allowed is from 1 to 4KiB",
        ),
        ("pool:block=8KiB", "pool:block=8KiB: block: must be from 1 to 4KiB, is 8KiB"),
        ("tlsf:subdivisions=9", "tlsf:subdivisions=9: subdivisions: must be 8 or 16, is '9'"),
        ("pool:block=4KiB,chunk=1", "pool:block=4KiB,chunk=1: chunk: must hold a block"),
        ("glibc:arena_max=0", "glibc:arena_max=0: arena_max: must be from 1 to 1024, is 0"),
        (
            "new-delete:malloc=pool",
            "new-delete:malloc=pool: malloc: must be "
            "glibc, jemalloc, mimalloc, mimalloc-pypi, tcmalloc or tbbmalloc, is 'pool'",
        ),
        ("mine.py:Heap", "mine.py:Heap: no such file"),
    ],
)
def test_errors_name_what_is_wrong_and_what_is_allowed(registry: Registry, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve(registry, text)
    assert caught.value.message == message


def test_malloc_is_no_name_of_its_own(registry: Registry) -> None:
    with pytest.raises(InputError, match="unknown allocator 'malloc'"):
        resolve(registry, "malloc")


@pytest.mark.parametrize("text", ["tcmalloc", "new-delete:malloc=tcmalloc"])
def test_what_is_not_installed_is_unavailable_and_says_how_to_get_it(registry: Registry, text: str) -> None:
    with pytest.raises(Unavailable, match="get it with: apt install tcmalloc"):
        resolve(registry, text)


def test_a_library_must_be_there(registry: Registry, tmp_path: Path) -> None:
    gone = tmp_path / "gone.so"
    with pytest.raises(InputError, match=r"gone\.so: no such file"):
        registry.resolve(AllocatorSpec(str(gone)))


def test_what_packages_bring_has_a_group_of_its_own_and_hides_nothing() -> None:
    brought = {"packed": ("python", "some.module", "Packed"), "pool": ("python", "some.module", "Pool")}
    registry = Registry(described=DESCRIBED, refusal=refusal, interpreted=lambda: brought)
    groups = registry.groups
    assert groups["interpreted"] == ("packed",)
    assert not any("packed" in members for group, members in groups.items() if group != "interpreted")
    assert resolve(registry, "pool").adopted is None


def test_a_package_that_cannot_be_imported_is_said_where_it_is_listed_and_named() -> None:
    registry = Registry(described=DESCRIBED, interpreted=lambda: {"broken": ("python", "no.such.module", "Heap")})
    words = "no.such.module cannot be imported: ModuleNotFoundError: No module named 'no'"
    assert [(allocator.name, allocator.missing) for allocator in registry.interpreted()] == [("broken", words)]
    with pytest.raises(InputError) as caught:
        resolve(registry, "broken")
    assert str(caught.value) == f"allocators: broken: {words}"


def test_an_adopted_allocator_says_its_limits_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        pairing, "adopted_limits", lambda source: lambda *_: (100, None) if source[1] == "/x.so" else NONE
    )
    plan = AllocatorPlan(AllocatorSpec("./x.so"), "adopted", "", adopted=("library", "/x.so"))
    assert why_not(plan, trace(largest_size=101)) == (
        "serves requests of up to 100 B; the workload asks for up to 101 B"
    )
    assert why_not(plan, trace(largest_size=100)) is None


def test_what_is_no_library_cannot_be_preloaded(registry: Registry, tmp_path: Path) -> None:
    text = tmp_path / "libtext.so"
    text.write_text("not a library", encoding="ascii")
    with pytest.raises(InputError, match=r"libtext\.so: cannot be preloaded"):
        registry.resolve(AllocatorSpec(str(text)))


def test_the_lists_show_what_is_missing(registry: Registry) -> None:
    known = {allocator.name: allocator for allocator in registry.known()}
    assert "malloc" not in known
    assert known["glibc"].missing is None
    assert known["tcmalloc"].missing == "not installed; get it with: apt install tcmalloc"
    assert [(item.name, item.range) for item in known["pool"].parameters] == [
        ("block", "1 to 4KiB"),
        ("chunk", "1 to 4KiB"),
    ]
    assert [item.default for item in known["tlsf"].parameters] == ["8"]
    assert known["jemalloc"].family == "system"


def test_the_lists_show_what_each_can_serve(registry: Registry) -> None:
    known = {allocator.name: allocator.capabilities for allocator in registry.known()}
    assert known["glibc"] == Capabilities(reallocates=True, allocates_zeroed=True)
    assert known["pool"] == Capabilities(
        reallocates=False,
        allocates_zeroed=False,
        thread_safe=False,
        uses_region=True,
        largest_size=64,
        largest_alignment=4096,
    )
    assert known["stack"].free_order == "lifo"


# What a strategy cannot serve


def refused(
    plan: AllocatorPlan,
    result: TraceInfo,
    limits: Limits = (None, None),
    available: int | None = None,
    most_blocks: int | None = None,
) -> str | None:
    return why_not(
        plan,
        result,
        limits=lambda _strategy, _parameters, _alignment: limits,
        most_blocks=lambda _strategy, _parameters: most_blocks,
        available=available,
    )


def test_requests_that_are_too_large_or_too_aligned(registry: Registry) -> None:
    plan = resolve(registry, "pool")
    assert refused(plan, trace(largest_size=64), (64, 16)) is None
    assert refused(plan, trace(largest_size=65), (64, 16)) == (
        "serves requests of up to 64 B; the workload asks for up to 65 B"
    )
    assert refused(plan, trace(largest_size=8, largest_alignment=64), (64, 16)) == (
        "aligns to 16 at most; the workload asks for 64"
    )


def test_too_many_live_blocks(registry: Registry) -> None:
    plan = resolve(registry, "pool+redzone")
    assert refused(plan, trace(peak_live_objects=32765), most_blocks=32765) is None
    assert refused(plan, trace(peak_live_objects=32766), most_blocks=32765) == (
        "serves up to 32,765 live blocks; the workload has 32,766"
    )


def test_frees_out_of_order(registry: Registry) -> None:
    plan = resolve(registry, "stack")
    assert refused(plan, trace()) is None
    assert refused(plan, trace(first_not_lifo=12_345)) == (
        "takes back only the youngest block; operation 12,345 of the workload frees or resizes another"
    )
    ring = resolve(registry, "ring")
    assert refused(ring, trace(first_not_lifo=3)) is None
    assert refused(ring, trace(first_not_fifo=12_345)) == (
        "takes back only the oldest block and resizes only the youngest; operation 12,345 of the workload frees or "
        "resizes another"
    )
    assert refused(resolve(registry, "pool"), trace(first_not_lifo=3, first_not_fifo=3)) is None


def test_what_takes_nothing_back_must_have_room_for_everything(registry: Registry) -> None:
    plan = resolve(registry, "bump")
    needs = trace(total_bytes=3 << 20, touch="first")
    assert refused(plan, needs, available=3 << 20) is None
    assert refused(plan, needs, available=2 << 20) == (
        "takes nothing back, so the workload needs 3.00 MiB of it; 2.00 MiB are available"
    )
    assert refused(plan, needs) is None
    assert refused(plan, trace(total_bytes=3 << 20, touch="first", scopes=1), available=1) is None
    assert refused(resolve(registry, "pool"), needs, available=1) is None


def test_a_memory_limit_binds_no_system_allocator(registry: Registry) -> None:
    limited = trace(memory_limit=1 << 20)
    expected = "takes memory from the system, where a memory_limit of 1.00 MiB does not hold"
    assert refused(resolve(registry, "glibc"), limited) == expected
    assert refused(resolve(registry, "new-delete"), limited) == expected
    assert refused(resolve(registry, "pool"), limited) is None


def test_controls_and_malloc_serve_everything(registry: Registry) -> None:
    for name in ("null", "glibc"):
        assert refused(resolve(registry, name), trace(first_not_lifo=1), (1, 1)) is None


def test_no_strategy_of_the_engine_hides_behind_a_system_allocator() -> None:
    assert not set(SYSTEM_ALLOCATORS) & {str(item["name"]) for item in binding.describe()}


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("pool", Call("inlined", "sized", "one")),
        ("new-delete", Call("linker", "sized", "any")),
        ("glibc", Call("linker", "bare", "any")),
        ("glibc+redzone", Call("pointer", "sized", "one")),
        ("pool+virtual", Call("pointer", "sized", "one")),
        ("pool+lock", Call("pointer", "sized", "any")),
        ("pool+as-malloc", Call("pointer", "bare", "any")),
        ("slab+as-malloc", Call("pointer", "header", "any")),
        ("slab+redzone+as-malloc", Call("pointer", "bare", "any")),
        ("pool+as-malloc+redzone", Call("pointer", "sized", "one")),
    ],
)
def test_a_plan_says_how_it_is_called(registry: Registry, text: str, call: Call) -> None:
    assert resolve(registry, text).call == call


@pytest.mark.parametrize(
    ("text", "strategy", "free"),
    [
        ("pool", "pool+as-malloc", "bare"),
        ("slab", "slab+as-malloc", "header"),
        ("glibc", "malloc+as-malloc", "bare"),
        ("pool+lock", "pool+lock+as-malloc", "header"),
        ("pool+as-malloc", "pool+as-malloc", "bare"),
    ],
)
def test_on_the_footing_of_a_malloc_a_plan_keeps_its_name(
    registry: Registry, text: str, strategy: str, free: str
) -> None:
    (spec,) = parse_allocators(text, registry.groups)
    plan = registry.resolve(spec, as_malloc=True)
    assert plan.spec.label == text
    assert plan.strategy == strategy
    assert plan.call == Call("pointer", free, "any", as_malloc=True)
    assert plan.thread_safe


def test_a_malloc_is_told_of_no_scopes(registry: Registry) -> None:
    """An arena that a scope would empty only grows where frees are bare pointers."""
    (spec,) = parse_allocators("bump", registry.groups)
    scoped = trace(scopes=10, total_bytes=2 << 30, touch="first")
    for as_malloc, reason in (
        (False, None),
        (True, "takes nothing back, so the workload needs 2.00 GiB of it; 1.00 GiB are available"),
    ):
        plan = registry.resolve(spec, as_malloc=as_malloc)
        result = why_not(plan, scoped, limits=lambda *_: NONE, most_blocks=lambda *_: None, available=1 << 30)
        assert result == reason
