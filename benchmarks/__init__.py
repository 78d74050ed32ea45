"""Benchmarks: one file a topic, each run interleaved with its rivals (`python -m benchmarks`)."""
