/* limits: every cap on sizes that come from outside, in one place. Bytes unless said otherwise. */
#ifndef BULKHEAD_BASE_LIMITS_H
#define BULKHEAD_BASE_LIMITS_H

#define LIMIT_JSON_DEPTH      64
#define LIMIT_JSON_STRING     (16u << 20)
#define LIMIT_EXPR_DEPTH      64
#define LIMIT_EXPR_TEXT       (64u << 10)
#define LIMIT_YML_DEPTH       32
#define LIMIT_YML_NODES       200000u
#define LIMIT_YML_KEYS        4096u /* in one mapping */
#define LIMIT_POLICY_FILE     (4u << 20)
#define LIMIT_POLICY_DOCS     4096u /* documents in a set */
#define LIMIT_POLICY_PATTERNS 16u   /* with * or ? in one list of a ContainerPolicy: BH_GLOBS of bpf/event.h */
#define LIMIT_POLICY_PATTERN  120u  /* length of one, BH_GLOB less what exec_from adds */
#define LIMIT_POLICY_PATH     247u  /* length of an exact path in a list, BH_LIST_PATH */
#define LIMIT_POLICY_NETWORK  256u  /* elements of one network list */
#define LIMIT_POLICY_NAME     120u  /* a DNS name in one: BH_NAME of bpf/network.h */
#define LIMIT_POLICY_RESPOND  64u   /* names in respond.rules */
#define LIMIT_POLICY_USERS    16u
#define LIMIT_EVENT           (64u << 10)
#define LIMIT_EVENT_ARGS      4096u
#define LIMIT_HTTP_BODY       (32u << 20)
#define LIMIT_HTTP_HEADER     (64u << 10)
#define LIMIT_HTTP_ERROR      (64u << 10) /* body of an answer that is an error */
#define LIMIT_REQUEST_ARENA   (128u << 20)
#define LIMIT_AUTHZ_BODY      (8u << 20)
#define LIMIT_IPC_MESSAGE     (33u << 20) /* between the agent and its uplink process */
#define LIMIT_ENGINE_ANSWER   (32u << 20)
#define LIMIT_VERDICT         (8u << 20)
#define LIMIT_SUBJECT         (1u << 20)

/* images */
#define LIMIT_TAR_PATH          4096u
#define LIMIT_TAR_EXTENSION     (1u << 20)  /* PAX header or GNU long name; as Go's reader */
#define LIMIT_ZSTD_WINDOW_LOG   27          /* 128 MiB, the decoder's own default */
#define LIMIT_SCAN_DOCUMENT     (8u << 20)  /* index, manifest or config JSON */
#define LIMIT_SCAN_DOCUMENTS    (64u << 20) /* all of an archive's, held until the manifest is known */
#define LIMIT_SCAN_SBOM         (256u << 20)
#define LIMIT_SCAN_FILE         (128u << 20) /* a package database or other file that an analyzer holds */
#define LIMIT_SCAN_BINARY       (32u << 20)  /* a program up to this size is held whole */
#define LIMIT_SCAN_NESTED       5u           /* archives in archives (jars in wars) */
#define LIMIT_SCAN_UNPACKED     (256u << 20) /* unpacked out of one archive, in all */
#define LIMIT_SCAN_FILES_COUNT  200000u      /* files of one layer that something was found in */
#define LIMIT_SCAN_PACKAGES     1000000u     /* of one image */
#define LIMIT_SCAN_LAYERS       512u
#define LIMIT_SCAN_BLOBS        65536u                /* entries of an archive that may be layers */
#define LIMIT_SCAN_ENTRIES      20000000u             /* of one layer */
#define LIMIT_SCAN_CONTENT      (UINT64_C(256) << 30) /* uncompressed bytes of one stream */
#define LIMIT_SCAN_RATIO        1100u                 /* uncompressed to compressed; deflate ends at 1032 */
#define LIMIT_SCAN_RATIO_FREE   (UINT64_C(1) << 30)   /* below this many bytes the ratio is not looked at */
#define LIMIT_SCAN_LAYER_ISSUES 10000u                /* of one layer */
#define LIMIT_SCAN_FINDINGS     2000000u
#define LIMIT_SCAN_ISSUES       100000u      /* malware, secrets and checks of one image */
#define LIMIT_SCAN_OUTPUT       (128u << 20) /* JSON of the jailed reader */
#define LIMIT_MALWARE_FILE      (64u << 20)  /* of YARA rules or hashes */
#define LIMIT_MALWARE_HASHES    4000000u
#define LIMIT_MALWARE_PIECE     (64u << 20)         /* of a file that is looked at in one piece */
#define LIMIT_INSIDE_DEPTH      4u                  /* archives in archives */
#define LIMIT_INSIDE_ENTRIES    20000u              /* of the archives in one file */
#define LIMIT_INSIDE_BYTES      (UINT64_C(1) << 30) /* unpacked from the archives in one file */
#define LIMIT_SCAN_PROBLEMS     100u
#define LIMIT_SCAN_ARENA        (UINT64_C(2) << 30)
#define LIMIT_REPORT            (512u << 20) /* scan report as JSON */

#define LIMIT_CONSOLE_INTEL        (UINT64_C(4) << 30) /* uploaded intel.db */
#define LIMIT_CONSOLE_BATCH        (16u << 20)         /* of events, unpacked */
#define LIMIT_CONSOLE_BATCH_EVENTS 10000u
#define LIMIT_CONSOLE_STATUS       (16u << 20)
#define LIMIT_CONSOLE_CONTAINERS   20000u /* of one agent */

#endif
