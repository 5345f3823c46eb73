"""`python -m halfmax` is the `halfmax` command."""

from halfmax.cli import main

main()
