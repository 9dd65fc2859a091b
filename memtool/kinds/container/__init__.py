"""Standard containers: scripts of operations on them, over the heap of each allocator."""
