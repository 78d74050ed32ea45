"""Pictures as regions: features of boxes, read from files or made of scenes, and their batches."""
