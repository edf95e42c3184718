/* IPC(name, sender, most bytes of payload, what it says): the messages between the root agent and its unprivileged
 * uplink process, on two channels. Sender R is the root side, U the uplink. Anything else, from the wrong side or at
 * the wrong time, ends the process. */
/* channel "down": each message of U but state and intel_data is answered by a result */
IPC(hello, R, LIMIT_IPC_MESSAGE, "str address or empty, str token file's text or empty, str host, str machine id or empty")
IPC(state, U, IPC_SMALL, "u32 enum uplink_phase, str story, i64 certificate's end, u32 token used up (0 or 1)")
IPC(policy_begin, U, IPC_SMALL, "str configuration's revision, u32 documents")
IPC(policy_doc, U, LIMIT_IPC_MESSAGE, "str kind, str name, i64 revision, str text; not answered")
IPC(policy_end, U, IPC_SMALL, "(nothing): verify and install")
IPC(intel_begin, U, IPC_SMALL, "str revision, u64 bytes, str PEM of the key; answered: EEXIST we have it, else 0 go on")
IPC(intel_data, U, IPC_CHUNK, "raw bytes; not answered")
IPC(intel_end, U, IPC_SMALL, "(nothing): verify and install")
IPC(settings, U, IPC_SMALL, "u32 seconds between heartbeats; not answered")
IPC(result, R, IPC_SMALL, "u32 errno (0 fine), str story")
/* channel "up": U pulls; R answers with exactly one of batch, document, inventory_wanted, nothing */
IPC(pull, U, IPC_SMALL, "u32 most bytes of lines in a batch")
IPC(batch, R, LIMIT_IPC_MESSAGE, "u64 after: seq the console has, u64 last seq, u32 lines, str lines")
IPC(document, R, LIMIT_IPC_MESSAGE, "u32 enum spool_kind, str name, u64 tag, str JSON")
IPC(nothing, R, IPC_SMALL, "str body of a heartbeat; a wake follows when there is something again")
IPC(inventory_wanted, R, IPC_SMALL, "str image id; answered by inventory")
IPC(inventory, U, LIMIT_IPC_MESSAGE, "str image id, str scan report that the console has, or empty")
IPC(wake, R, IPC_SMALL, "(nothing)")
IPC(batch_done, U, IPC_SMALL, "u64 highest seq the console has (may be lower than before: it was restored)")
IPC(event_refused, U, IPC_SMALL, "u64 seq, str why: the console will never take it")
IPC(document_done, U, IPC_SMALL, "u32 enum spool_kind, str name, u64 tag, str why it was refused for good, or empty")
IPC(status_wanted, U, IPC_SMALL, "(nothing)")
