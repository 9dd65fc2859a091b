"""The workload language: the form of a file, its distributions, and the generator's program made from it."""
