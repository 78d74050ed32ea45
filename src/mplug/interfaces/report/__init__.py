"""The report of a run: one HTML page to show around, and a summary for machines."""
