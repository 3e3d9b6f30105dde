"""The tamper-evident trail: each use of a key and each act of management, in a chain.

    records   what can be recorded           trail     append, checkpoint, close
    frame     how a record stands in a file  chain     hash chain and disk, under one lock
    tree      the Merkle tree of RFC 6962    background  syncing and signing behind it
    note      C2SP notes and checkpoints     pool      open_trail: which one, its end, its key

A record is on disk (written, or with `durable` synced) before what it tells of happens;
what cannot be recorded does not happen. docs/protocols/trail.md has the formats.
"""
