/* OPTION(name, kind, member, argument, help): the options of the agent and the keys of its configuration file, in the
 * order
 * --help shows them. Kinds: PATH one text, LIST several, FLAG, TIME, NUMBER, TIER. */
OPTION(config, PATH, config, "FILE",
       "read options from FILE (YAML, same names); default " CONFIG_FILE " if it is there")
OPTION(policy, LIST, policy, "PATH", "policy file or folder; may be given several times. Else STATE/policy rules")
OPTION(rules, LIST, rules, "PATH",
       "detection rules, file or folder, in the language of Falco; several. They come after the shipped ones, and may "
       "change these")
OPTION(no - shipped - rules, FLAG, no_shipped_rules, NULL, "leave the shipped detection rules out")
OPTION(intel, PATH, intel, "FILE", "intel database, signed; installed into STATE when it is newer")
OPTION(intel - key, PATH, intel_key, "FILE", "public key of the intel database (PEM); default: intel.pub beside it")
OPTION(state, PATH, state, "DIR", "what the agent remembers; default /var/lib/bulkhead")
OPTION(events, PATH, events, "FILE|-", "write events as JSON lines to FILE, or to standard output")
OPTION(telemetry, FLAG, telemetry, NULL, "write also what no policy asked to be told about (action off)")
OPTION(engine, LIST, engine, "URL",
       "container engine, unix:///PATH; several; default unix:///var/run/docker.sock if it is there")
OPTION(authz - socket, PATH, authz_socket, "PATH",
       "socket of the Docker authorization plugin; default /run/docker/plugins/bulkhead.sock with an engine; none: off")
OPTION(console, PATH, console, "URL", "console to report to (agents' port)")
OPTION(token - file, PATH, token_file, "FILE", "enrolment token from the console; deleted once used")
OPTION(bpf - dir, PATH, bpf_dir, "DIR", "where kernel programs are pinned; default " SENSOR_BPF_DIR)
OPTION(tier, TIER, tier, "auto|lsm|trace", "kernel tier; default auto: the strongest this host proves to carry")
OPTION(opens, FLAG, opens, NULL, "tell files opened for writing also where that costs every open (trace tier)")
OPTION(host, PATH, host, "NAME", "name of this host in events; default: its host name")
OPTION(learn - starts, NUMBER, learn_starts, "N", "starts without anything new until a profile is stable; default 3")
OPTION(learn - time, TIME, learn_time, "TIME", "and time without anything new; default 10m")
OPTION(scanner, PATH, scanner, "FILE",
       "the bulkhead program that scans images; default: beside the agent, else from PATH")
OPTION(no - scan, FLAG, no_scan, NULL, "never scan images here; unscanned images stay unscanned")
OPTION(scan - time, TIME, scan_time, "TIME", "longest a scan may take; default 15m")
OPTION(json, FLAG, json, NULL, "doctor: JSON instead of a table; else: log in JSON")
