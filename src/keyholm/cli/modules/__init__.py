"""What `keyholm module` and `keyholm doctor` know of vendors' PKCS#11 modules.

elf         a library's header: for which machine it is, which libraries it wants
linker      where the dynamic linker would find those
known       the modules that are well known, and what each needs
needs       what one module needs, as configured
p11_kit     p11-kit's configuration
trial       a module in a worker of its own, without the daemon
"""
