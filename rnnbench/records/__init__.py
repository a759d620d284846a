"""What a job leaves on disk: its tables and their schemas, who writes and who reads them, and a sweep's plan.

Imports no JAX, and of this package only `config` and `errors`.
"""
