"""What is learned: pure functions from tensors to losses, each knowing its blind value."""
