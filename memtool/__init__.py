"""memtool: a command-line benchmarking and profiling tool for memory management.

In Python, begin with ``memtool.bench``, ``memtool.load`` and ``memtool.record`` (docs/api.md).
"""

TYPE_CHECKING = False  # importing typing would load it into every measured process
if TYPE_CHECKING:
    from memtool.notebook import Compared, Picture, StoredRun, bench, load, record

    __version__: str

__all__ = ["Compared", "Picture", "StoredRun", "__version__", "bench", "get_include", "load", "record"]


def __getattr__(name: str) -> object:
    """Import a session's functions on first use: every measured process imports this package, so it stays empty."""
    if name == "__version__":  # from the git tag (docs/releasing.md)
        from importlib.metadata import version

        return version("memtool-bench")
    if name not in ("Compared", "Picture", "StoredRun", "bench", "load", "record"):
        raise AttributeError(f"module 'memtool' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module("memtool.notebook"), name)


def get_include() -> str:
    """Return the folder that contains memtool.h, for the compiler's ``-I``."""
    from importlib.resources import files

    return str(files("memtool").joinpath("include", "memtool.h")).removesuffix("/memtool.h")
