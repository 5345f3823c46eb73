"""Files to tables: `read` takes an instrument's export and decides by content, not by name, what it is."""

from __future__ import annotations

from halfmax.readers.plate import read

__all__ = ["read"]
