"""Runs memtool in a process of its own that is forked from a server, which has imported everything already.

A test that wants an exit code, what was written, an environment or a folder needs no fresh interpreter, and most of
the time of a short command goes into starting one: SciPy, Matplotlib and pydantic alone take half a second.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
import types
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, suppress
from functools import cache, partial
from io import TextIOWrapper
from multiprocessing import forkserver, get_context, resource_tracker
from pathlib import Path

import memtool as package
from memtool.engine.packing import binding

TUNING = ("MEMTOOL_", "MALLOC_", "MIMALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
"""Beginnings of variables that a developer may have set, and that would change what tests find."""
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
LITTLE_WORK = 1_000_000
"""Steps of a search for a packing, about a millisecond: its quality has tests of its own."""


def run_memtool(
    *arguments: object,
    environment: Mapping[str, str] | None = None,
    folder: Path | str | None = None,
    timeout: float = 600,
) -> subprocess.CompletedProcess[str]:
    """Return what ``python -m memtool ARGUMENT ...`` says and how it ends, as ``subprocess.run`` does.

    Where the environment has a variable that only a start can obey, an interpreter is started. Raises
    subprocess.TimeoutExpired.
    """
    words = [sys.executable, "-m", "memtool", *map(str, arguments)]
    variables = dict(os.environ if environment is None else environment)
    if _of_the_start(variables) != _of_the_start(_environment_of_the_server()):
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=variables,
            cwd=folder,
            check=False,
            timeout=timeout,
        )
    with tempfile.TemporaryDirectory(prefix="memtool-started-") as own:
        # Files, because a pipe that nobody reads would fill.
        output, errors = Path(own, "output"), Path(own, "errors")
        output.touch()
        errors.touch()
        code = _run(words, variables, str(folder or Path.cwd()), (str(output), str(errors)), timeout)
        said, complained = output.read_text(), errors.read_text()
        if code is None:
            raise subprocess.TimeoutExpired(words, timeout, said, complained)
        return subprocess.CompletedProcess(words, code, said, complained)


def _run(
    words: list[str], variables: dict[str, str], folder: str, files: tuple[str, str], timeout: float
) -> int | None:
    """Return the exit code, below zero for a signal; None after the timeout."""
    _start_the_server()
    process = get_context("forkserver").Process(
        target=_play, args=(words, variables, folder, _path_of_an_interpreter(), files)
    )
    with _without_a_main_module():
        process.start()
    try:
        process.join(timeout)
        return process.exitcode
    finally:
        if process.exitcode is None:  # it is late, or the tests are interrupted
            process.kill()
            process.join()
        process.close()


def _of_the_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(_READ_AT_THE_START) and name not in _READ_ANEW
    }


def without_tuning(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for subprocesses of tests, without what a developer may have set."""
    return {name: value for name, value in environment.items() if not name.startswith(TUNING)}


@cache
def _environment_of_the_server() -> dict[str, str]:
    return without_tuning(os.environ)


@cache
def _start_the_server() -> None:
    """Start this process's server, which ends when this process does; the folder of a test is not its folder."""
    folder = Path(package.__file__).parent
    modules = (file.relative_to(folder.parent).with_suffix("") for file in sorted(folder.rglob("*.py")))
    names = (".".join(module.parts).removesuffix(".__init__") for module in modules)
    forkserver.set_forkserver_preload(
        [*_IMPORTED, *(name for name in names if not f"{name}.".startswith(_NOT_IMPORTED))]
    )
    # A thread of OpenBLAS would not be in what is forked.
    with chdir("/"), _variables(_environment_of_the_server() | {"OPENBLAS_NUM_THREADS": "1"}):
        forkserver.ensure_running()


@contextmanager
def _variables(wanted: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    _replace_environment(wanted)
    try:
        yield
    finally:
        _replace_environment(before)


def _replace_environment(wanted: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(wanted)


@contextmanager
def _without_a_main_module() -> Iterator[None]:
    """Hide the main module, pytest's, which every process would otherwise import before it does anything else."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@cache
def _path_of_an_interpreter() -> tuple[str, ...]:
    """Return where a fresh interpreter looks for modules behind the current folder and PYTHONPATH."""
    code = "import json, sys; print(json.dumps(sys.path[1:]))"
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=variables).stdout
    return tuple(json.loads(said))


def _play(
    words: list[str], variables: dict[str, str], folder: str, path: tuple[str, ...], files: tuple[str, str]
) -> None:
    """Be ``python -m memtool ARGUMENT ...`` and end, without what the server and multiprocessing have open."""
    output, errors = (os.open(file, os.O_WRONLY | os.O_APPEND) for file in files)
    for descriptor, place in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (errors, 2)):
        os.dup2(descriptor, place)
    for descriptor in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if descriptor > 2:
            with suppress(OSError):  # the folder's own, closed by now
                os.close(descriptor)
    forkserver._forkserver._forkserver_alive_fd = None  # type: ignore[attr-defined]
    resource_tracker._resource_tracker._fd = None  # type: ignore[attr-defined]
    first, out = sys.__stdin__, sys.stdout
    assert isinstance(first, TextIOWrapper)
    assert isinstance(out, TextIOWrapper)
    # Multiprocessing has closed the input; the output may have been a terminal when the server began.
    anew = open(0, encoding=first.encoding, errors=first.errors, closefd=False)  # noqa: SIM115
    vars(sys).update(stdin=anew, __stdin__=anew)
    out.reconfigure(line_buffering=False)
    os.chdir(folder)
    _replace_environment(variables)
    sys.path[:] = [str(Path.cwd()), *filter(None, variables.get("PYTHONPATH", "").split(":")), *path]
    sys.orig_argv[:] = words
    sys.argv[:] = [str(Path(package.__file__).with_name("__main__.py")), *words[3:]]
    tempfile.tempdir = None
    binding.pack_image = partial(binding.pack_image, work=LITTLE_WORK)
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
