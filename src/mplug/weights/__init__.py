"""Model files: saving and loading them, here and on the Hugging Face hub."""
