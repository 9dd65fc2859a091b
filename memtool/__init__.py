"""memtool: a command-line benchmarking and profiling tool for memory management."""

__version__ = "0.1.0"
