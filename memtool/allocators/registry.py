"""All allocators with a name: the engine's strategies, the system's, the user's own; with adaptors over any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from memtool.allocators.environment import variables_of, with_variables
from memtool.allocators.own import brought as own
from memtool.allocators.own.brought import Source, adopted_plan, adopted_refusal, entry_points, python_plan
from memtool.allocators.own.shared_library import library_plan
from memtool.allocators.pairing import COLLECTOR, MALLOC
from memtool.allocators.parameters import Parameter, settle
from memtool.allocators.spec import is_file, is_python
from memtool.allocators.system import Unavailable, environment_of, installed, library_of, why_missing
from memtool.allocators.system_libraries import SYSTEM_ALLOCATORS
from memtool.engine.abi import binding
from memtool.engine.loading import EngineError
from memtool.errors import AllocatorError, did_you_mean, option
from memtool.model import AdaptorSpec, AllocatorPlan, AllocatorSpec, Call

__all__ = ["DEFAULT", "GROUPS", "Known", "KnownAdaptor", "Registry", "Unavailable"]

_AS_MALLOC = "as-malloc"
"""The adaptor under which an allocator is called like a malloc."""
DEFAULT = (
    "glibc",
    "jemalloc",
    "mimalloc",
    "tcmalloc",
    "pool",
    "segregated-pool",
    "slab",
    "arena",
    "first-fit",
    "best-fit",
    "buddy",
    "tlsf",
)
"""The allocators that ``memtool bench`` compares by default: four system allocators and eight strategies."""
GROUPS: Mapping[str, str] = {
    "system": "system",
    "standard": "standard",
    "pools": "pool",
    "arenas": "arena",
    "free-lists": "free-list",
    "real-time": "real-time",
    "buddies": "buddy",
    "pmr": "pmr",
    "threads": "thread",
    "mappings": "mapping",
    "persistent": "persistent",
    "collectors": COLLECTOR,
}
"""Group -> family of its members; in addition there are @strategies, @default and @all."""
INTERPRETED = "interpreted"
"""The group of allocators in Python from installed packages."""
_PYTHON = "python"
_CONTROL = "control"
_TRIAL_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The abilities of an allocator with its default parameters."""

    free_order: str = "any"
    """any | lifo | fifo | reset, see allocators/concept/strategy.hpp."""
    reallocates: bool = True
    """Whether it resizes by itself; otherwise the replay allocates, copies and frees, as a program would."""
    allocates_zeroed: bool = True
    """Whether it may know that memory is zero; otherwise the replay writes the zeroes."""
    scoped: bool = False
    """Whether it reclaims all blocks of a scope at once."""
    thread_safe: bool = True
    """Whether any thread may call it at any time."""
    uses_region: bool = False
    """Whether it uses a region, so that its footprint is exact to the byte."""
    largest_size: int | None = None
    largest_alignment: int | None = None
    """Bytes; None: no limit."""


@dataclass(frozen=True, slots=True)
class Known:
    """An allocator as lists show it."""

    name: str
    family: str
    summary: str
    source: str
    complexity: str
    """Complexity of allocate and deallocate."""
    when: str
    """When to use it."""
    parameters: tuple[Parameter, ...]
    capabilities: Capabilities
    missing: str | None = None
    """Reason why it cannot be used on this machine, and the remedy."""


@dataclass(frozen=True, slots=True)
class KnownAdaptor:
    """An adaptor as lists show it."""

    name: str
    summary: str
    source: str
    complexity: str
    """Its cost for each operation and each block."""
    when: str
    threads: str
    """Concurrent calls: none (not allowed, it has state) | as below (if the allocator below allows them) | any."""
    parameters: tuple[Parameter, ...]


def _refusal(strategy: str, parameters: str) -> str | None:
    """Return why the engine does not make a strategy with these parameters; None where it does."""
    try:
        binding.limits(strategy, parameters)
        binding.Heap(strategy, parameters, _TRIAL_BYTES).close()
    except binding.CannotStand:
        return None  # the values are valid; why_not() explains the pairing
    except EngineError as problem:
        return str(problem)
    return None


