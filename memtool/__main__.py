"""``python -m memtool``."""

from memtool.cli import main

main()
