"""Memory accesses, to blocks from an allocator and to memory of the kernel's own."""
