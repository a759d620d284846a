"""The command line, `rnnbench ...`: `cli` reads the first word, and each command has its own module.

No command imports another. Commands may import every other folder, and do so late if the import is slow.
"""
