"""The process beside the keeper that may look at others and start programs, and holds no keys.

The keeper's sandbox can neither read another process's /proc entries nor start anything. So
before it closes, a second process is forked: the steward. It finds out who a caller is, asks
people through prompters, drives `ssh-sk-helper` and runs the witness command. It takes the
typed requests of `messages` over sockets that only the keeper has, and nothing else; every
program it may start comes from its own configuration, never from a request.

    messages    what can be asked and answered, as bytes
    channel     frames on a socket, with room for one secret
    identify    a pid -> who that is
    server      the steward's side
    client      the keeper's side
"""
