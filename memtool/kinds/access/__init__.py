"""Accesses to memory: over the blocks that an allocator gave, and over memory of one's own."""
