/* limits: every cap on sizes that come from outside, in one place. Bytes unless said otherwise. */
#ifndef BULKHEAD_BASE_LIMITS_H
#define BULKHEAD_BASE_LIMITS_H

#define LIMIT_JSON_DEPTH 64
#define LIMIT_JSON_STRING (16u << 20)
#define LIMIT_EXPR_DEPTH 64
#define LIMIT_EXPR_TEXT (64u << 10)
#define LIMIT_YML_DEPTH 32
#define LIMIT_YML_NODES 200000u
#define LIMIT_YML_KEYS 4096u /* in one mapping */
#define LIMIT_POLICY_FILE (4u << 20)
#define LIMIT_POLICY_DOCS 4096u /* documents in a set */
#define LIMIT_EVENT (64u << 10)
#define LIMIT_EVENT_ARGS 4096u
#define LIMIT_HTTP_BODY (32u << 20)
#define LIMIT_HTTP_HEADER (64u << 10)
#define LIMIT_HTTP_ERROR (64u << 10)    /* body of an answer that is an error */
#define LIMIT_REQUEST_ARENA (128u << 20)
#define LIMIT_AUTHZ_BODY (8u << 20)
#define LIMIT_IPC_MESSAGE (33u << 20)     /* between the agent and its uplink process */
#define LIMIT_ENGINE_ANSWER (32u << 20)
#define LIMIT_VERDICT (8u << 20)
#define LIMIT_SUBJECT (1u << 20)

#endif
