"""memtool with one kind more in its list: runs command lines, given as JSON, and prints what becomes of each."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout

from memtool import kinds

kinds.KINDS["count"] = "tests.kinds.count"


def main() -> None:
    """Run each command line of standard input, and print exit codes and what was written."""
    from memtool.cli import run

    outcomes = []
    for arguments in json.load(sys.stdin):
        out, errors = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(errors):
            code = run(arguments)
        outcomes.append([code, out.getvalue(), errors.getvalue()])
    print(json.dumps(outcomes))


main()
