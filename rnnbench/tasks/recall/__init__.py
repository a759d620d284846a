"""Recall: give back symbols that were read before, one task per file."""
