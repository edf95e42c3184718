/* COMMAND(name, function, summary): the subcommands of `bulkhead`, in the order --help shows them. */
