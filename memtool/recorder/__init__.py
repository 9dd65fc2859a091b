"""Records real programs: the preloaded recorder in C, and what takes its files while the program runs."""
