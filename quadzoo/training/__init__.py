"""One run, from its task to its record."""
