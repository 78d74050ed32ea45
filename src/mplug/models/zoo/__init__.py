"""Models of the field put together from parts: inputs, a body in which they meet, heads."""
