"""Use cases, one a module: they decide; only the store queries."""
