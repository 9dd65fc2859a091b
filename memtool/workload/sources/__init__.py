"""Sources of events, which share one protocol: generated, recorded, a stretch of another, or paced."""
