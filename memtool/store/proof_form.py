"""Types of the parts of a cell's proof and of a workload's mappings that memtool reads.

Every part that a table, a picture or a gate reads has exactly one type; the rest is ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ValidationError

from memtool.kinds import results
from memtool.model import Call, TraceInfo
from memtool.store import document

_Share = Literal["p50", "p90", "p99", "p999", "p9999", "max"]


@dataclass(frozen=True)
class _NoiseFloor:
    p50: float
    p90: float
    p99: float
    p999: float
    p9999: float
    max: float


@dataclass(frozen=True)
class _OpenLoop:
    null_ns: dict[str, dict[_Share, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Proof:
    call: Call | None = None
    harness_ns: float | None = None
    harness_instructions: float | None = None
    harness_fault: bool = False
    interpreted: bool = False
    invariants_checked: int = 0
    named: str = ""
    noise_floor_ns: _NoiseFloor | None = None
    open_loop: _OpenLoop = field(default_factory=_OpenLoop)
    own_statistics: dict[str, dict[str, float | None]] = field(default_factory=dict)
    timer_resolution_ns: float = 0.0


@dataclass(frozen=True)
class _Arrivals:
    law: str
    rate_per_s: float
    burst: int


@dataclass(frozen=True)
class _FrameArrivals(_Arrivals):
    every_ns: float


@dataclass(frozen=True)
class _Pace:
    speed: float
    seconds: float


@dataclass(frozen=True)
class _Begins:
    at: str
    operation: int


_PROOF = document.form(_Proof)
_ARRIVALS, _FRAMES = document.form(_Arrivals), document.form(_FrameArrivals)
_PACE, _BEGINS = document.form(_Pace), document.form(_Begins)
_CALL = frozenset(Call.__dataclass_fields__)


def why_no_proof(proof: Mapping[str, Any]) -> str | None:
    """Return which key of a proof memtool cannot have written in this form; None: all are valid."""
    call = proof.get("call")
    unknown = sorted(set(call) - _CALL) if isinstance(call, dict) else []
    return f"call.{unknown[0]}: is not known" if unknown else _why_not(_PROOF, proof)


def why_no_trace(info: TraceInfo) -> str | None:
    """Return which key of a workload's mappings memtool cannot have written in this form; None: all are valid."""
    arrivals = info.arrivals or {}
    parts = (
        ("arrivals", info.arrivals, _FRAMES if arrivals.get("law") == "frames" else _ARRIVALS),
        ("pace", info.pace, _PACE),
        ("begins", info.begins, _BEGINS),
    )
    reasons = (f"{name}: {why}" for name, part, form in parts if part is not None and (why := _why_not(form, part)))
    return next(reasons, None) or _why_no_facts(info)


def _why_no_facts(info: TraceInfo) -> str | None:
    """Return why a kind's own facts about a workload cannot be displayed in its heading and remarks; None: they can."""
    kind = results(info.kind)
    try:
        kind.heading(info)
        list(kind.remarks((), info))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return f"facts: are not those of work of the kind {info.kind}"
    return None


def _why_not(form: Any, content: Mapping[str, Any]) -> str | None:  # noqa: ANN401  # a TypeAdapter of any record
    try:
        form.validate_json(json.dumps(dict(content)))
    except ValidationError as problems:
        first = problems.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg'][0].lower()}{first['msg'][1:]}"
    return None
