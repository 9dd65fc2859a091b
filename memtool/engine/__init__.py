"""The native engine: event images, strategies, the replay loop, and its one ctypes binding."""
