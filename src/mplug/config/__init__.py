"""What a run is, as plain data. Imports no torch, so config errors are instant."""
