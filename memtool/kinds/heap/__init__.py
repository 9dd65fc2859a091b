"""Heap events: what programs ask of an allocator, replayed."""
