/* ANALYZER(id, name, path pattern, parser): what is looked at in an image. Patterns are str_glob()s on paths relative
 * to the root, without a leading slash; "**" crosses folders. Probes (probes.tbl.h) see files by content instead.
 * Parsers get the whole file (LIMIT_SCAN_FILE at most) inside the jail and fill a struct layer_file, which is copied
 * before the next file (results may borrow from the content); see layer.h. A change of what a parser gives raises
 * LAYER_VERSION, so that cached records are not used any more. */
ANALYZER(dpkg, "dpkg", "var/lib/dpkg/status", analyze_dpkg)
ANALYZER(dpkg_d, "dpkg", "var/lib/dpkg/status.d/*", analyze_dpkg)
ANALYZER(apk, "apk", "lib/apk/db/installed", analyze_apk)
ANALYZER(apk_usr, "apk", "usr/lib/apk/db/installed", analyze_apk)
ANALYZER(os_release_etc, "os-release", "etc/os-release", analyze_os_release)
ANALYZER(os_release_usr, "os-release", "usr/lib/os-release", analyze_os_release)
