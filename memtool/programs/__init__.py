"""Runs whole real programs under every compared malloc (``memtool bench --program``)."""
