"""Try the memtool that is installed in this interpreter's environment, as a new user would, without a compiler.

    ENVIRONMENT/bin/python scripts/try_installed.py [WORKLOAD]

It measures the quickstart, or another workload, and runs the commands that need files of the package (libraries,
workloads, assets of the page), in an empty folder and with a PATH on which there is nothing but the environment. Ends
with 1 at the first that fails. Nothing but the standard library is imported: only the wheel itself brings more.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

COMMANDS = [
    "memtool --version",
    "memtool-bench list workloads",
    "memtool schema run",
    "memtool bench {workload} --blocks 1 --passes check,throughput,footprint -a glibc,tlsf -o run --report --no-plots",
    "memtool show run",
    "memtool run -a tlsf -- /bin/true",
    "memtool run -a thread-spans -- /bin/true",
    "memtool bench --program /bin/true -a glibc,tlsf --blocks 1 -o program --no-plots",
    "memtool bench chapter/placement-new -a tlsf --blocks 1 --passes check,footprint -o kinds --no-plots",
]


def main() -> None:
    """Run the commands."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LD_PRELOAD")}
    environment["PATH"] = str(Path(sys.executable).parent)
    for compiler in ("cc", "c++", "gcc", "g++", "clang"):
        if shutil.which(compiler, path=environment["PATH"]) is not None:
            sys.exit(f"{environment['PATH']} has {compiler}: nothing is shown by what runs here")
    workload = sys.argv[1] if len(sys.argv) > 1 else "quickstart"
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            name, *arguments = command.format(workload=workload).split()
            program = Path(sys.executable).with_name(name)
            done = subprocess.run(
                [program, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            print(f"{done.returncode}  {command}", flush=True)
            if done.returncode != 0 or "Traceback" in done.stderr:
                sys.exit(done.stdout[-4000:] + done.stderr[-4000:])
        check(Path(folder))


def check(folder: Path) -> None:
    """Check what the quickstart has left."""
    run = json.loads((folder / "run/run.json").read_text(encoding="utf-8"))
    status = {cell["allocator"]: cell["status"] for cell in run["cells"]}
    assert status == dict.fromkeys(("glibc", "tlsf"), "ok"), status
    assert (folder / "run/report.html").stat().st_size > 1_000_000


if __name__ == "__main__":
    main()
