"""What a comparison is written as, compared letter by letter with files that were read by people."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from memtool import formats
from memtool.errors import InputError
from memtool.model import Basis, Report, Verdict
from memtool.report.compared import forest, verdicts
from memtool.stats.words import MIXED
from memtool.store import compare_file
from tests.unit.report.fake_report import inside_a_run, with_a_baseline

SUFFIX = {"table": "txt", "markdown": "md", "json": "json", "junit": "xml", "github": "github"}
REPORTS = {"inside": inside_a_run, "baseline": with_a_baseline}


@pytest.fixture(params=REPORTS)
def report(request: pytest.FixtureRequest) -> Report:
    return REPORTS[request.param]()


@pytest.mark.parametrize("style", formats.COMPARISON)
@pytest.mark.parametrize("name", REPORTS)
def test_golden(name: str, style: str, golden: Callable[[str, str], None]) -> None:
    golden(f"compare-{name}.{SUFFIX[style]}", verdicts.render(REPORTS[name](), style))


def test_json_keeps_to_the_published_schema(report: Report) -> None:
    jsonschema.validate(json.loads(verdicts.render(report, "json")), compare_file.json_schema())


def test_junit_is_what_every_ci_reads(report: Report) -> None:
    """By the de facto XSD: counts agree with children, and each case holds at most one outcome."""
    root = ElementTree.fromstring(verdicts.render(report, "junit"))
    assert root.tag == "testsuites"
    for suite in root:
        assert suite.tag == "testsuite"
        cases = suite.findall("testcase")
        assert int(suite.attrib["tests"]) == len(cases) == len(list(suite))
        for outcome, counted in (("failure", "failures"), ("skipped", "skipped"), ("error", "errors")):
            assert int(suite.attrib[counted]) == len(suite.findall(f"testcase/{outcome}"))
        for case in cases:
            assert {"classname", "name", "time"} <= case.attrib.keys()
            assert len([item for item in case if item.tag in ("failure", "skipped", "error")]) <= 1
    for counted in ("tests", "failures", "errors", "skipped"):
        assert int(root.attrib[counted]) == sum(int(suite.attrib[counted]) for suite in root)


def test_annotations_are_one_line_each_and_escaped(report: Report) -> None:
    *annotations, conclusion = verdicts.render(report, "github").splitlines()
    assert annotations
    for line in annotations:
        kind, _, rest = line.removeprefix("::").partition(" title=")
        title, _, text = rest.partition("::")
        assert kind in ("error", "warning", "notice")
        assert ":" not in title
        assert "%" not in text.replace("%25", "")
    assert conclusion.startswith("Compared: " if report.is_choice else "REGRESSION: ")


def test_what_a_gate_could_not_judge_is_an_error_in_junit_and_json_says_whose_fault(report: Report) -> None:
    first, *others = report.judgements
    lost = replace(first.comparison, metric="status", basis=Basis.NONE, is_required=True, fault="harness")
    lost_verdict = replace(first, comparison=lost, verdict=Verdict.INCOMPARABLE, reason="not measured: no memory")
    line = "web · slower against glibc: not measured: no memory"
    changed = replace(report, judgements=(lost_verdict, *others), unjudged=(line,))
    root = ElementTree.fromstring(verdicts.render(changed, "junit"))
    assert root.attrib["errors"] == "2"
    assert [element.attrib["type"] for element in root.findall("testsuite/testcase/error")] == ["harness", "not judged"]
    assert [element.attrib["name"] for element in root.findall("testsuite[@name='not judged']/testcase")] == [line]
    document = json.loads(verdicts.render(changed, "json"))
    jsonschema.validate(document, compare_file.json_schema())
    assert [comparison["fault"] for comparison in document["comparisons"]] == ["harness", *[None] * len(others)]


def test_a_summary_that_is_a_pipe_which_nobody_reads_is_not_waited_for(report: Report, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "summary.md")
    said = verdicts.write_summary(report, {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")})
    assert said[0].startswith(f"GITHUB_STEP_SUMMARY: {tmp_path / 'summary.md'}: cannot be written: ")


def test_the_summary_of_a_github_job_is_added_to(report: Report, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("# before\n")
    verdicts.write_summary(report, {"GITHUB_STEP_SUMMARY": str(summary)})
    assert summary.read_text() == "# before\n" + verdicts.render(report, "markdown") + "\n"
    verdicts.write_summary(report, {})


def test_a_grown_header_is_named_with_figures_and_what_to_run_next() -> None:
    lines = verdicts.render(with_a_baseline(), "table").splitlines()
    assert (
        "regression: web · tlsf · peak_footprint_bytes: 6,532,112 -> 6,532,128 (+16 B, +0.0002 %, limit 0); next: "
        "memtool bench web.yaml -a tlsf --passes footprint; "
        "if it is meant: memtool check web.yaml --baseline main.json --update"
    ) in lines


def test_the_plot_is_drawn(report: Report, tmp_path: Path) -> None:
    drawn = forest.draw(report, tmp_path / "compare.png")
    assert drawn is not None
    assert drawn.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_what_lies_beyond_the_picture_is_an_arrow_with_its_figure_and_the_title_has_the_day(
    tmp_path: Path,
) -> None:
    """Forty times as much memory, and a time whose interval reaches beyond 60 %."""
    first, second, *_ = [judgement for judgement in inside_a_run().judgements if judgement.comparison.is_ratio]
    far = replace(first, comparison=replace(first.comparison, change=39.0, low=38.5, high=39.5))
    wide = replace(second, comparison=replace(second.comparison, change=0.1, low=-0.7, high=0.3))
    report = replace(inside_a_run(), judgements=(far, wide), started="2026-01-02T03:04:05+00:00")
    drawn = forest.draw(report, tmp_path / "far.svg")
    assert drawn is not None
    text = drawn.read_text(encoding="utf-8")
    for words in ("+3900 %", "goes on beyond the picture", "measured 2026-01-02"):
        assert f"<!-- {words}" in text or words in text, words
    near = forest.draw(replace(report, judgements=(second,)), tmp_path / "near.svg")
    assert near is not None
    assert "goes on beyond the picture" not in near.read_text(encoding="utf-8")


def test_the_picture_says_that_its_rows_are_called_in_different_ways(tmp_path: Path) -> None:
    def written(report: Report) -> str:
        drawn = forest.draw(report, tmp_path / "calls.svg")
        assert drawn is not None
        return drawn.read_text(encoding="utf-8")

    report = replace(inside_a_run(), notes=())
    assert "different ways" not in written(report)
    assert "The rows are called in different ways" in written(replace(report, notes=(MIXED,)))


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none/p.png: cannot be written: No such file or directory$"):
        forest.draw(inside_a_run(), tmp_path / "none" / "p.png")


def test_nothing_to_draw_is_not_drawn(tmp_path: Path) -> None:
    assert forest.draw(replace(inside_a_run(), judgements=()), tmp_path / "no.png") is None


@pytest.mark.parametrize("width", [80, 120])
def test_tables_and_lines_fit_the_terminal(report: Report, width: int) -> None:
    text = verdicts.render(report, "table", width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert max(len(line) for line in verdicts.render(report, "table").splitlines()) > 120


def test_what_xml_cannot_write_is_replaced() -> None:
    # A crashed library's last words may hold anything; the file was malformed for every reader.
    report = inside_a_run()
    worse = replace(report.judgements[0], reason="killed: \x1b[31m\x00 \ud800 end", verdict=Verdict.REGRESSION)
    text = verdicts.render(replace(report, judgements=(worse,)), "junit")
    assert "killed: \ufffd[31m\ufffd \ufffd end" in "".join(ElementTree.fromstring(text).itertext())


def test_a_bar_in_a_name_does_not_end_a_cell() -> None:
    report = inside_a_run()
    first = report.judgements[0]
    named = replace(first, comparison=replace(first.comparison, head="a|b.so"))
    lines = verdicts.render(replace(report, judgements=(named,)), "markdown").splitlines()
    assert sum("a\\|b.so" in line for line in lines if line.startswith("|")) == 1


def test_a_full_summary_does_not_cost_the_verdict(tmp_path: Path) -> None:
    assert verdicts.write_summary(inside_a_run(), {"GITHUB_STEP_SUMMARY": "/dev/full"}) == (
        "GITHUB_STEP_SUMMARY: /dev/full: cannot be written: No space left on device",
    )
    assert verdicts.write_summary(inside_a_run(), {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}) == ()


def test_a_choice_between_two_mallocs_has_no_regression() -> None:
    text = verdicts.render(REPORTS["inside"](), "table")
    assert "regression" not in text.lower()
    gated = verdicts.render(replace(REPORTS["inside"](), is_choice=False), "table")
    assert "REGRESSION: 3 regressions, 8 pass, 1 inconclusive" in gated
    result = json.loads(verdicts.render(REPORTS["inside"](), "json"))["comparisons"]
    words = {(item["verdict"], item["word"]) for item in result if item["metric"] == "time_per_op_ns"}
    assert words == {("regression", "slower"), ("pass", "faster"), ("pass", "no slower"), ("inconclusive",) * 2}


def test_what_was_not_judged_is_named_in_every_form() -> None:
    report = replace(REPORTS["baseline"](), judgements=(), unjudged=("web · tlsf: gone",))
    assert "not judged: web · tlsf: gone\n\nINCOMPARABLE: " in verdicts.render(report, "table")
    assert "::error title=memtool%3A not judged::web · tlsf: gone\n" in verdicts.render(report, "github")
    content = json.loads(verdicts.render(report, "json"))
    assert (content["verdict"], content["unjudged"]) == ("incomparable", ["web · tlsf: gone"])
