"""Is this key in hardware? Bytes in, verdict out: no I/O, no device, no clock of its own.

What a device says of a key is checked step by step, and each step that fails is a refusal with a
name of its own (`Refused.reason`), for logs and policies to tell apart.
"""
