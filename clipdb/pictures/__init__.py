"""Charts, contact sheets and overlays, for the command line, notebooks and pages alike."""
