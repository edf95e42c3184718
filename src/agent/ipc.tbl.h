/* IPC(name, sender, most bytes of payload, what it says): the messages between the root agent and its unprivileged
 * uplink process. Sender R is the root side, U the uplink. Anything else, or from the wrong side, ends the channel. */
#ifndef IPC_SMALL
#define IPC_SMALL (16u << 10)
#endif
/* the first message, to tell the uplink what to do */
IPC(hello, R, LIMIT_IPC_MESSAGE, "str address, str token (enrolment token file's text or empty), str host, str version")
IPC(state, U, IPC_SMALL, "u32 enum uplink_phase, str story, i64 certificate's end, u32 token used up (0 or 1)")
/* downward: each ends with a result from the root side */
IPC(policy_begin, U, IPC_SMALL, "str revision, u32 documents")
IPC(policy_doc, U, LIMIT_IPC_MESSAGE, "str name, i64 revision, str text")
IPC(policy_end, U, IPC_SMALL, "(nothing): verify and install")
IPC(intel_begin, U, IPC_SMALL, "str revision, u64 bytes")
IPC(intel_data, U, IPC_CHUNK, "raw bytes, not answered")
IPC(intel_end, U, IPC_SMALL, "(nothing): verify and install")
IPC(settings, U, LIMIT_IPC_MESSAGE, "str JSON object")
IPC(result, R, IPC_SMALL, "u32 errno (0 fine), str story, str policy revision now, str intel revision now")
/* upward: the uplink pulls, the root side answers with exactly one of batch, document, nothing */
IPC(pull, U, IPC_SMALL, "u32 most bytes of lines")
IPC(batch, R, LIMIT_IPC_MESSAGE, "u64 first seq, u64 last seq, u32 lines, str lines")
IPC(document, R, LIMIT_IPC_MESSAGE, "str kind, str name, str tag, str JSON")
IPC(nothing, R, IPC_SMALL, "(nothing): a wake follows when there is something again")
IPC(wake, R, IPC_SMALL, "(nothing)")
IPC(batch_done, U, IPC_SMALL, "u64 last seq that the console has")
IPC(document_done, U, IPC_SMALL, "str kind, str name, str tag, u32 errno (0 delivered, else refused for good)")
