"""Wiring: a file per task joins model, objectives, data and metrics."""
