"""Foreign code in a process of its own: how it is started, closed in, talked to and ended.

    spec      what one worker runs and is shown; what it says of itself at its start
    start     starting the process, and watching over it: in the steward
    host      the worker's own side: closes itself in, loads, serves
    proxy     the user's side: starts it when wanted, calls it, tells of its death
    frames    what passes between the last two

A worker has a *master* socket. Its first packet is the `Spec`. The worker answers with its
`Isolation`, before anything foreign runs in it, and with `Loaded` when the library is there or
could not be. After that each byte on the master brings the descriptor of one more channel. The
worker ends when the master is closed.
"""
