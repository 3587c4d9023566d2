"""The judge under thousands of releases: figures, rivals, and the lines that must hold. See `__main__`."""
