"""The `mtlsweep` command: one file per group of subcommands."""
