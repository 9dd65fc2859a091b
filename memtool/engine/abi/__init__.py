"""The C ABI, and heaps driven through it."""
