"""Fits a workload to a trace: the sketch that is kept of the trace, the workload, and its distance from the trace."""
