"""What a job leaves on disk: its tables and their schemas, the code that writes and reads them, and a sweep's plan.

Imports no JAX and, of this package, only `config` and `errors`.
"""
