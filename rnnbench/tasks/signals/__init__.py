"""Signals: a series of numbers that is to be predicted, one series per file."""
