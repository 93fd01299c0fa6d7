"""`python -m mtlsweep` is the command `mtlsweep`."""

from mtlsweep.cli.main import main

main()
