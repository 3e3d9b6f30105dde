"""The command line: one module a subcommand, all of them through `keyholm.client`."""
