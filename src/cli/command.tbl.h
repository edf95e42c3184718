/* COMMAND(name, function, summary): the subcommands of `bulkhead`, in the order --help shows them. */
COMMAND(version, cmd_version, "compare two versions the way their ecosystem does")
COMMAND(login, cmd_login, "log in to a console")
COMMAND(logout, cmd_logout, "end the login")
COMMAND(get, cmd_get, "show agents, images, containers, policies, events of the console")
COMMAND(events, cmd_events, "search and follow events")
COMMAND(token, cmd_token, "make tokens for agents and pipelines, list and revoke them")
COMMAND(put, cmd_put, "give the console intel, its key, or a scan report")
COMMAND(delete, cmd_delete, "take away policies, agents, tokens, users")
