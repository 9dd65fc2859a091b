"""The native instruments: clock, counters, resident memory, proof."""
