"""Results that others published, reproduced: `python -m verification` runs them all."""
