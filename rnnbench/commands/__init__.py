"""The command line, `rnnbench ...`: `cli` reads the first word, and each command has a module of its own.

No command imports another. Any of them may import every other folder, and does so late where that takes time.
"""
