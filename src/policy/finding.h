/* finding: what a scan found that a policy may judge, and the facts about the image it was found in.
 * Made by scan/ (from its analyzers and from intel/), read by policy/ and the reports.
 */
#ifndef BULKHEAD_POLICY_FINDING_H
#define BULKHEAD_POLICY_FINDING_H

#include "format/package.h"
#include "format/vuln.h"

enum finding_kind {
    FINDING_VULN,
    FINDING_MALWARE,
    FINDING_SECRET,
    FINDING_PACKAGE,
    FINDING_CHECK,
    FINDING_DYNAMIC,
    FINDING_KINDS
};

/* Where a secret or a check was found: in a file of a layer, in the environment, in a label or in the history of the
 * config. "file" "env" "label" "history" "config" outside. */
enum finding_origin { ORIGIN_FILE, ORIGIN_ENV, ORIGIN_LABEL, ORIGIN_HISTORY, ORIGIN_CONFIG, ORIGINS };
const char *finding_kind_name(enum finding_kind kind); /* "vuln" "malware" "secret" "package" "check" "dynamic" */
const char *finding_origin_name(enum finding_origin origin);

struct finding {
    enum finding_kind kind;
    struct str id; /* vuln: CVE or advisory id; malware: rule or hash name; secret, check: rule; package: purl */
    /* vuln, package */
    const struct package *package;
    enum vuln_severity severity;
    struct str severity_source; /* debian alpine nvd ghsa osv ...; empty unknown */
    enum vuln_status status;
    struct str fixed;      /* first version that has the fix; empty: none */
    int64_t published;     /* instant the advisory became public; 0 unknown */
    int64_t fix_published; /* instant of the fix; 0 unknown */
    double cvss, epss;     /* -1 unknown; epss 0..1 */
    bool kev;              /* known exploited (CISA) */
    bool headers_only;     /* the package is the kernel's headers (linux-libc-dev): nothing of it runs */
    struct str *aliases;
    size_t aliases_n;
    struct str title, advisory; /* one line; address of the advisory */
    struct str vex;             /* what a VEX document says and which; empty: none does */
    /* malware, secret, check (severity and title as well); path and layer also for vuln and package */
    struct str path, layer; /* path: of archives "outer.zip!inner"; empty outside of files. layer: diff id */
    struct str match;       /* evidence, one line; redacted for secrets */
    struct str engine;      /* malware: yara, hash, clamd */
    struct str sha256;      /* malware: hex, of the file */
    enum finding_origin origin;
    uint32_t line;            /* secret in a file: from 1; 0 unknown */
    struct str type, address; /* dynamic: exec, write, connect, dns, rule; peer of a connection or name asked for */
    bool hidden;              /* deleted or replaced by a later layer: not in a container, but still in the image */
};

struct image_config {
    struct str user;        /* as in the config; empty: root */
    struct str working_dir; /* empty: / */
    struct str arch, os;
    int64_t created; /* 0 unknown */
    bool healthcheck;
    struct str *env, *ports, *entrypoint, *cmd, *volumes;
    size_t env_n, ports_n, entrypoint_n, cmd_n, volumes_n;
    struct str *label_keys, *label_values;
    size_t labels_n;
};

struct image_facts {
    struct str image_id; /* sha256:HEX of the config JSON; for dir: and sbom: empty */
    struct str *names;   /* tags and digests it is known by, as the engine prints them; may be empty */
    size_t names_n;
    struct os_release os;
    struct image_config config;
    const struct finding *findings;
    size_t findings_n;
    struct str *looked_for; /* "packages" "secrets" "malware" "checks" "dynamic": what the scan covered */
    size_t looked_for_n;
    struct str *layers; /* diff ids, lowest first */
    size_t layers_n;
    size_t base_layers; /* how many of them are the base image's; 0 unknown */
    struct str *base;   /* names and digests of the base image */
    size_t base_n;
    int64_t size;        /* bytes unpacked; 0 unknown */
    int64_t scanned;     /* instant of the scan; 0 unknown */
    int64_t intel_built; /* 0: judged without intel */
    bool intel_signed;
    bool incomplete; /* something could not be read: a verdict of allow is not possible */
};

#endif
