"""Engines that time a model on one processor, discovered by being here."""
