"""The JSON of a comparison, schema memtool.compare.v1, on which scripts rely."""

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
"""Written without conversion: a whole number of bytes stays an integer."""


class _Record(BaseModel):
    # Later versions of memtool may add keys; the keys declared here keep their meaning.
    model_config = ConfigDict(extra="allow", frozen=True)


_CHANGE = "head / base - 1 where `scale` is ratio, else head - base"
_SAMPLES = "number of pairs, or of the samples of the side that has fewer"


class LookRecord(_Record):
    """Result of one look at a cell."""

    change: Figure | None = Field(description=_CHANGE)
    low: Figure | None
    high: Figure | None
    samples: int = Field(description=_SAMPLES)


class ComparisonRecord(_Record):
    """The comparison of one metric of one cell with that of another, and its verdict."""

    workload: str
    region: str
    mode: str
    base: str = Field(description="allocator that serves as the base of the comparison")
    head: str = Field(description="allocator that is compared with the base; the same one where two runs are compared")
    metric: str = Field(description="name of a metric, or `status`, which compares whether the cell could be measured")
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
    limit: Figure | None = Field(description="allowed deterioration, on the scale of `change`")
    verdict: Verdict
    word: str = Field(
        "", description="verdict on a choice between two allocators: slower, no slower, faster, and so on"
    )
    reason: str
    fault: Literal["harness"] | None = Field(
        None, description="harness: one of the two could not be measured, and its allocator did not cause this"
    )
    next: str = Field(description="command that shows more detail")
    p_regression: Figure | None = Field(description="p-value against 'not worse than the limit', adjusted")
    p_pass: Figure | None = Field(description="p-value against 'worse than the limit', adjusted")
    smallest_detectable: Figure | None = Field(
        description="smallest change, on the scale of `change`, that is detected with 80 % power"
    )
    blocks_needed: int | None = Field(
        description="number of blocks with which an unchanged cell passes in 80 % of runs"
    )
    blocks_to_decide: int | None = Field(
        description="if undecided, number of blocks that decide such an effect in 80 % of runs; null: no number does"
    )
    effects: list[Figure] = Field(description="ln(head / base), or head - base, of each block; empty unless paired")
    hosts: list[str] = Field([], description="host of each of `effects`; empty if one machine measured all")
    hosts_low: Figure | None = Field(
        None, description="lower end of the 95 % interval over hosts of this kind, with the host as a random effect"
    )
    hosts_high: Figure | None = Field(None, description="upper end of that interval")
    first_look: LookRecord | None = Field(description="the first look, where this is the second at a suspect")


class PlaceRecord(_Record):
    """Rank of an allocator among those of its workload and region."""

    workload: str
    region: str
    allocator: str
    rank: int
    pareto: bool
    time_per_op_ns: Figure | None = Field(description="null: the rank follows from the wall time of a whole program")
    low: Figure | None
    high: Figure | None
    peak_resident_bytes: Figure | None
    wall_time_ns: Figure | None = None


class PastRecord(_Record):
    """Value of one metric in an earlier run."""

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
    sources: list[str] = Field(description="compared files, the base first")
    verdict: Verdict
    alpha: Figure
    margin: Figure
    family: int = Field(description="number of tests that share alpha")
    looks: Literal[1, 2] = Field(description="2: suspected regressions were measured again on fresh blocks")
    machine: dict[str, Any]
    comparisons: list[ComparisonRecord]
    ranking: list[PlaceRecord]
    history: list[PastRecord]
    notes: list[str]
    unjudged: list[str] = Field(
        [], description="figures that had to be judged and could not be, with the reason; the comparison cannot pass"
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a comparison."""
    schema = described(CompareRecord.model_json_schema(by_alias=True))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": SCHEMA}


def overall(report: Report) -> Verdict:
    """Return the worst of the verdicts that decide; incomparable where none decides or a required one is missing."""
    verdicts = {judgement.verdict for judgement in report.judgements}
    if report.unjudged and Verdict.REGRESSION not in verdicts:
        return Verdict.INCOMPARABLE
    order = (Verdict.REGRESSION, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.ADVICE)
    return next((verdict for verdict in order if verdict in verdicts), Verdict.INCOMPARABLE)


def to_json(report: Report) -> dict[str, Any]:
    """Return a comparison in the form of the schema."""
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
    """Return the values of a record's fields, taken from attributes of the source that have the same names."""
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
    """Write the JSON of a comparison atomically and return its path."""
    return files.write_whole(path, json.dumps(to_json(report), indent=1, allow_nan=False) + "\n")
