"""Objects: made, used and ended, in the ways of the language and of an allocator's."""
