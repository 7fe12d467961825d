"""`python -m clipdb.cli`."""

from clipdb.cli import main

main(prog_name="clipdb")
