"""Engines that time a model on one processor."""
