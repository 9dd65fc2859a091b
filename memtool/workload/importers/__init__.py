"""Files of other tools, read as traces."""
