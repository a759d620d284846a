"""Formal languages: trained on short strings and scored on longer ones, one task per file."""
