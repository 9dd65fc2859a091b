"""Results on disk: run.json, the journal it is written from, and the series beside it."""
