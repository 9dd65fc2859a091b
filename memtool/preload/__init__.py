"""Makes any allocator the malloc of a real program: the preloaded library in C++, and its settings."""
