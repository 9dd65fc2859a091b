"""The GitHub action: its steps, taken from action.yml itself, run here as a runner would run them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.started import shell_memtool

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
WORKLOAD = """\
name: small
allocations: 2k
objects:
  - {weight: 80, size: {lognormal: {median: 64, sigma: 0.8, max: 4KiB}}, lifetime: {exponential: {mean: 100}}}
  - {weight: 20, size: {uniform: [100, 2000]}, lifetime: {exponential: {mean: 2000}}}
touch: first
"""


# Makes a virtual environment of nothing but a pip that writes down what it was asked for, and finds wheels of 1.0 only.
FAKE_PYTHON = """\
#!/bin/sh
mkdir -p "$3/bin"
cat > "$3/bin/pip" <<'END'
#!/bin/sh
echo "$@" >> "$0.asked"
case "$*" in *--only-binary*) case "$*" in *==1.0) ;; *) exit 1 ;; esac ;; esac
END
chmod +x "$3/bin/pip"
"""


class Runner:
    """As much of a runner as a composite action needs: expressions, step environments, the files it writes to."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.files = {name: folder / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        self._environment = {**environment, "RUNNER_TEMP": str(folder / "temp")}
        self._environment.update({name: str(path) for name, path in self.files.items()})
        (folder / "temp").mkdir()
        for path in self.files.values():
            path.touch()

    def run(self, step: dict[str, Any], inputs: dict[str, str], ref: str = "main") -> subprocess.CompletedProcess[str]:
        given = {name: item.get("default", "") for name, item in ACTION["inputs"].items()} | inputs
        known = {"github.action_path": str(ROOT), "github.action_ref": ref}
        known |= {f"inputs.{name}": value for name, value in given.items()}
        environment = {
            name: re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda result: known[result[1]], value)
            for name, value in step["env"].items()
        }
        assert "${{" not in step["run"], "an expression inside a script is an injection waiting to happen"
        script = self.folder / "step.sh"
        script.write_text(step["run"])
        # What "shell: bash" means to a runner.
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.folder,
            env={**self._environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def outputs(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.files["GITHUB_OUTPUT"].read_text().splitlines())


@pytest.fixture
def runner(tmp_path: Path, memtool_environment: dict[str, str]) -> Runner:
    (tmp_path / "small.yaml").write_text(WORKLOAD)
    return Runner(tmp_path, memtool_environment)


def installed(runner: Runner) -> Runner:
    """Put the memtool under test where the first step would install it."""
    bin_folder = runner.folder / "temp/memtool-venv/bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (bin_folder / "python").chmod(0o755)
    shutil.copy(shell_memtool(), bin_folder)
    return runner


def step(name: str) -> dict[str, Any]:
    return next(item for item in ACTION["runs"]["steps"] if item["name"] == name)


def test_it_is_a_composite_action_whose_outputs_its_steps_write() -> None:
    assert ACTION["runs"]["using"] == "composite"
    assert all(item["shell"] == "bash" for item in ACTION["runs"]["steps"])
    for name, output in ACTION["outputs"].items():
        assert output["value"] == f"${{{{ steps.check.outputs.{name} }}}}"
        assert f"{name}=" in step("Check")["run"]


@pytest.mark.parametrize(
    ("ref", "installed", "said"),
    [
        ("main", [str(ROOT)], "compiled main"),
        ("", [str(ROOT)], "compiled what is there"),
        ("v1.0", ["--only-binary memtool-bench memtool-bench==1.0"], "installed the wheel of 1.0"),
        ("v2.0", ["--only-binary memtool-bench memtool-bench==2.0", str(ROOT)], "compiled v2.0"),
        ("v1.0; reboot", [str(ROOT)], "compiled v1.0; reboot"),
    ],
)
def test_the_first_step_installs_the_wheel_of_a_release_else_what_is_checked_out(
    runner: Runner, ref: str, installed: list[str], said: str
) -> None:
    """With a venv whose pip only says what it was asked for: packages and compilers have tests of their own."""
    fake = runner.folder / "fake-python"
    fake.write_text(FAKE_PYTHON)
    fake.chmod(0o755)
    ended = runner.run(step("Install"), {"python": str(fake)}, ref)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{said}\n", "")
    asked = (runner.folder / "temp/memtool-venv/bin/pip.asked").read_text().splitlines()
    assert [line.partition(f" --constraint {ROOT}/constraints.txt ")[2] for line in asked] == installed
    assert all(line.startswith("install ") for line in asked)


def test_a_check_that_passes(runner: Runner) -> None:
    inputs = {
        "arguments": "check small.yaml --against tlsf --candidate 'tlsf' --metric peak_footprint_bytes --blocks 3",
        "output": "out here",
    }
    ended = installed(runner).run(step("Check"), inputs)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "PASS: 1 pass\n"
    assert runner.outputs() == {"verdict": "pass", "exit-code": "0"}
    assert runner.files["GITHUB_STEP_SUMMARY"].read_text().startswith("## small: against tlsf")
    left = {path.name for path in (runner.folder / "out here").iterdir()}
    assert {"compare.json", "compare.md", "compare.xml", "run.json"} <= left


def test_a_regression_is_annotated_and_fails_the_step(runner: Runner) -> None:
    inputs = {"arguments": "check small.yaml --against tlsf --candidate buddy --metric peak_footprint_bytes --blocks 3"}
    ended = installed(runner).run(step("Check"), inputs)
    assert ended.returncode == 3
    assert ended.stdout.startswith("::error title=memtool%3A regression in small%2C peak_footprint_bytes::")
    assert runner.outputs() == {"verdict": "regression", "exit-code": "3"}
    assert "REGRESSION: 1 regression" in runner.files["GITHUB_STEP_SUMMARY"].read_text()


@pytest.mark.parametrize("arguments", ["check 'small.yaml --against tlsf", 'check small.yaml --against "tlsf'])
def test_a_quote_without_an_end_fails_the_step_and_drops_nothing(runner: Runner, arguments: str) -> None:
    ended = installed(runner).run(step("Check"), {"arguments": arguments})
    said = f"::error title=memtool::arguments: cannot be split into words, a quote has no end: {arguments}\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, said, "")
    assert runner.outputs() == {"verdict": "", "exit-code": "2"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("check 'a b.yaml' \"it's\" --metric ''", ["check", "a b.yaml", "it's", "--metric", ""]),
        ("check a.yaml\n  --blocks 3\n", ["check", "a.yaml", "--blocks", "3"]),
        ("$(touch hacked) `touch hacked` *", ["$(touch", "hacked)", "`touch", "hacked`", "*"]),
        ("", []),
    ],
)
def test_arguments_reach_memtool_word_by_word(runner: Runner, arguments: str, words: list[str]) -> None:
    memtool = installed(runner).folder / "temp/memtool-venv/bin/memtool"
    memtool.write_text('#!/bin/sh\nprintf "[%s]" "$@"\n')
    ended = runner.run(step("Check"), {"arguments": arguments})
    given = [*words, "-o", "memtool-results", "--format", "github"]
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "".join(f"[{word}]" for word in given)
    assert not (runner.folder / "hacked").exists()


