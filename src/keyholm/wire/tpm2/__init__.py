"""TPM 2.0: structures, commands, sessions and key files, as bytes and values.

TCG "Trusted Platform Module Library" (TPM 2.0), revision 1.59: Part 1 Architecture, Part 2
Structures, Part 3 Commands. No device is opened here.
"""
