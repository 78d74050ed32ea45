"""Scenes composed from vendored drawings: a small world with exact names, boxes and relations."""
