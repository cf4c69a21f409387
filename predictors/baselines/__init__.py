"""Published predictors as learners, each a small faithful implementation with its source."""
