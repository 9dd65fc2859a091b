"""A comparison as text, for people and for continuous integration.

``table`` and ``markdown`` show everything; ``json`` is memtool.compare.v1; ``github`` writes one annotation for each
verdict that needs attention; ``junit`` is the XML that every CI reads, with a test case for each gated figure.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from memtool import files, formats
from memtool.measure.metrics import METRICS
from memtool.model import Basis, Judgement, Place, Report, Verdict
from memtool.report import grid
from memtool.report.compared import judged_words
from memtool.stats.paired import least_blocks
from memtool.stats.words import is_better, neutral_word
from memtool.store import compare_file
from memtool.units import format_ns, format_size, plural

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot represent: most control characters, and lone surrogates."""
_ORDER = (Verdict.REGRESSION, Verdict.INCONCLUSIVE, Verdict.ADVICE, Verdict.INCOMPARABLE)
"""Verdicts that need attention, the worst first."""
_HEADINGS = (
    "metric",
    "allocator",
    "base",
    "other",
    "change",
    "95 % interval",
    "over hosts",
    "n",
    "limit",
    "can see",
    "needs",
    "verdict",
)
_LEFT = frozenset({"metric", "allocator", "95 % interval", "over hosts", "verdict"})


def render(report: Report, style: str, width: int | None = None) -> str:
    """Return a comparison as text in one of ``formats.COMPARISON``; a table takes at most ``width`` columns."""
    return _text(report, style, width) if style in formats.TEXTS else _STYLES[style](report)


