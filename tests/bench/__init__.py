"""Benchmarks: every module of this package with a `run() -> list[Row]` is one section of the table."""
