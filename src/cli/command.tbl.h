/* COMMAND(name, function, summary): the subcommands of `bulkhead`, in the order --help shows them. */
COMMAND(version, cmd_version, "compare two versions the way their ecosystem does")
