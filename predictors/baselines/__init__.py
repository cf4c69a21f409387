"""Published latency predictors as learners: one module each, found by being here."""
