"""Imports all of memtool, and forks a process for each client that asks for one: tests/started.py starts it.

    python tests/fork_server.py ADDRESS

It ends when its input does. A client sends its input, output and errors, and (words, variables, folder, work); it is
told the number of the process, and its exit code. ``work`` is how long a packing is looked for; 0: as long as ever.
"""

from __future__ import annotations

import atexit
import gc
import marshal
import os
import selectors
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import memtool as package
from memtool.workload.sources import generated
from memtool.workload.trace import find_workload

_READ_AT_THE_START = (
    *("PYTHON", "LC_", "LANG", "LD_", "TZ", "HOME", "XDG_", "MPL", "OPENBLAS_", "OMP_"),
    *("MALLOC_", "MIMALLOC_", "GLIBC_TUNABLES"),
)
"""Beginnings of variables that the interpreter, the C library or an imported library reads once, which is over."""
_READ_ANEW = frozenset(["PYTHONPATH"])
"""Variables that begin so, and whose part in the start of an interpreter is played again in each process."""
_IMPORTED = (
    *("matplotlib.backends.backend_agg", "matplotlib.figure", "scipy.stats", "pydantic", "rich.highlighter"),
    *("jinja2", "psutil", "tabulate", "yaml"),
)
"""Libraries that commands import where they use them, and that begin no thread."""
_NOT_IMPORTED = ("memtool.__main__", "memtool.cluster.", "memtool.pytest_plugin", "memtool.worker.start")
"""Beginnings of memtool's modules that do something when they are imported, or import a library that does."""


def main() -> None:
    """Import and prepare everything, and serve."""
    own = dict(os.environ)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a thread of its own would not be in what is forked
    folder = Path(package.__file__).parent
    modules = (file.relative_to(folder.parent).with_suffix("") for file in sorted(folder.rglob("*.py")))
    names = (".".join(module.parts).removesuffix(".__init__") for module in modules)
    for name in (*_IMPORTED, *(name for name in names if not f"{name}.".startswith(_NOT_IMPORTED))):
        import_module(name)
    # What is made for the first workload is kept for others: pydantic's schemas, and tables of the normal law.
    generated.load(find_workload("quickstart"), None, None, None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()  # no process looks through what all of them have
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        os.close(1)  # who started it waits for that
        os.open(os.devnull, os.O_WRONLY)
        _serve(listener, own)


def _serve(listener: socket.socket, own: Mapping[str, str]) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj == 0:
                    return
                if key.fileobj is listener:
                    client, _ = listener.accept()
                    process = os.fork()
                    if process == 0:
                        _play(client, own)
                    _tell(client, process)
                    selector.register(os.pidfd_open(process), selectors.EVENT_READ, (process, client))
                else:
                    process, client = key.data
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    _tell(client, os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
                    client.close()


def _tell(client: socket.socket, number: int) -> None:
    with suppress(BrokenPipeError):
        client.sendall(number.to_bytes(8, sys.byteorder, signed=True))


def _of_the_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(_READ_AT_THE_START) and name not in _READ_ANEW
    }


def _play(client: socket.socket, own: Mapping[str, str]) -> NoReturn:
    """Be ``python -m memtool WORD ...`` and end, without what the server has open.

    Where the environment has a variable that only a start can obey, an interpreter is started.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    files = socket.recv_fds(client, 1, 3)[1]
    words, variables, folder, work = marshal.load(client.makefile("rb"))
    for place, descriptor in enumerate(files):
        os.dup2(descriptor, place)
    for descriptor in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if descriptor > 2:
            with suppress(OSError):  # the folder's own, closed by now
                os.close(descriptor)
    for place, name in enumerate(("stdin", "stdout", "stderr")):  # one knows of its file whether it can be sought in
        before = getattr(sys, name)
        buffering = 1 if before.line_buffering else -1
        anew = open(place, before.mode, buffering, before.encoding, before.errors, closefd=False)  # noqa: SIM115
        vars(sys).update({name: anew, f"__{name}__": anew})
    os.chdir(folder)
    command = [sys.executable, "-m", "memtool", *words]
    if _of_the_start(variables) != _of_the_start(own):
        os.execve(sys.executable, command, variables)
    os.environ.clear()
    os.environ.update(variables)
    sys.path[:1] = [str(Path.cwd()), *filter(None, variables.get("PYTHONPATH", "").split(":"))]
    sys.orig_argv[:] = command
    sys.argv[:] = [str(Path(package.__file__).with_name("__main__.py")), *words]
    tempfile.tempdir = None
    if work:
        from memtool.engine.packing import binding

        binding.pack_image = partial(binding.pack_image, work=work)
    os._exit(_exit_code_of_main())


def _exit_code_of_main() -> int:
    """Return the exit code that the interpreter would have, after what it does at its end."""
    from memtool.cli import main

    code: object = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # it waits for threads
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return (code or 0) & 0xFF


if __name__ == "__main__":
    main()
