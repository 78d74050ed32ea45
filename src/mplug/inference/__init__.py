"""Algorithms that drive a model through small protocols: writing text, ranking answers."""
