"""Results on disk: run.json, the journal from which it is written, and the series next to it."""