def write_summary(report: Report, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Append the Markdown to the summary of the GitHub job in which this runs, if any.

    Returns the reason in words if this failed; the verdict does not depend on it.
    """
    summary = environment.get("GITHUB_STEP_SUMMARY")
    if summary:
        try:
            with files.open_device(Path(summary)) as file:
                file.write(render(report, "markdown") + "\n")
        except OSError as problem:
            return (f"GITHUB_STEP_SUMMARY: {files.refusal(problem, Path(summary))}",)
    return ()


def _text(report: Report, style: str, width: int | None) -> str:
    width = width if style == "table" else None
    parts: list[str] = []
    workloads = dict.fromkeys(judgement.comparison.workload for judgement in report.judgements)
    for workload in workloads:
        mine = _ordered([judgement for judgement in report.judgements if judgement.comparison.workload == workload])
        changed = [judgement for judgement in mine if not _is_unchanged(judgement)]
        folded = [judgement.comparison.basis for judgement in mine if _is_unchanged(judgement)]
        title = _title(workload, mine, report.command)
        parts.append(f"## {title}" if style == "markdown" else grid.wrapped(title, width))
        if changed:
            parts += _grid(_HEADINGS, [_row(judgement, report) for judgement in changed], style, width)
        if folded:
            kind_of_figure = "exact figure" if set(folded) == {Basis.EXACT} else "figure"
            parts.append(f"{plural(len(folded), kind_of_figure)} unchanged.")
        parts += _ranking(report.places, workload, style, width)
    parts += _history(report, style, width)
    prose = [
        grid.listed(_lines(report), style),
        grid.listed((f"not judged: {line}" for line in report.unjudged), style),
        conclusion(report),
        *(f"Note: {note}" for note in report.notes),
        grid.listed(_explanation(report), style),
    ]
    return "\n\n".join(part for part in (*parts, *(grid.wrapped(paragraph, width) for paragraph in prose)) if part)


def _ordered(judgements: Sequence[Judgement]) -> list[Judgement]:
    """Return the judgements by metric, in each metric the best first."""
    metrics = list(dict.fromkeys(judgement.comparison.metric for judgement in judgements))

    def place(judged: Judgement) -> tuple[int, float]:
        comparison = judged.comparison
        return metrics.index(comparison.metric), comparison.change if comparison.change is not None else float("inf")

    return sorted(judgements, key=place)


def _title(workload: str, judgements: Sequence[Judgement], command: str) -> str:
    bases = {judgement.comparison.base for judgement in judgements}
    between_runs = all(judgement.comparison.base == judgement.comparison.head for judgement in judgements)
    if between_runs:
        return f"{workload}: {'against the baseline' if command == 'check' else 'the second run against the first'}"
    return f"{workload}: against {bases.pop()}"


def _is_unchanged(judged: Judgement) -> bool:
    """Return whether a figure is exactly unchanged, so that it needs no line."""
    comparison = judged.comparison
    is_same = comparison.low == comparison.high == comparison.change == 0 and comparison.basis is not Basis.PAIRED
    return is_same and judged.verdict is Verdict.PASS


def _row(judged: Judgement, report: Report) -> list[str]:
    comparison = judged.comparison
    return [
        comparison.metric,
        judged_words.who(comparison).replace(f" against {comparison.base}", ""),
        judged_words.figure(comparison.metric, comparison.base_value),
        judged_words.figure(comparison.metric, comparison.head_value),
        judged_words.change(comparison),
        judged_words.interval(comparison),
        judged_words.over_hosts(comparison),
        str(comparison.samples) if comparison.samples else "",
        judged_words.limit(judged) if judged.limit is not None else "",
        judged_words.detectable(judged),
        judged_words.needed(judged),
        _verdict(judged, report),
    ]


def _verdict(judged: Judgement, report: Report) -> str:
    word = _word(judged, report)
    if judged.verdict is Verdict.PASS and not report.is_choice and is_better(judged.comparison):
        word = "pass (better)"
    if judged.verdict is Verdict.SHOWN:
        word = "not gated"
    # The p-value and the required blocks are stated below the table.
    reason = judged.reason.partition(", p = ")[0]
    return f"{word}: {reason}" if reason and judged.verdict is not Verdict.SHOWN else word


def _word(judged: Judgement, report: Report) -> str:
    return neutral_word(judged) if report.is_choice else str(judged.verdict)


def _lines(report: Report) -> list[str]:
    """Return a line for each regression and for each reason why there is no verdict."""
    findings = _findings(report.judgements)
    return [f"{_word(judged, report)}: {text}" for verdict, judged, text in findings if verdict is not Verdict.ADVICE]


def _findings(judgements: Sequence[Judgement]) -> list[tuple[Verdict, Judgement, str]]:
    """Return the results that need attention, the worst first, with their words.

    Each regression is listed by itself; missing verdicts of a metric are combined if they have the same reason.
    """
    alike: dict[tuple[object, ...], list[Judgement]] = {}
    for verdict in _ORDER:
        for judgement in judgements:
            if judgement.verdict is verdict:
                alone = (id(judgement),) if verdict is Verdict.REGRESSION else ()
                key = (verdict, judgement.comparison.workload, judgement.comparison.metric, judgement.reason, *alone)
                alike.setdefault(key, []).append(judgement)
    findings = []
    for group in alike.values():
        first = group[0]
        following = f"; next: {first.next_step}" if first.next_step else ""
        others = f"; and {plural(len(group) - 1, 'more allocator')}" if len(group) > 1 else ""
        findings.append((first.verdict, first, f"{judged_words.sentence(first)}{others}{following}"))
    return findings


def conclusion(report: Report) -> str:
    """Return the overall verdict, with the number of each; for a choice, only the numbers."""
    if report.is_choice:
        words = Counter(
            _word(judgement, report) for judgement in report.judgements if judgement.verdict is not Verdict.SHOWN
        )
        return f"Compared: {', '.join(f'{count:,} {word}' for word, count in words.items()) or 'nothing'}"
    counts = {verdict: sum(judgement.verdict is verdict for judgement in report.judgements) for verdict in Verdict}
    parts = [
        plural(count, "regression") if verdict is Verdict.REGRESSION else f"{count:,} {verdict}"
        for verdict, count in counts.items()
        if count and verdict is not Verdict.SHOWN
    ]
    return f"{compare_file.overall(report).upper()}: {', '.join(parts) or 'nothing was compared'}"


def _ranking(places: Sequence[Place], workload: str, style: str, width: int | None) -> list[str]:
    parts = []
    for region in dict.fromkeys(standing.region for standing in places if standing.workload == workload):
        mine = [standing for standing in places if standing.workload == workload and standing.region == region]
        is_whole = any(standing.metric == "wall_time_ns" for standing in mine)
        unit, time = ("wall", format_ns) if is_whole else ("ns/op", "{:.2f}".format)
        rows = [
            [
                str(standing.rank),
                standing.allocator,
                time(standing.time),
                "needs 6 blocks"
                if standing.low is None or standing.high is None
                else f"{time(standing.low)} to {time(standing.high)}",
                "n/a" if standing.resident is None else format_size(standing.resident),
                "*" if standing.is_on_front else "",
            ]
            for standing in sorted(mine, key=lambda place: place.time)
        ]
        headings = ("rank", "allocator", unit, "95 % interval", "resident", "front")
        where = "" if region == "anonymous" else f" on {region}"
        title = f"Ranking{where} (by paired blocks, with ties; * on the front of speed and memory)"
        heading = f"**{title}**\n\n" if style == "markdown" else f"{title}\n"
        first, *rest = _grid(headings, rows, style, width)
        parts += [heading + first, *rest]
    return parts


def _history(report: Report, style: str, width: int | None) -> list[str]:
    if not report.history:
        return []
    rows = []
    before: dict[tuple[str, ...], float] = {}
    for past in report.history:
        key = (past.cell.workload, past.cell.allocator, past.cell.region, past.cell.mode, past.metric)
        value, last = past.figure.value, before.get(key)
        change = "" if value is None or not last else judged_words.percent(value / last - 1)
        bounds = (
            ""
            if past.figure.low is None or past.figure.high is None
            else " to ".join(judged_words.figure(past.metric, end) for end in (past.figure.low, past.figure.high))
        )
        name = f"{past.cell.workload} · {past.cell.allocator}"
        rows.append([name, past.metric, past.started[:16], judged_words.figure(past.metric, value), bounds, change])
        if value is not None:
            before[key] = value
    headings = ("cell", "metric", "started", "value", "95 % interval", "since the run before")
    title = "History (runs of other days: nothing is paired, nothing gated)"
    first, *rest = _grid(headings, rows, style, width)
    return [(f"**{title}**\n\n" if style == "markdown" else f"{title}\n") + first, *rest]


def _grid(headings: Sequence[str], rows: Sequence[Sequence[str]], style: str, width: int | None) -> list[str]:
    """Return a table without empty columns, divided into several if it is wider than ``width``."""
    used = [index for index, _ in enumerate(headings) if index < 2 or any(row[index] for row in rows)]
    return grid.table(
        [headings[index] for index in used],
        [[row[index] for index in used] for row in rows],
        style,
        left=_LEFT | {"cell", "started", "front"},
        keys=2,
        width=width,
    )


def _explanation(report: Report) -> list[str]:
    """Explain the basis of the figures to a reader who has not read the documentation."""
    compared = [judgement.comparison for judgement in report.judgements]
    bases = {comparison.basis for comparison in compared}
    lines = []
    if Basis.PAIRED in bases:
        lines.append("Paired by block: median of head / base over n blocks, exact sign interval.")
    if any(comparison.hosts for comparison in compared):
        lines.append(
            "over hosts: what another machine of the kind would find, 95 %, the host a random effect (Student's t of "
            "the hosts' medians); verdicts are of the hosts that took part."
        )
    if report.family:
        least = least_blocks(report.alpha / report.family)
        tests = plural(report.family, "test")
        if report.command == "check":
            lines.append(
                f"{tests}, alpha {report.alpha:g} (Holm). A regression is seen twice: what looks worse is measured "
                "again, and the fresh blocks alone decide."
            )
        else:
            lines.append(f"{tests} share alpha {report.alpha:g} (Holm): a verdict needs {plural(least, 'block')}.")
        lines.append("can see: the smallest change that this many blocks detect with 80 % power.")
        lines.append("needs: the number of blocks with which an unchanged allocator passes in four of five runs.")
    scopes = {METRICS[comparison.metric].scope for comparison in compared if comparison.basis is Basis.UNPAIRED}
    if "code" in scopes:
        lines.append("Instructions of two runs: every repeat of one against every repeat of the other; so gated.")
    if scopes - {"code"}:
        lines.append(
            "Two runs are not paired: each median enclosed with 97.5 %, the ends furthest apart taken; "
            "blind to a machine that changed between them, so sampled figures advise and never fail."
        )
    if Basis.EXACT in bases:
        lines.append("exact: the same in every repeat on both sides, so gated without statistics.")
    return lines


def _json(report: Report) -> str:
    return json.dumps(compare_file.to_json(report), indent=1, allow_nan=False)


_ANNOTATIONS = {
    Verdict.REGRESSION: "error",
    Verdict.INCONCLUSIVE: "warning",
    Verdict.ADVICE: "notice",
    Verdict.INCOMPARABLE: "notice",
}


def _github(report: Report) -> str:
    """Return workflow commands, one line each, with the escapes that GitHub's runner requires."""
    lines = []
    for verdict, finding, text in _findings(report.judgements):
        comparison = finding.comparison
        title = _escaped(
            f"memtool: {_word(finding, report)} in {comparison.workload}, {comparison.metric}", is_property=True
        )
        level = "notice" if report.is_choice else _ANNOTATIONS[verdict]
        lines.append(f"::{level} title={title}::{_escaped(text)}")
    lines += [f"::error title=memtool%3A not judged::{_escaped(line)}" for line in report.unjudged]
    return "\n".join([*lines, conclusion(report)])


def _escaped(text: str, *, is_property: bool = False) -> str:
    replacements = {"%": "%25", "\r": "%0D", "\n": "%0A"} | ({":": "%3A", ",": "%2C"} if is_property else {})
    for plain, code in replacements.items():
        text = text.replace(plain, code)
    return text


def _junit(report: Report) -> str:
    """Return JUnit XML: regressions are failures, missing verdicts are skipped, ungated figures are left out.

    A figure that a gate had to judge and could not is an error, so that it does not count as a success.
    """
    root = ElementTree.Element("testsuites", name=f"memtool {report.command}")
    gated = [judgement for judgement in report.judgements if judgement.verdict is not Verdict.SHOWN]
    for workload in dict.fromkeys(judgement.comparison.workload for judgement in gated):
        mine = [judgement for judgement in gated if judgement.comparison.workload == workload]
        failures = sum(judgement.verdict is Verdict.REGRESSION for judgement in mine)
        passes = sum(judgement.verdict is Verdict.PASS for judgement in mine)
        errors = sum(judgement.comparison.fault is not None for judgement in mine)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=workload,
            tests=str(len(mine)),
            failures=str(failures),
            errors=str(errors),
            skipped=str(len(mine) - failures - passes - errors),
        )
        for judgement in mine:
            _junit_case(suite, judgement)
    _junit_unjudged(root, report.unjudged)
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ElementTree.indent(root)
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", ElementTree.tostring(root, "unicode", xml_declaration=True))


