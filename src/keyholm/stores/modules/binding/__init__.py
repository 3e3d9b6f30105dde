"""A vendor's PKCS#11 module, called by ctypes: the values of a request in, those of the answer out.

The mirror of `native/`, from the same tables (`keyholm.wire.pkcs11`).

    library     a module in this process         binding     one channel's way into it
    plan        how a call becomes a C call      arguments   what a call takes
    folding     an init and its operation        results     what it gives, checked
    attributes  what a module tells of objects   templates   attributes that it is told
    parameters  of mechanisms, as C has them     structures  where members of structures are
    sessions    what is to be remembered         memory      what pointers point to

A module is not believed: what it answers is held against the room that it was given. It can still
write where it likes, since it is in the same process; which is why that process does nothing else.
"""
