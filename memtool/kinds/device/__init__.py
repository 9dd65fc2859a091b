"""Device memory: what a GPU's driver takes for each allocation, and one buffer of it that a strategy divides."""