def _junit_unjudged(root: ElementTree.Element, unjudged: Sequence[str]) -> None:
    if not unjudged:
        return
    count = str(len(unjudged))
    suite = ElementTree.SubElement(
        root, "testsuite", name="not judged", tests=count, failures="0", errors=count, skipped="0"
    )
    for line in unjudged:
        case = ElementTree.SubElement(suite, "testcase", classname="not judged", name=line, time="0")
        ElementTree.SubElement(case, "error", type="not judged", message=line)


def _junit_case(suite: ElementTree.Element, judged: Judgement) -> None:
    comparison = judged.comparison
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=f"{comparison.workload}.{judged_words.who(comparison)}",
        name=comparison.metric,
        time="0",
    )
    text = judged_words.sentence(judged)
    following = f"\nnext: {judged.next_step}" if judged.next_step else ""
    if judged.verdict is Verdict.REGRESSION:
        failure = ElementTree.SubElement(case, "failure", type="regression", message=text)
        failure.text = f"{text}{following}"
    elif comparison.fault is not None:
        ElementTree.SubElement(case, "error", type=comparison.fault, message=text)
    elif judged.verdict is not Verdict.PASS:
        ElementTree.SubElement(case, "skipped", message=f"{judged.verdict}: {text}{following}".replace("\n", "; "))
    else:
        ElementTree.SubElement(case, "system-out").text = text


_STYLES: Mapping[str, Callable[[Report], str]] = {
    "json": _json,
    "junit": _junit,
    "github": _github,
}
