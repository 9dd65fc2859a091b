"""Counts the requests of a trace in one pass."""
