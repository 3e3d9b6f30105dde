"""What `keyholm module` does.

adding      a module that shall be added, looked at and planned
importing   the same of those that p11-kit knows
p11_kit     p11-kit's configuration
listing     the modules, as the daemon and the files have them
trial       a module in a worker of its own, without the daemon
testing     that, told step by step
"""
