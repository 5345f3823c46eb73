"""Fixtures that all tests may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of the real files, which are no part of the repository."""
    if "HALFMAX_DATA" not in os.environ:
        pytest.skip("HALFMAX_DATA is not set: real files of data/ are not tested")
    return Path(os.environ["HALFMAX_DATA"])
