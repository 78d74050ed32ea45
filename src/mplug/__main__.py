"""`python -m mplug` is the command `mplug`."""

from mplug.interfaces.cli import main

main()
