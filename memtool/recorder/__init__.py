"""Records real programs: the preloaded recorder in C, and the code that reads its files while the program runs."""
