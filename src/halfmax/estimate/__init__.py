"""Room: estimate."""
