"""memtool: a command-line benchmarking and profiling tool for memory management."""

__version__ = "0.1.0"


def get_include() -> str:
    """Return the folder that memtool.h is in, for the compiler's ``-I``."""
    from importlib.resources import files

    return str(files("memtool").joinpath("include", "memtool.h")).removesuffix("/memtool.h")
