"""The generator of events, native."""
