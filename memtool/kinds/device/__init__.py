"""Device memory: an allocation by a GPU's driver for each block, or one such buffer that a strategy divides."""
