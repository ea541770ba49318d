"""Construction: what is deleted, and where zeros go from there."""
