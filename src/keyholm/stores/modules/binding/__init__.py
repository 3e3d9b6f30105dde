"""A vendor's PKCS#11 module, called by ctypes: the values of a request in, those of the answer out.

The mirror of `native/`, from the same tables (`keyholm.wire.pkcs11`).

    library      loads a module and starts it       marshal      a call of the table as a C call
    sessions     what is to be remembered of one    folding      an init and its operation in one
    parameters   of mechanisms, as C has them       messages     the message calls of 3.0
    templates    attributes, as C has them          attributes   what a module tells of an object
    structures   where the members of structures are             memory  what pointers point to

A module is not believed: what it answers is held against the room that it was given. It can still
write where it likes, since it is in the same process; which is why that process does nothing else.
"""
