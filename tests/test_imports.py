"""What loading the package and asking for help may bring in."""

import subprocess
import sys

import pytest

HEAVY = ("scipy", "pandas", "altair", "numpy.testing", "vl_convert", "pydantic", "pint", "jinja2")


@pytest.mark.parametrize(
    "code",
    [
        "import halfmax",
        "import sys; sys.argv = ['halfmax', '--help']\nfrom halfmax.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code",
    ],
)
def test_neither_import_nor_help_loads_heavy_libraries(code):
    probe = f"{code}\nimport sys\nprint('LOADED', *sorted(m for m in sys.modules if m in {HEAVY!r}))"
    found = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, encoding="utf-8", check=True)
    assert found.stdout.splitlines()[-1].strip() == "LOADED"


def test_every_public_name_is_there():
    import halfmax

    for name in halfmax.__all__:
        assert getattr(halfmax, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = halfmax.nonsense
    assert set(halfmax.__all__) <= set(dir(halfmax))
