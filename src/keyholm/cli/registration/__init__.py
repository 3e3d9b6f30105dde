"""How programs are told of keyholm: what is written where, shown before, and undone exactly.

A `Target` is a program with the `Edit`s that tell it. The `ledger` remembers what was done.
"""
