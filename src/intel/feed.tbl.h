/* The formats of feeds that are read. X(id, name of the feed or empty when the parser tells, parser, most bytes, what)
 */
#define FEEDS(X)                                                                                                       \
    X(DEBIAN, "debian", feed_debian, FEED_GIB(4), "Debian security tracker, JSON")                                     \
    X(DEBIAN_LIST, "debian", feed_debian_list, FEED_GIB(1), "Debian's DSA, DLA and DTSA lists")                        \
    X(ALPINE, "alpine", feed_alpine, FEED_DOCUMENT_MAX, "secdb of Alpine, Wolfi, Chainguard, JSON")                    \
    X(ALPINE_YAML, "alpine", feed_alpine_yaml, FEED_DOCUMENT_MAX, "Alpine secdb, YAML")                                \
    X(UBUNTU, "ubuntu", feed_ubuntu, FEED_DOCUMENT_MAX, "Ubuntu CVE tracker, text")                                    \
    X(UBUNTU_JSON, "ubuntu", feed_ubuntu_json, FEED_DOCUMENT_MAX, "Ubuntu CVE tracker, JSON of vuln-list")             \
    X(OPENVEX, "", feed_openvex, FEED_DOCUMENT_MAX, "OpenVEX of a distribution (Ubuntu)")                              \
    X(OVAL, "", feed_oval, FEED_GIB(8), "OVAL 5 of Red Hat, Oracle, SUSE, Ubuntu, Azure Linux, XML")                   \
    X(OVAL_JSON, "", feed_oval_json, FEED_DOCUMENT_MAX, "OVAL definition of Red Hat as vuln-list has it, JSON")        \
    X(UPDATEINFO, "", feed_updateinfo, FEED_GIB(4), "updateinfo of rpm repositories, XML")                             \
    X(ALAS, "amazon", feed_alas, FEED_GIB(1), "Amazon Linux bulletins, RSS")                                           \
    X(CSAF, "", feed_csaf, FEED_DOCUMENT_MAX, "CSAF 2.0 advisories and VEX of Red Hat and SUSE, JSON")                 \
    X(REDHAT_API, "redhat", feed_redhat_api, FEED_DOCUMENT_MAX, "Red Hat security data API, one CVE, JSON")            \
    X(PHOTON, "photon", feed_photon, FEED_GIB(1), "Photon OS CVE metadata, JSON")                                      \
    X(OSV, "osv", feed_osv, FEED_DOCUMENT_MAX, "OSV 1.x record (GHSA, PyPA, Go, MAL-, ...), JSON")                     \
    X(OSV_YAML, "osv", feed_osv_yaml, FEED_DOCUMENT_MAX, "OSV 1.x record, YAML")                                       \
    X(RUSTSEC, "rustsec", feed_rustsec, FEED_DOCUMENT_MAX, "RustSec advisory, Markdown with TOML")                     \
    X(RUBYSEC, "rubysec", feed_rubysec, FEED_DOCUMENT_MAX, "ruby-advisory-db, YAML")                                   \
    X(PHP, "php", feed_php, FEED_DOCUMENT_MAX, "FriendsOfPHP security advisories, YAML")                               \
    X(NODE, "nodejs", feed_node, FEED_DOCUMENT_MAX, "Node.js security working group, JSON")                            \
    X(RETIRE, "retirejs", feed_retire, FEED_DOCUMENT_MAX, "retire.js repository, JSON")                                \
    X(NVD, "nvd", feed_nvd, FEED_GIB(8), "NVD API 2.0 page, JSON")                                                     \
    X(NVD_ONE, "nvd", feed_nvd_one, FEED_DOCUMENT_MAX, "NVD API 2.0, one CVE, JSON")                                   \
    X(NVD1, "nvd", feed_nvd1, FEED_GIB(8), "NVD feed 1.1, JSON")                                                       \
    X(KEV, "kev", feed_kev, FEED_GIB(1), "CISA known exploited vulnerabilities, JSON")                                 \
    X(EPSS, "epss", feed_epss, FEED_GIB(1), "FIRST EPSS scores, CSV")
