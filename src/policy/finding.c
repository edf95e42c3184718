#include "policy/finding.h"

const char *finding_kind_name(enum finding_kind kind)
{
    static const char *const names[FINDING_KINDS] = {"vuln", "malware", "secret", "package", "check", "dynamic"};
    return names[kind];
}

const char *finding_origin_name(enum finding_origin origin)
{
    static const char *const names[ORIGINS] = {"file", "env", "label", "history", "config"};
    return names[origin];
}
