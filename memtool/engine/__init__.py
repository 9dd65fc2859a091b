"""The native engine, a wing each: events, generate, replay, passes, packing, adopted, instruments, abi."""
