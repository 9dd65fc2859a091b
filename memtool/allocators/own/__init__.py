"""Allocators that the user brings: found, tried in a process of their own, adopted by the engine."""
