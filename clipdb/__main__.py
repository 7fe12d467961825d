"""`python -m clipdb`."""

from clipdb._start import main

main()
