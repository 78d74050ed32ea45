"""Speed, memory and arithmetic of parts, measured side by side."""
