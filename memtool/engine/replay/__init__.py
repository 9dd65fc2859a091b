"""The replay loop, its runners and the registry of strategies, native."""
