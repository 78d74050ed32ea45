"""The training engine: drives any task with any batches; knows no model and no data."""
