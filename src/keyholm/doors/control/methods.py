"""The table of the control protocol. What each method does is in the module it names."""

from collections.abc import Mapping
from typing import Final

from keyholm.doors.control import daemon, keys, modules, rules, schema, tokens
from keyholm.doors.control.exchange import Method, Needs

METHODS: Final[Mapping[str, Method]] = {
    "status": Method(
        daemon.status,
        schema.Nothing,
        schema.Status,
        Needs.SIGHT,
        "The daemon, its doors, its trail, and the tokens that the caller may see.",
    ),
    "keys.list": Method(
        keys.every, schema.Nothing, schema.KeyList, Needs.SIGHT, "Every key, oldest first."
    ),
    "keys.show": Method(keys.show, schema.KeyName, schema.Key, Needs.SIGHT, "One key."),
    "keys.new": Method(
        keys.new, schema.NewKey, schema.Key, Needs.MANAGEMENT, "Make a key in a token."
    ),
    "keys.import": Method(
        keys.take_over,
        schema.ImportKey,
        schema.Key,
        Needs.MANAGEMENT,
        "Take over a key from an unencrypted file in OpenSSH's, PEM or PKCS#8 format.",
        secrets=("the file",),
    ),
    "keys.export": Method(
        keys.export,
        schema.KeyName,
        schema.Done,
        Needs.PROOF,
        "The private half of a key that was made exportable.",
        secrets=("[proof]",),
        gives="a private key file in OpenSSH's format, unencrypted",
    ),
    "keys.remove": Method(
        keys.remove,
        schema.KeyName,
        schema.Done,
        Needs.PROOF,
        "Destroy a key.",
        secrets=("[proof]",),
    ),
    "keys.rename": Method(
        keys.rename, schema.Rename, schema.Key, Needs.MANAGEMENT, "Give a key another name."
    ),
    "keys.sign": Method(
        keys.sign, schema.Sign, schema.Signature, Needs.POLICY, "Sign a whole message."
    ),
    "certificates.add": Method(
        keys.add_certificate,
        schema.AddCertificate,
        schema.Done,
        Needs.MANAGEMENT,
        "Put a certificate, of SSH in one line or of X.509 as PEM, beside its key, or renew the "
        "one of that name.",
    ),
    "certificates.remove": Method(
        keys.remove_certificate,
        schema.CertificateName,
        schema.Done,
        Needs.MANAGEMENT,
        "Take a certificate away from its key.",
    ),
    "policy.get": Method(
        rules.get, schema.KeyName, schema.Policy, Needs.SIGHT, "The policy of a key."
    ),
    "policy.set": Method(
        rules.put,
        schema.SetPolicy,
        schema.Policy,
        Needs.PROOF_TO_LOOSEN,
        "Give a key another policy.",
        secrets=("[proof]",),
    ),
    "policy.explain": Method(
        rules.explain,
        schema.Explain,
        schema.Explanation,
        Needs.SIGHT,
        "Which rule decides when a process asks; nothing is used or recorded.",
    ),
    "tokens.unlock": Method(
        tokens.unlock,
        schema.TokenName,
        schema.Done,
        Needs.MANAGEMENT,
        "Open a token.",
        secrets=("the passphrase or recovery code",),
    ),
    "tokens.lock": Method(
        tokens.lock,
        schema.TokenName,
        schema.Done,
        Needs.MANAGEMENT,
        "Close a token, or all that are the caller's.",
    ),
    "tokens.new": Method(
        tokens.new,
        schema.NewToken,
        schema.Done,
        Needs.MANAGEMENT,
        "Make a token; without a passphrase whoever has its files has its keys.",
        secrets=("[its passphrase]",),
    ),
    "tokens.new-with-pins": Method(
        tokens.new_with_pins,
        schema.NewPinToken,
        schema.MadeToken,
        Needs.MANAGEMENT,
        "Make a token with PINs, as PKCS#11 has them; its name is made of its label.",
        secrets=("the security officer's PIN", "[the user's PIN]"),
    ),
    "tokens.remove": Method(
        tokens.remove,
        schema.TokenName,
        schema.Done,
        Needs.PROOF,
        "Destroy a token with all its keys.",
        secrets=("[proof]",),
    ),
    "tokens.passphrase": Method(
        tokens.change_passphrase,
        schema.TokenName,
        schema.Done,
        Needs.MANAGEMENT,
        "Change the passphrase of a token.",
        secrets=("the old one", "the new one"),
    ),
    "tokens.recovery": Method(
        tokens.add_recovery_code,
        schema.TokenName,
        schema.Done,
        Needs.MANAGEMENT,
        "Make a recovery code; an earlier one is good no more.",
        secrets=("the passphrase",),
        gives="the recovery code",
    ),
    "tokens.remove-slot": Method(
        tokens.remove_slot,
        schema.SlotName,
        schema.Done,
        Needs.MANAGEMENT,
        "Remove one of the ways to unlock a token.",
        secrets=("the passphrase",),
    ),
    "tokens.backup": Method(
        tokens.backup,
        schema.TokenName,
        schema.Done,
        Needs.PROOF,
        "A token with all its keys, encrypted.",
        secrets=("a passphrase for the file", "[proof]"),
        gives_blob="the backup",
    ),
    "tokens.restore": Method(
        tokens.restore,
        schema.Restored,
        schema.Done,
        Needs.MANAGEMENT,
        "Make a token from a backup.",
        secrets=("the passphrase of the backup",),
        blob="the backup",
    ),
    "modules.list": Method(
        modules.every,
        schema.Nothing,
        schema.ModuleList,
        Needs.SIGHT,
        "Vendors' PKCS#11 modules, and how each of them does. Nobody but the daemon's user and "
        "root is told more than the names of tokens that they may see.",
    ),
    "config.reload": Method(
        modules.reload,
        schema.Nothing,
        schema.Done,
        Needs.MANAGEMENT,
        "Read the configuration and the files of modules again, as SIGHUP does; what is wrong "
        "changes nothing.",
    ),
    "agent.restore": Method(
        daemon.restore_withdrawn,
        schema.Nothing,
        schema.Restore,
        Needs.MANAGEMENT,
        "Offer the keys again that `ssh-add -d` or `-D` withdrew from the agent.",
    ),
    "prompt.test": Method(
        daemon.test_prompt,
        schema.Nothing,
        schema.Prompted,
        Needs.SIGHT,
        "Ask somebody a question that decides nothing.",
    ),
}
