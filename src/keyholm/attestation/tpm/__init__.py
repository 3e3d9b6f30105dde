"""Proof that a key was made in a TPM 2.0 and cannot leave it.

    a vendor's CA  ─certifies→  endorsement key  ─activates→  attestation key  ─certifies→  key

`certificates` and `roots` check the first arrow, `activation` the second, `statements` the third;
`objects` what each key must be; `verify` goes through all of them in order. Source: TCG EK
Credential Profile 2.5; TPM 2.0 Library, Part 1, chapters 23, 24 and 31.
"""
