"""Objects that refer to each other: garbage collectors reclaim them, or they are freed when they become unreachable."""
