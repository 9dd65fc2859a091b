"""Objects that refer to each other: reclaimed by garbage collectors, or freed where they become unreachable."""
