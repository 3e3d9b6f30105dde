"""Ways of asking a human. They run in the steward, which holds no keys.

    prompter      what one is, and how long it waits
    order         the first that can ask, asks
    session       whose screen: the display and the terminal as they are now
    program       a program that is ended when its time is up
    askpass       SSH_ASKPASS, as ssh-agent uses it
    pinentry      GnuPG's dialogs, by the Assuan protocol
    terminal      the caller's terminal, or the daemon's

Which programs are started comes from the configuration or from the environment in which the
daemon was started, never from a caller; of a caller only its terminal is used, once it has
been seen to be its own. A program's environment is built from nothing.
"""
