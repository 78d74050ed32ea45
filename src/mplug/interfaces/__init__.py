"""What people touch: the Python interface and the command line. Imports everything, lazily."""
