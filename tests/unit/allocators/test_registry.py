"""From names to what a worker needs, with an engine that is only described."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from memtool.allocators import registry as module
from memtool.allocators import system
from memtool.allocators.registry import Registry, Unavailable, why_not
from memtool.allocators.spec import parse_allocators
from memtool.engine import binding
from memtool.errors import InputError
from memtool.model import AllocatorPlan, AllocatorSpec, TraceInfo


def parameter(name: str, choices: tuple[str, ...] = ()) -> Mapping[str, Any]:
    return {
        "name": name,
        "summary": "",
        "default": 0,
        "minimum": 0,
        "maximum": 9,
        "unit": "bytes",
        "choices": list(choices),
    }


def strategy(name: str, family: str, *parameters: Mapping[str, Any], **changed: object) -> Mapping[str, Any]:
    texts = dict.fromkeys(("summary", "source", "complexity", "when"), "words")
    base = {"free_order": "any", "uses_region": True, "is_control": False}
    return {"name": name, "family": family, **texts, **base, "parameters": list(parameters), **changed}


DESCRIBED = (
    strategy("null", "control", is_control=True),
    strategy("malloc", "standard", uses_region=False),
    strategy("new-delete", "standard", uses_region=False),
    strategy("pool", "pool", parameter("block"), parameter("chunk")),
    strategy("slab", "pool"),
    strategy("stack", "arena", free_order="lifo"),
    strategy("tlsf", "real-time", parameter("subdivisions", ("8", "16"))),
)
INSTALLED = {"glibc": None, "jemalloc": Path("/opt/lib/libjemalloc.so.2")}


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int | None, int | None]]:
    """Return the limits by strategy, for tests to change; pool with block=7 is refused."""
    found: dict[str, tuple[int | None, int | None]] = {}

    def fake(strategy: str, parameters: str) -> tuple[int | None, int | None]:
        if parameters == "block=7":
            raise binding.EngineError("block: must be from 8 to 4096, is 7")
        return found.get(strategy, (None, None))

    monkeypatch.setattr(binding, "limits", fake)
    return found


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, limits: object) -> Registry:
    """Return a registry on a machine that has glibc and jemalloc."""
    monkeypatch.setattr(module, "library_of", INSTALLED.get)
    monkeypatch.setattr(
        module,
        "why_missing",
        lambda name: None if name in INSTALLED else f"not installed; get it with: apt install {name}",
    )
    return Registry(described=DESCRIBED)


def resolve(registry: Registry, text: str) -> AllocatorPlan:
    (spec,) = parse_allocators(text, registry.groups)
    return registry.resolve(spec)


def trace(**changed: Any) -> TraceInfo:  # noqa: ANN401  # any field
    fields: dict[str, Any] = dict.fromkeys(TraceInfo.__dataclass_fields__, 0)
    fields |= {"name": "w", "largest_size": 4096, "largest_alignment": 16, "first_not_lifo": None}
    return TraceInfo(**{**fields, "memory_limit": None, "notes": (), **changed})


def test_names_are_the_systems_and_then_the_engines_but_not_malloc(registry: Registry) -> None:
    assert registry.names == (
        *("glibc", "jemalloc", "mimalloc", "mimalloc-pypi", "tcmalloc", "tbbmalloc"),
        *("null", "new-delete", "pool", "slab", "stack", "tlsf"),
    )


def test_groups(registry: Registry) -> None:
    groups = registry.groups
    assert groups["pools"] == ("pool", "slab")
    assert groups["arenas"] == ("stack",)
    assert groups["real-time"] == ("tlsf",)
    assert groups["system"] == ("glibc", "jemalloc")
    assert groups["strategies"] == ("new-delete", "pool", "slab", "stack", "tlsf")
    assert groups["all"] == ("glibc", "jemalloc", "new-delete", "pool", "slab", "stack", "tlsf")
    assert "buddies" not in groups
    assert not any("null" in members for members in groups.values())


def test_a_group_of_a_list_resolves_to_its_members(registry: Registry) -> None:
    specs = parse_allocators("@pools,glibc", registry.groups)
    assert [registry.resolve(spec).strategy for spec in specs] == ["pool", "slab", "malloc"]


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


def test_an_allocator_without_a_variable_of_its_own_has_one_for_each_parameter(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "why_missing", lambda _: None)
    assert resolve(registry, "mimalloc:purge_delay=0,eager_commit=1").environment == (
        ("MIMALLOC_PURGE_DELAY", "0"),
        ("MIMALLOC_EAGER_COMMIT", "1"),
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
        ("malloc", "unknown allocator 'malloc'; did you mean 'mimalloc' or 'tbbmalloc' or 'tcmalloc'?"),
        ("zzz", "unknown allocator 'zzz'"),
        ("pool:blok=8", "pool:blok=8: pool has no parameter 'blok' (it has: block, chunk); did you mean 'block'?"),
        ("slab:x=8", "slab:x=8: slab has no parameter 'x' (it has: none)"),
        ("pool:block=big", "pool:block=big: block: must be a size such as 64, 4KiB or 1.5MiB, is 'big'"),
        ("pool:block=7", "pool:block=7: block: must be from 8 to 4096, is 7"),
        ("pool:malloc=glibc", "pool:malloc=glibc: pool has no parameter 'malloc' (it has: block, chunk)"),
        ("tcmalloc:x=1", "tcmalloc:x=1: tcmalloc has no parameter 'x' (it has: none)"),
        ("glibc:arena_max=0", "glibc:arena_max=0: arena_max: must be from 1 to 1024, is 0"),
        ("glibc:arena_max=few", "glibc:arena_max=few: arena_max: must be a size such as 64, 4KiB or 1.5MiB, is 'few'"),
    ],
)
def test_errors_name_what_is_wrong_and_what_was_meant(registry: Registry, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve(registry, text)
    assert str(caught.value) == message


def test_new_delete_over_what_is_no_malloc(registry: Registry) -> None:
    with pytest.raises(InputError, match="malloc=pool: must be one of glibc, jemalloc"):
        resolve(registry, "new-delete:malloc=pool")


@pytest.mark.parametrize("text", ["tcmalloc", "new-delete:malloc=tcmalloc"])
def test_what_is_not_installed_is_unavailable_and_says_how_to_get_it(registry: Registry, text: str) -> None:
    with pytest.raises(Unavailable, match="get it with: apt install tcmalloc"):
        resolve(registry, text)


def test_a_library_must_be_there_be_one_and_define_malloc(registry: Registry, tmp_path: Path) -> None:
    text = tmp_path / "libtext.so"
    text.write_text("not a library", encoding="ascii")
    for spec, message in (
        (AllocatorSpec(str(tmp_path / "gone.so")), "no such file"),
        (AllocatorSpec(str(text)), "cannot be loaded"),
        (AllocatorSpec(str(text), (("block", "8"),)), "a library takes no parameters"),
    ):
        with pytest.raises(InputError, match=message):
            registry.resolve(spec)


def test_the_lists_show_what_is_missing(registry: Registry) -> None:
    known = {each.name: each for each in registry.known()}
    assert "malloc" not in known
    assert known["glibc"].missing is None
    assert known["tcmalloc"].missing == "not installed; get it with: apt install tcmalloc"
    assert [each["name"] for each in known["pool"].parameters] == ["block", "chunk"]
    assert known["jemalloc"].family == "system"


# What a strategy cannot serve


def test_a_request_that_is_too_large(registry: Registry, limits: dict[str, tuple[int | None, int | None]]) -> None:
    limits["pool"] = (64, 16)
    plan = resolve(registry, "pool")
    assert why_not(plan, trace(largest_size=64)) is None
    assert why_not(plan, trace(largest_size=65)) == "serves requests of up to 64 B; the workload asks for up to 65 B"
    assert why_not(plan, trace(largest_size=8, largest_alignment=64)) == (
        "aligns to 16 at most; the workload asks for 64"
    )


def test_frees_out_of_order(registry: Registry) -> None:
    plan = resolve(registry, "stack")
    assert why_not(plan, trace()) is None
    assert why_not(plan, trace(first_not_lifo=12_345)) == (
        "takes back only the youngest block; operation 12,345 of the workload frees another"
    )
    assert why_not(resolve(registry, "pool"), trace(first_not_lifo=3)) is None


def test_a_memory_limit_binds_no_system_allocator(registry: Registry) -> None:
    limited = trace(memory_limit=1 << 20)
    expected = "takes its memory from the system, which a memory_limit of 1.00 MiB does not bind"
    assert why_not(resolve(registry, "glibc"), limited) == expected
    assert why_not(resolve(registry, "pool"), limited) is None


def test_controls_and_malloc_serve_everything(
    registry: Registry, limits: dict[str, tuple[int | None, int | None]]
) -> None:
    limits.update({"null": (1, 1), "malloc": (1, 1)})
    assert why_not(resolve(registry, "null"), trace(first_not_lifo=1)) is None
    assert why_not(resolve(registry, "glibc"), trace(first_not_lifo=1)) is None


def test_no_strategy_of_the_engine_hides_behind_a_system_allocator() -> None:
    assert not set(system.SYSTEM_ALLOCATORS) & {str(each["name"]) for each in binding.describe()}
