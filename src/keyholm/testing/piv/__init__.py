"""A PIV card in memory (NIST SP 800-73-4, and what a YubiKey adds), for tests of real clients.

`card` answers commands and does no I/O; `vpcd` puts it into a virtual reader of pcscd. Its
keys and PINs are those of a test: nothing here protects them.
"""
