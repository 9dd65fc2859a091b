"""What is measured with, native: clock, counters, resident memory, proof."""
