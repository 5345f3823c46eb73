"""Room: assays."""
