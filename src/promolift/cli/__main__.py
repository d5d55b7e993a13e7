"""`python -m promolift.cli`."""

from promolift.cli import main

main()