class Registry:
    """Resolves the names that the user writes into plans for workers."""

    def __init__(
        self,
        described: Sequence[Mapping[str, Any]] | None = None,
        refusal: Callable[[str, str], str | None] = _refusal,
        limits: Callable[[str, str], tuple[int | None, int | None]] = binding.limits,
        uses_region: Callable[[str, str], bool] = binding.uses_region,
        adaptors: Sequence[Mapping[str, Any]] | None = None,
        interpreted: Callable[[], Mapping[str, Source]] = entry_points,
        collectors: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Use the engine's own description of its strategies, adaptors and collectors, or another one in tests."""
        strategies = binding.describe() if described is None else described
        self._strategies = {str(strategy["name"]): strategy for strategy in strategies}
        self._refusal = refusal
        self._limits = limits
        self._uses_region = uses_region
        over = binding.describe_adaptors() if adaptors is None else adaptors
        self._adaptors = {str(adaptor["name"]): adaptor for adaptor in over}
        collect = binding.describe_collectors() if collectors is None and described is None else collectors or ()
        self._collectors = {str(collector["name"]): collector for collector in collect}
        taken = {*self._strategies, *SYSTEM_ALLOCATORS, *self._collectors}
        self._interpreted = {name: source for name, source in interpreted().items() if name not in taken}

    @property
    def names(self) -> tuple[str, ...]:
        """Return every name that a user may write, system allocators first."""
        return (*(known.name for known in self.known()), *self._interpreted)

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Return the members of each group that has any.

        A system allocator that is not installed is a member, too, so that its exclusion from a run is reported.
        Controls are in no group.
        """
        families = {known.name: known.family for known in self.known() if known.family != _CONTROL}
        groups = {
            group: tuple(name for name, of in families.items() if of == family) for group, family in GROUPS.items()
        }
        # Collectors need the references between objects, which few workloads have: they are in their own group only.
        allocators = tuple(name for name, family in families.items() if family != COLLECTOR)
        strategies = tuple(name for name in allocators if name not in SYSTEM_ALLOCATORS)
        everything = {"strategies": strategies, "default": DEFAULT, "all": allocators}
        # A hundred times slower than the others and not ranked with them, so they are in their own group only.
        everything[INTERPRETED] = tuple(self._interpreted)
        return {name: members for name, members in groups.items() if members} | everything

    def default_allocators(self) -> tuple[AllocatorSpec, ...]:
        """Return the allocators of a bench by default."""
        return tuple(AllocatorSpec(name) for name in DEFAULT)

    def known(self) -> list[Known]:
        """Return every allocator, system allocators first, the rest in the engine's order."""
        system = [
            Known(
                name=allocator.name,
                family="system",
                summary=allocator.summary,
                source=allocator.source,
                complexity=allocator.complexity,
                when=allocator.when,
                parameters=tuple(tunable.parameter for tunable in allocator.tunables),
                capabilities=Capabilities(),
                missing=why_missing(allocator.name),
            )
            for allocator in SYSTEM_ALLOCATORS.values()
        ]
        own = [
            Known(
                **{key: str(strategy[key]) for key in ("name", "family", "summary", "source", "complexity", "when")},
                parameters=_parameters(strategy),
                capabilities=_capabilities(strategy, *self._limits(name, "")),
            )
            for name, strategy in self._strategies.items()
            if name != MALLOC
        ]
        return system + own + [self._known_collector(described) for described in self._collectors.values()]

    @staticmethod
    def _known_collector(described: Mapping[str, Any]) -> Known:
        return Known(
            family=COLLECTOR,
            **{key: str(described[key]) for key in ("name", "summary", "source", "complexity", "when")},
            parameters=_own_parameters(described),
            capabilities=Capabilities(
                free_order="none",
                reallocates=False,
                allocates_zeroed=False,
                thread_safe=False,
                uses_region=bool(described["uses_region"]),
            ),
            missing=_missing_library(described),
        )

    def known_adaptors(self) -> list[KnownAdaptor]:
        """Return every adaptor, in the engine's order."""
        texts = ("name", "summary", "source", "complexity", "when", "threads")
        return [
            KnownAdaptor(**{key: str(adaptor[key]) for key in texts}, parameters=_own_parameters(adaptor))
            for adaptor in self._adaptors.values()
        ]

    def interpreted(self) -> list[Known]:
        """Return the allocators in Python from installed packages; each is loaded in another process."""
        descriptions = own.described(tuple(self._interpreted.values()))
        return [
            Known(
                name=name,
                family=_PYTHON,
                **{key: str(said.get(key, "")) for key in ("summary", "source", "complexity", "when")},
                parameters=_own_parameters(said) if said else (),
                capabilities=_capabilities(said, *description.get("limits", (None, None))) if said else Capabilities(),
                missing=description.get("error") or description.get("refusal"),
            )
            for name, description in zip(self._interpreted, descriptions, strict=True)
            for said in (description.get("description", {}),)
        ]

    def resolve(self, spec: AllocatorSpec, *, as_malloc: bool = False) -> AllocatorPlan:
        """Return the plan for an allocator and the adaptors over it.

        ``as_malloc``: call it like a malloc, whatever it is; its name is unchanged.

        Raises:
            InputError: there is no such allocator, adaptor or parameter, or a value is out of range.
            Unavailable: this machine does not have it.
        """
        plan = self._resolve_base(replace(spec, adaptors=()))
        over = spec.adaptors
        if plan.family == COLLECTOR:
            return _alone(plan, spec, as_malloc=as_malloc)
        if as_malloc and (not over or over[-1].name != _AS_MALLOC):
            over = (*over, AdaptorSpec(_AS_MALLOC))
        plan = self._adapted(plan, spec, over) if over else plan
        return replace(plan, call=replace(plan.call, as_malloc=as_malloc))

    def _adapted(self, plan: AllocatorPlan, spec: AllocatorSpec, over: Sequence[AdaptorSpec]) -> AllocatorPlan:
        names, parameters, thread_safe = [plan.strategy], [plan.engine_parameters], plan.thread_safe
        keeps_books = False
        for adaptor in over:
            described = self._adaptors.get(adaptor.name)
            if described is None:
                meant = did_you_mean(adaptor.name, self._adaptors)
                known = f" (adaptors: {', '.join(self._adaptors)})"
                raise AllocatorError(f"{spec.label}: unknown adaptor '{adaptor.name}'{meant or known}")
            names.append(adaptor.name)
            parameters.append(_joined(settle(adaptor, _own_parameters(described), spec.label)))
            keeps_books = keeps_books or bool(described["keeps_books"])
            thread_safe = {"none": False, "as below": thread_safe, "any": True}[str(described["threads"])]
        strategy, joined = "+".join(names), "+".join(parameters)
        refuses = self._refusal if plan.adopted is None else adopted_refusal(plan.adopted)
        refusal = refuses(strategy, joined)
        if refusal is not None:
            raise AllocatorError(f"{spec.label}: {refusal}")
        free = "sized"
        if names[-1] == _AS_MALLOC:
            free = "bare" if keeps_books or (plan.frees_bare and len(over) == 1) else "header"
        return replace(
            plan,
            spec=spec,
            strategy=strategy,
            engine_parameters=joined,
            thread_safe=thread_safe,
            call=Call("pointer", free, _threads(thread_safe)),
        )

    def _resolve_base(self, spec: AllocatorSpec) -> AllocatorPlan:
        bare, variables = variables_of(spec)
        if not variables:
            return self._resolve_bare(spec)
        if is_python(spec.name) or not (is_file(spec.name) or spec.name in SYSTEM_ALLOCATORS):
            way = f"({option('allocators')} ./libmine.so)"
            raise AllocatorError(f"{spec.label}: variables are for system allocators and libraries {way}")
        return with_variables(self._resolve_bare(bare), spec, variables)

    def _resolve_bare(self, spec: AllocatorSpec) -> AllocatorPlan:
        if is_python(spec.name):
            return python_plan(spec)
        if is_file(spec.name):
            return library_plan(spec)
        if spec.name in SYSTEM_ALLOCATORS:
            return _system_plan(spec)
        if spec.name in self._interpreted:
            return adopted_plan(spec, self._interpreted[spec.name])
        if spec.name in self._collectors:
            return _collector_plan(spec, self._collectors[spec.name])
        if spec.name not in self._strategies or spec.name == MALLOC:
            meant = did_you_mean(spec.name, self.names)
            raise AllocatorError(f"unknown allocator '{spec.name}'{meant or '; memtool list allocators has all'}")
        return self._strategy_plan(spec, self._strategies[spec.name])

    def _strategy_plan(self, spec: AllocatorSpec, described: Mapping[str, Any]) -> AllocatorPlan:
        settled = settle(spec, _parameters(described))
        malloc = settled.pop(MALLOC, None)
        parameters = _joined(settled)
        # Valid values may still be inconsistent with each other; the defaults are consistent, as tests show.
        refusal = self._refusal(spec.name, parameters) if parameters else None
        if refusal is not None:
            raise AllocatorError(f"{spec.label}: {refusal}")
        uses_region = self._uses_region(spec.name, parameters) if described["uses_malloc"] else described["uses_region"]
        on_malloc = described["uses_malloc"] and not uses_region
        if malloc is not None and not on_malloc:
            raise AllocatorError(f"{spec.label}: malloc: takes its memory from the region as its parameters stand")
        under = _system_plan(AllocatorSpec(malloc or "glibc")) if on_malloc else None
        return AllocatorPlan(
            spec=spec,
            strategy=spec.name,
            engine_parameters=parameters,
            preload=under.preload if under else (),
            expected_owner=under.expected_owner if under else None,
            version_call=under.version_call if under else None,
            family=str(described["family"]),
            exact=bool(uses_region),
            uses_region=bool(uses_region),
            is_control=bool(described["is_control"]),
            free_order=str(described["free_order"]),
            thread_safe=bool(described["thread_safe"]),
            call=Call(
                str(described["route"]),
                "sized" if described["sized_free"] else "bare",
                _threads(bool(described["thread_safe"])),
            ),
            frees_bare=bool(described["frees_bare"]),
        )


def _missing_library(described: Mapping[str, Any]) -> str | None:
    """Return why a collector lacks the system library that it uses; None: it uses none, or the library is found."""
    library, package = str(described["library"]), str(described["package"])
    if not library or installed((library,)) is not None:
        return None
    return f"{library} is not installed (Debian and Ubuntu: apt install {package})"


def _collector_plan(spec: AllocatorSpec, described: Mapping[str, Any]) -> AllocatorPlan:
    missing = _missing_library(described)
    settled = settle(spec, _own_parameters(described))
    if missing is not None:
        raise Unavailable(missing)
    return AllocatorPlan(
        spec=spec,
        strategy=spec.name,
        engine_parameters=_joined(settled),
        family=COLLECTOR,
        exact=not described["is_timed"],
        uses_region=bool(described["uses_region"]),
        free_order="none",
        call=Call(str(described["route"]), "collected", "one"),
    )


def _alone(plan: AllocatorPlan, spec: AllocatorSpec, *, as_malloc: bool) -> AllocatorPlan:
    """Return a collector's plan; adaptors cannot wrap it, and no program that frees can use it as its malloc."""
    if spec.adaptors:
        raise AllocatorError(f"{spec.label}: an adaptor stands on an allocator, and {spec.name} is a garbage collector")
    if as_malloc:
        raise Unavailable("is a garbage collector, which no malloc can be: it has to know all references")
    return plan


def _threads(thread_safe: bool) -> str:
    return "any" if thread_safe else "one"


def _parameters(described: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Return the parameters of a strategy; one that uses a malloc can use any that memtool knows."""
    own = _own_parameters(described)
    if not described["uses_malloc"]:
        return own
    choices = tuple(SYSTEM_ALLOCATORS)
    return (*own, Parameter(MALLOC, "what serves malloc below it", "glibc", unit="choice", choices=choices))


def _capabilities(
    described: Mapping[str, Any], largest_size: int | None, largest_alignment: int | None
) -> Capabilities:
    return Capabilities(
        free_order=str(described["free_order"]),
        reallocates=bool(described["reallocates"]),
        allocates_zeroed=bool(described["allocates_zeroed"]),
        scoped=bool(described["scoped"]),
        thread_safe=bool(described["thread_safe"]),
        uses_region=bool(described["uses_region"]),
        largest_size=largest_size,
        largest_alignment=largest_alignment,
    )


def _own_parameters(described: Mapping[str, Any]) -> tuple[Parameter, ...]:
    return tuple(Parameter.from_engine(parameter) for parameter in described["parameters"])


def _joined(settled: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in settled.items())


def _system_plan(spec: AllocatorSpec) -> AllocatorPlan:
    allocator = SYSTEM_ALLOCATORS[spec.name]
    environment = environment_of(spec)
    missing = why_missing(spec.name)
    if missing is not None:
        raise Unavailable(missing)
    library = library_of(spec.name)
    return AllocatorPlan(
        spec=spec,
        strategy=MALLOC,
        engine_parameters="",
        preload=(str(library),) if library is not None else (),
        environment=environment,
        expected_owner=allocator.owner,
        version_call=allocator.version,
        family="system",
        exact=False,
        uses_region=False,
        thread_safe=True,
        call=Call("linker", "bare", "any"),
        frees_bare=True,
    )
