"""Where a key may be used: session bindings and the hops that they must match.

The rules are OpenSSH's (ssh-agent.c `identity_permitted`, PROTOCOL.agent): a connection
collects the host keys that ssh proved it talks to, and a constrained key is used only if
every hop of that chain is permitted. Host keys are compared by their fingerprints.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Binding:
    """One proven `session-bind@openssh.com` of a connection."""

    host_key: bytes  # blob, of a plain key or of a host certificate
    session_id: bytes
    is_forwarding: bool
