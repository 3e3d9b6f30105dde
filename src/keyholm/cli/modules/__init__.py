"""What `keyholm module` does, beside what `daemon.vendors` knows of vendors' modules.

p11_kit     p11-kit's configuration
trial       a module in a worker of its own, without the daemon
"""
