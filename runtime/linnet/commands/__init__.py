"""The subcommands of `linnet`, one file each: `add` puts a parser, whose `run` does the work."""