@pytest.mark.parametrize(
    ("script", "code", "annotation"),
    [
        ("echo 'memtool: w.yaml:3: size: 5% is no size' >&2; exit 2", 2, "w.yaml:3: size: 5%25 is no size"),
        ("echo 'a warning' >&2; echo 'memtool: no memory' >&2; exit 1", 1, "no memory"),
        ("exit 1", 1, "memtool ended with exit code 1"),
    ],
)
def test_what_ends_without_a_verdict_is_an_annotation(runner: Runner, script: str, code: int, annotation: str) -> None:
    memtool = installed(runner).folder / "temp/memtool-venv/bin/memtool"
    memtool.write_text(f"#!/bin/sh\n{script}\n")
    ended = runner.run(step("Check"), {"arguments": "check small.yaml"})
    assert (ended.returncode, ended.stdout) == (code, f"::error title=memtool::{annotation}\n")
    assert runner.outputs() == {"verdict": "", "exit-code": str(code)}


def test_wrong_usage_fails_the_step_without_a_verdict(runner: Runner) -> None:
    ended = installed(runner).run(step("Check"), {"arguments": "check small.yaml"})
    assert ended.returncode == 2
    assert ended.stdout.startswith("::error title=memtool::takes --baseline FILE, or --against ALLOCATOR")
    assert ended.stderr.startswith("memtool: takes --baseline FILE, or --against ALLOCATOR")
    assert runner.outputs() == {"verdict": "", "exit-code": "2"}


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, timeout=600)


def test_the_recipe_for_pull_requests_builds_both_sides_from_a_shallow_checkout(tmp_path: Path) -> None:
    """The steps of docs/comparing.md, in a checkout as actions/checkout makes it: one commit, detached, no branches."""
    text = (ROOT / "docs/comparing.md").read_text(encoding="utf-8")
    (recipe,) = (
        element for element in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "actions/checkout" in element
    )
    steps = yaml.safe_load(recipe)["jobs"]["memory"]["steps"]
    assert [next(iter(item)) for item in steps] == ["uses", "run", "uses"]
    assert steps[2]["with"]["arguments"].endswith("--against ../main/libmine.so --candidate ./libmine.so")
    upstream, checkout = tmp_path / "upstream", tmp_path / "work/checkout"
    upstream.mkdir()
    checkout.mkdir(parents=True)
    git(upstream, "init")
    (upstream / "Makefile").write_text("libmine.so: source\n\tcp source libmine.so\n")
    for side in ("main", "feature"):
        (upstream / "source").write_text(side)
        git(upstream, "add", "-A")
        git(upstream, "commit", "-m", side)
        if side == "main":
            git(upstream, "checkout", "-b", "feature")
    git(checkout, "init")
    git(checkout, "remote", "add", "origin", f"file://{upstream}")
    git(checkout, "fetch", "--depth=1", "origin", "+refs/heads/feature:refs/remotes/pull/1/merge")
    git(checkout, "checkout", "--detach", "refs/remotes/pull/1/merge")
    subprocess.run(["bash", "-eo", "pipefail", "-c", steps[1]["run"]], cwd=checkout, check=True, timeout=600)
    assert (checkout / "libmine.so").read_text() == "feature"
    assert (tmp_path / "work/main/libmine.so").read_text() == "main"
