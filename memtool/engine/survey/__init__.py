"""What a trace asks for, counted in one pass."""
