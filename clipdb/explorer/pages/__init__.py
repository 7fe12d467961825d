"""Pages of the explorer: a module each, which has ``ROUTES``."""
