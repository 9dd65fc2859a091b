"""Heap events: a program's requests to an allocator, replayed."""
