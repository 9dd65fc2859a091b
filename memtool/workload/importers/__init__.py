"""Files of other tools, read as what memtool knows."""
