"""Compositions that turn tensors into tensors."""
