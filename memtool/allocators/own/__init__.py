"""Allocators that the user brings: they are found, tried in a separate process, and adopted by the engine."""
