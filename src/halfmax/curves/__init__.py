"""Room: curves."""
