"""Assays: the bookkeeping and physics of each technique, from an AssayTable to Responses."""
