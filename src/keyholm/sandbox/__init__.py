"""Closing a process in: what it cannot do any more, whoever runs in it.

    process     what it gives up of itself: debuggers, core dumps, privileges, new code
    limits      how much of the machine it may use
    namespaces  a view of the system of its own: other processes, the network, shared memory
    view        the files of that view
    landlock    which files it can reach at all
    seccomp     which system calls it may make

Nothing here decides what anybody may do: the daemon says it for its keeper, a worker for the
library that it is to load. What a kernel does not have is told to them, and left out.
"""
