"""The JSON of a comparison, schema memtool.compare.v1: what scripts rely on."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

from memtool import files
from memtool.measure.metrics import METRICS
from memtool.model import Basis, Comparison, Judgement, Past, Report, Verdict
from memtool.stats.words import neutral_word

SCHEMA = "memtool.compare.v1"
FILE_NAME = "compare.json"


Figure = Annotated[float, SkipValidation]
"""Written as it is: bytes that are whole stay whole."""


class _Record(BaseModel):
    # Later versions of memtool may add keys; what is named here keeps its meaning.
    model_config = ConfigDict(extra="allow", frozen=True)


_CHANGE = "head / base - 1 where `scale` is ratio, else head - base"
_SAMPLES = "pairs, or samples of the side that has fewer"


class LookRecord(_Record):
    """What one look at a cell saw."""

    change: Figure | None = Field(description=_CHANGE)
    low: Figure | None
    high: Figure | None
    samples: int = Field(description=_SAMPLES)


class ComparisonRecord(_Record):
    """One figure of one cell against another's, and what it comes to."""

    workload: str
    region: str
    mode: str
    base: str = Field(description="the allocator that is compared with")
    head: str = Field(description="the allocator that is compared; the same one where two runs are")
    metric: str = Field(description="a metric's name, or `status`: whether the cell could be measured")
    unit: str
    direction: Literal["lower", "higher", "neither"]
    basis: Basis
    scale: Literal["ratio", "difference"]
    base_value: Figure | None
    head_value: Figure | None
    change: Figure | None = Field(description=_CHANGE)
    low: Figure | None
    high: Figure | None
    samples: int = Field(description=_SAMPLES)
    limit: Figure | None = Field(description="how much worse is allowed, in the terms of `change`")
    verdict: Verdict
    word: str = Field("", description="the verdict for a choice between two: slower, no slower, faster, and so on")
    reason: str
    fault: Literal["harness"] | None = Field(
        None, description="harness: one of the two could not be measured, through no fault of its allocator"
    )
    next: str = Field(description="what to run to see more")
    p_regression: Figure | None = Field(description="against 'not worse than the limit', adjusted for the family")
    p_pass: Figure | None = Field(description="against 'worse than the limit', adjusted for the family")
    smallest_detectable: Figure | None = Field(description="in the terms of `change`; found in 4 of 5 runs")
    blocks_needed: int | None = Field(description="so that what has not changed passes in 4 of 5 runs")
    blocks_to_decide: int | None = Field(
        description="where undecided: blocks that decide such an effect in 4 of 5 runs; null: none does"
    )
    effects: list[Figure] = Field(description="by block: ln(head / base), or head - base; empty unless paired")
    first_look: LookRecord | None = Field(description="where this is the second look at a suspect")


class PlaceRecord(_Record):
    """Where an allocator stands among those of its workload and region."""

    workload: str
    region: str
    allocator: str
    rank: int
    pareto: bool
    time_per_op_ns: Figure | None = Field(description="null: ranked by the wall time of a whole program")
    low: Figure | None
    high: Figure | None
    peak_resident_bytes: Figure | None
    wall_time_ns: Figure | None = None


class PastRecord(_Record):
    """One figure of an earlier run."""

    started: str
    source: str
    memtool: str
    workload: str
    allocator: str
    region: str
    mode: str
    metric: str
    value: Figure | None
    low: Figure | None
    high: Figure | None


class CompareRecord(_Record):
    """A whole comparison."""

    schema_: Literal["memtool.compare.v1"] = Field(alias="schema")
    memtool: str
    command: Literal["compare", "check"]
    sources: list[str] = Field(description="files compared, the base first")
    verdict: Verdict
    alpha: Figure
    margin: Figure
    family: int = Field(description="tests that share alpha")
    looks: Literal[1, 2] = Field(description="2: suspects were measured again on fresh blocks")
    machine: dict[str, Any]
    comparisons: list[ComparisonRecord]
    ranking: list[PlaceRecord]
    history: list[PastRecord]
    notes: list[str]
    unjudged: list[str] = Field(
        [], description="what was to be judged and could not be, with the reason: nothing passes"
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a comparison."""
    schema = CompareRecord.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": SCHEMA}


def overall(report: Report) -> Verdict:
    """Return the worst verdict of all that decide; incomparable where none does, or one that must is missing."""
    verdicts = {judgement.verdict for judgement in report.judgements}
    if report.unjudged and Verdict.REGRESSION not in verdicts:
        return Verdict.INCOMPARABLE
    order = (Verdict.REGRESSION, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.ADVICE)
    return next((verdict for verdict in order if verdict in verdicts), Verdict.INCOMPARABLE)


def to_json(report: Report) -> dict[str, Any]:
    """Return a comparison as the schema has it."""
    record = CompareRecord(
        schema="memtool.compare.v1",
        memtool=report.memtool,
        command=report.command,
        sources=list(report.sources),
        verdict=overall(report),
        alpha=report.alpha,
        margin=report.margin,
        family=report.family,
        looks=report.looks,
        machine=dict(report.machine),
        comparisons=[_judgement(judgement) for judgement in report.judgements],
        ranking=[
            PlaceRecord(
                workload=place.workload,
                region=place.region,
                allocator=place.allocator,
                rank=place.rank,
                pareto=place.is_on_front,
                time_per_op_ns=place.time if place.metric == "time_per_op_ns" else None,
                wall_time_ns=place.time if place.metric == "wall_time_ns" else None,
                low=place.low,
                high=place.high,
                peak_resident_bytes=place.resident,
            )
            for place in report.places
        ],
        history=[_past(past) for past in report.history],
        notes=list(report.notes),
        unjudged=list(report.unjudged),
    )
    return record.model_dump(mode="json", by_alias=True)


def _judgement(judged: Judgement) -> ComparisonRecord:
    comparison = judged.comparison
    info = METRICS.get(comparison.metric)
    return ComparisonRecord(
        workload=comparison.workload,
        region=comparison.region,
        mode=comparison.mode,
        base=comparison.base,
        head=comparison.head,
        metric=comparison.metric,
        unit=info.unit if info else "",
        direction=info.direction if info else "lower",
        basis=comparison.basis,
        scale="ratio" if comparison.is_ratio else "difference",
        base_value=comparison.base_value,
        head_value=comparison.head_value,
        **_look(comparison),
        limit=judged.limit,
        verdict=judged.verdict,
        word=neutral_word(judged),
        reason=judged.reason,
        fault=comparison.fault,
        next=judged.next_step,
        p_regression=judged.p_regression,
        p_pass=judged.p_pass,
        smallest_detectable=judged.smallest_detectable,
        blocks_needed=judged.blocks_needed,
        blocks_to_decide=judged.blocks_to_decide,
        effects=list(comparison.effects),
        first_look=LookRecord(**_look(judged.first_look)) if judged.first_look else None,
    )


def _look(comparison: Comparison) -> dict[str, Any]:
    return {"change": comparison.change, "low": comparison.low, "high": comparison.high, "samples": comparison.samples}


def _past(past: Past) -> PastRecord:
    return PastRecord(
        started=past.started,
        source=past.source,
        memtool=past.memtool,
        **asdict(past.cell),
        metric=past.metric,
        value=past.figure.value,
        low=past.figure.low,
        high=past.figure.high,
    )


def write(path: Path, report: Report) -> Path:
    """Write the JSON of a comparison, whole or not at all, and return its path."""
    return files.write_whole(path, json.dumps(to_json(report), indent=1, allow_nan=False) + "\n")
