"""Any allocator as the malloc of a real program: the preloaded library in C++, and how it is told which."""
