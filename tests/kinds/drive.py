"""memtool with one kind more in its list: runs each command line, a list in JSON, and prints what becomes of it."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout

from memtool import kinds

kinds.KINDS["count"] = "tests.kinds.count"


def main() -> None:
    """Print exit code and what was written for each line of standard input."""
    from memtool.cli import run

    for line in sys.stdin:
        out, errors = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(errors):
            code = run(json.loads(line))
        print(json.dumps([code, out.getvalue(), errors.getvalue()]), flush=True)


main()
