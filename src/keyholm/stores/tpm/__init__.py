"""The TPM store: keys that never exist outside the TPM of this machine, in files that it alone reads.

    token → keys → session → device

`device` sends whole commands to a TPM and reads whole answers; `session` proves and encrypts
what crosses; `keys` is what a TPM does with keys, each use one locked step; `token` and `store`
are the files and what the gate sees. Formats are in `wire.tpm2`.
"""
