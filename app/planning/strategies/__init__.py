"""Strategies, one small module each, discovered by being here."""
