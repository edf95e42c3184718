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
 * probe_programs.c. A change of what a parser gives raises LAYER_VERSION, so that cached records are not used any more.
 */
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
ANALYZER(npm_installed, FOUND, "**/node_modules/*", "package.json", analyze_npm_installed)
ANALYZER(npm_installed_scope, FOUND, "**/node_modules/@*/*", "package.json", analyze_npm_installed)
ANALYZER(npm_lock, LOCKED, "**", "package-lock.json", analyze_npm_lock)
ANALYZER(npm_shrinkwrap, LOCKED, "**", "npm-shrinkwrap.json", analyze_npm_lock)
ANALYZER(npm_yarn, LOCKED, "**", "yarn.lock", analyze_npm_yarn)
ANALYZER(npm_pnpm, LOCKED, "**", "pnpm-lock.yaml", analyze_npm_pnpm)
ANALYZER(pypi_wheel, FOUND, "**/*.dist-info", "METADATA", analyze_pypi_metadata)
ANALYZER(pypi_egg_info, FOUND, "**/*.egg-info", "PKG-INFO", analyze_pypi_metadata)
ANALYZER(pypi_egg, FOUND, "**/EGG-INFO", "PKG-INFO", analyze_pypi_metadata)
ANALYZER(pypi_egg_file, FOUND, "**", "*.egg-info", analyze_pypi_metadata)
ANALYZER(pypi_requirements, LOCKED, "**", "requirements.txt", analyze_pypi_requirements)
ANALYZER(pypi_poetry, LOCKED, "**", "poetry.lock", analyze_pypi_lock)
ANALYZER(pypi_uv, LOCKED, "**", "uv.lock", analyze_pypi_lock)
ANALYZER(pypi_pdm, LOCKED, "**", "pdm.lock", analyze_pypi_lock)
ANALYZER(pypi_pipfile, LOCKED, "**", "Pipfile.lock", analyze_pypi_pipfile)
ANALYZER(gem_spec, FOUND, "**/specifications", "*.gemspec", analyze_rubygems_spec)
ANALYZER(gem_spec_default, FOUND, "**/specifications/default", "*.gemspec", analyze_rubygems_spec)
ANALYZER(gem_lock, LOCKED, "**", "Gemfile.lock", analyze_rubygems_lock)
ANALYZER(gem_locked, LOCKED, "**", "gems.locked", analyze_rubygems_lock)
ANALYZER(java_jar, FOUND, "**", "*.jar", analyze_java_archive)
ANALYZER(java_war, FOUND, "**", "*.war", analyze_java_archive)
ANALYZER(java_ear, FOUND, "**", "*.ear", analyze_java_archive)
ANALYZER(go_mod, LOCKED, "**", "go.mod", analyze_golang_mod)
ANALYZER(cargo_lock, LOCKED, "**", "Cargo.lock", analyze_cargo_lock)
ANALYZER(composer_lock, LOCKED, "**", "composer.lock", analyze_composer_packages)
ANALYZER(composer_installed, FOUND, "**/composer", "installed.json", analyze_composer_packages)
ANALYZER(nuget_deps, FOUND, "**", "*.deps.json", analyze_nuget_deps)
ANALYZER(nuget_lock, LOCKED, "**", "packages.lock.json", analyze_nuget_lock)
