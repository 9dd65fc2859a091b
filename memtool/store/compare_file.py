"""The JSON of a comparison, schema memtool.compare.v1: what scripts rely on."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

from memtool import files
from memtool.measure.metrics import METRICS
from memtool.model import Basis, Judgement, Place, Report, Verdict
from memtool.stats.words import neutral_word
from memtool.store.descriptions import described

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
    hosts: list[str] = Field([], description="`effects[i]` was found on `hosts[i]`; empty where one machine took all")
    hosts_low: Figure | None = Field(
        None, description="lower end of the 95 % interval over hosts of the kind, the host a random effect"
    )
    hosts_high: Figure | None = Field(None, description="upper end of that interval")
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
    schema = described(CompareRecord.model_json_schema(by_alias=True))
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
        **{
            **_alike(CompareRecord, report),
            "verdict": overall(report),
            "comparisons": [_judgement(judgement) for judgement in report.judgements],
            "ranking": [_place(place) for place in report.places],
            "history": [
                PastRecord(**{**_alike(PastRecord, past), **_alike(PastRecord, past.figure), **asdict(past.cell)})
                for past in report.history
            ],
        },
    )
    return record.model_dump(mode="json", by_alias=True)


def _alike(kind: type[_Record], source: object) -> dict[str, Any]:
    """Return what a record has under the same names as its source."""
    return {name: getattr(source, name) for name in kind.model_fields if hasattr(source, name)}


def _place(place: Place) -> PlaceRecord:
    alike = _alike(PlaceRecord, place)
    return PlaceRecord(
        **{**alike, "time_per_op_ns": None, place.metric: place.time},
        pareto=place.is_on_front,
        peak_resident_bytes=place.resident,
    )


def _judgement(judged: Judgement) -> ComparisonRecord:
    comparison = judged.comparison
    info = METRICS.get(comparison.metric)
    own = {
        "unit": info.unit if info else "",
        "direction": info.direction if info else "lower",
        "scale": "ratio" if comparison.is_ratio else "difference",
        "word": neutral_word(judged),
        "next": judged.next_step,
        "first_look": LookRecord(**_alike(LookRecord, judged.first_look)) if judged.first_look else None,
    }
    return ComparisonRecord(**{**_alike(ComparisonRecord, comparison), **_alike(ComparisonRecord, judged), **own})


def write(path: Path, report: Report) -> Path:
    """Write the JSON of a comparison, whole or not at all, and return its path."""
    return files.write_whole(path, json.dumps(to_json(report), indent=1, allow_nan=False) + "\n")
