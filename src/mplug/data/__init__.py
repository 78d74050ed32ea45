"""Files to batches: records, pictures, words; knows no model."""
