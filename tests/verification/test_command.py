"""`python -m verification`, the command."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from verification import __main__ as command
from verification.outcome import Line, Result, Verdict


def result(number: int, *verdicts: Verdict) -> Result:
    lines = [Line(f"figure {place}", "1.5", "1.6", verdict) for place, verdict in enumerate(verdicts)]
    return Result(number, "Title", "Author 1970", "Author: A | B, 1970", exact=lambda: lines)


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ((Verdict.REPRODUCED, Verdict.LATER, Verdict.NEEDS_TRACES, Verdict.NOT_RUN), 0),
        ((Verdict.REPRODUCED, Verdict.NOT_REPRODUCED), 1),
    ],
)
def test_the_exit_code_says_whether_all_that_ran_is_reproduced(
    monkeypatch: pytest.MonkeyPatch, verdicts: tuple[Verdict, ...], code: int
) -> None:
    monkeypatch.setattr(command, "RESULTS", (result(1, *verdicts),))
    assert CliRunner().invoke(command.main, []).exit_code == code


def test_one_row_by_its_number() -> None:
    outcome = CliRunner().invoke(command.main, ["3"])
    assert outcome.exit_code == 0
    assert "Peterson, Norman 1977" in outcome.output
    assert "Knuth" not in outcome.output


@pytest.mark.parametrize("arguments", [["99"], ["--write", "3"]])
def test_bad_usage_ends_with_exit_code_2(arguments: list[str]) -> None:
    outcome = CliRunner().invoke(command.main, arguments)
    assert outcome.exit_code == 2
    assert "Traceback" not in outcome.output


def test_it_writes_the_document(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "RESULTS", (result(1, Verdict.REPRODUCED, Verdict.NOT_REPRODUCED),))
    monkeypatch.setattr(command, "DOCUMENT", tmp_path / "verification.md")
    CliRunner().invoke(command.main, ["--write"])
    text = (tmp_path / "verification.md").read_text(encoding="utf-8")
    assert "| 1     | figure 1           | 1.5         | Author 1970 | 1.6    | NOT REPRODUCED |" in text
    assert "- Row 1, Title: Author: A | B, 1970" in text
