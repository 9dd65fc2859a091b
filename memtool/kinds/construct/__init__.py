"""Objects that are constructed, used and destroyed, in the ways of the language and of an allocator."""
