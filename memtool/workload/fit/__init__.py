"""A workload that stands for a trace: what is kept of the trace, the workload made of it, and how far it is from it."""
