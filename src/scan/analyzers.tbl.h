/* ANALYZER(id, kind, folder, name, parser): what is looked at in an image. folder: a str_glob() on the path of the
 * folder relative to the root, without slashes around it ("**" any; a leading "**" + "/" also matches nothing); name:
 * exact, or the end of the name behind a '*'. The first line that fits wins. Kinds:
 *
 *   OS      what the system's package manager knows; a change in a layer replaces it as a whole
 *   OWNS    the files that its packages brought, so that what is in them is not counted twice
 *   FOUND   an installed package's own record; not counted when the system's packages own the file
 *   LOCKED  what a project says that it needs; not looked at inside of other packages
 *
 * Parsers get the whole file (LIMIT_SCAN_FILE at most) inside the jail. Programs are told by their content, not here:
 * probe_programs.c. A change of what a parser gives raises LAYER_VERSION, so that cached records are not used any more. */
ANALYZER(dpkg, OS, "var/lib/dpkg", "status", analyze_dpkg)
ANALYZER(dpkg_sums, OWNS, "var/lib/dpkg/status.d", "*.md5sums", analyze_dpkg_sums)
ANALYZER(dpkg_d, OS, "var/lib/dpkg/status.d", "*", analyze_dpkg)
ANALYZER(dpkg_list, OWNS, "var/lib/dpkg/info", "*.list", analyze_dpkg_list)
ANALYZER(apk, OS, "lib/apk/db", "installed", analyze_apk)
ANALYZER(apk_usr, OS, "usr/lib/apk/db", "installed", analyze_apk)
ANALYZER(rpm_bdb, OS, "var/lib/rpm", "Packages", analyze_rpm)
ANALYZER(rpm_ndb, OS, "var/lib/rpm", "Packages.db", analyze_rpm)
ANALYZER(rpm_sqlite, OS, "var/lib/rpm", "rpmdb.sqlite", analyze_rpm)
ANALYZER(rpm_bdb_sysimage, OS, "usr/lib/sysimage/rpm", "Packages", analyze_rpm)
ANALYZER(rpm_ndb_sysimage, OS, "usr/lib/sysimage/rpm", "Packages.db", analyze_rpm)
ANALYZER(rpm_sqlite_sysimage, OS, "usr/lib/sysimage/rpm", "rpmdb.sqlite", analyze_rpm)
ANALYZER(rpm_sqlite_ostree, OS, "usr/share/rpm", "rpmdb.sqlite", analyze_rpm)
ANALYZER(rpm_manifest, OS, "var/lib/rpmmanifest", "container-manifest-2", analyze_rpm_manifest)
ANALYZER(os_release_etc, OS, "etc", "os-release", analyze_os_release)
ANALYZER(os_release_usr, OS, "usr/lib", "os-release", analyze_os_release)
ANALYZER(redhat_release, OS, "etc", "redhat-release", analyze_redhat_release)
