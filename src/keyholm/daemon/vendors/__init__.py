"""What is known of vendors' PKCS#11 modules before one is loaded.

elf         a library's header: for which machine it is, which libraries it wants
linker      where the dynamic linker would find those
known       the modules that are well known
needs       what one module must see to work
provider    the same of one that `ssh-add -s` names
"""
