/* Modes of files, and the small files that say who may log in. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "scan/check.h"
#include "scan/probe.h"

#define SMALL (1u << 20)

struct checks {
    struct layer *l;
    struct buf body;
    void (*read)(struct checks *c, struct str content);
};

static void tell(struct checks *c, enum check_id id, struct str match)
{
    struct finding f = check_finding(id, ORIGIN_FILE, match);
    probe_issue(c->l, &f);
}

static struct str base_name(struct str path)
{
    ptrdiff_t slash = str_rchr(path, '/');
    return str_sub(path, (size_t)(slash + 1), path.n);
}

/* Programs that Debian, Alpine, Fedora and SUSE ship setuid or setgid, below a bin, sbin or lib folder. */
static bool of_base_system(struct str path)
{
    static const char *const names[] = {"su",
                                        "mount",
                                        "umount",
                                        "passwd",
                                        "chsh",
                                        "chfn",
                                        "gpasswd",
                                        "newgrp",
                                        "sudo",
                                        "chage",
                                        "expiry",
                                        "unix_chkpwd",
                                        "ping",
                                        "ping6",
                                        "fusermount",
                                        "fusermount3",
                                        "pkexec",
                                        "crontab",
                                        "at",
                                        "ssh-agent",
                                        "ssh-keysign",
                                        "wall",
                                        "write",
                                        "bsd-write",
                                        "locate",
                                        "mlocate",
                                        "plocate",
                                        "dotlockfile",
                                        "pam_extrausers_chkpwd",
                                        "newuidmap",
                                        "newgidmap",
                                        "utempter",
                                        "bbsuid",
                                        "ntfs-3g",
                                        "dbus-daemon-launch-helper",
                                        "polkit-agent-helper-1",
                                        "pam_timestamp_check",
                                        "userhelper",
                                        "sudoedit",
                                        "doas",
                                        "cgexec",
                                        "lockdev",
                                        "chrome-sandbox",
                                        "snap-confine",
                                        "exim4",
                                        "postdrop",
                                        "postqueue",
                                        "mail-lock",
                                        "mail-unlock",
                                        "mail-touchlock",
                                        "procmail",
                                        "lockfile"};
    if (!str_starts(path, STR("usr/")) && !str_starts(path, STR("bin/")) && !str_starts(path, STR("sbin/")))
        return false;
    struct str base = base_name(path);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eqc(base, names[i]))
            return true;
    return false;
}

static void modes(struct checks *c, const struct tar_entry *ent, struct str path)
{
    char mode[8];
    snprintf(mode, sizeof(mode), "%04o", ent->mode & 07777);
    if (ent->type == TAR_FILE && (ent->mode & 06000) && (ent->mode & 0111)) {
        if ((ent->mode & 04000) && (ent->mode & 0002))
            tell(c, CHECK_setuid_script, str_c(mode));
        else
            tell(c, of_base_system(path) ? CHECK_setuid_base_file : CHECK_setuid_file, str_c(mode));
    } else if (ent->type == TAR_FILE && (ent->mode & 0002)) {
        tell(c, CHECK_world_writable_file, str_c(mode));
    } else if (ent->type == TAR_DIR && (ent->mode & 0002) && !(ent->mode & 01000)) {
        tell(c, CHECK_world_writable_folder, str_c(mode));
    } else if ((ent->type == TAR_CHAR || ent->type == TAR_BLOCK) && !str_starts(path, STR("dev/"))) {
        tell(c, CHECK_device_node, STR(""));
    }
    if (ent->type == TAR_FILE && ent->capabilities.n)
        tell(c, CHECK_file_capabilities, STR("security.capability"));
}

static void programs(struct checks *c, const struct tar_entry *ent, struct str path)
{
    static const struct {
        const char *name;
        enum check_id id;
    } known[] = {
        {"sshd", CHECK_ssh_server},        {"dropbear", CHECK_ssh_server},  {"apt-get", CHECK_package_manager},
        {"apk", CHECK_package_manager},    {"dnf", CHECK_package_manager},  {"microdnf", CHECK_package_manager},
        {"yum", CHECK_package_manager},    {"tdnf", CHECK_package_manager}, {"zypper", CHECK_package_manager},
        {"pacman", CHECK_package_manager}, {"gcc", CHECK_build_tools},      {"clang", CHECK_build_tools},
        {"cc1", CHECK_build_tools}};
    struct str base = base_name(path);
    bool program = (ent->type == TAR_FILE || ent->type == TAR_HARDLINK) && (ent->mode & 0111) && ent->size > 0;
    bool folder = str_ends(str_sub(path, 0, path.n - base.n), STR("bin/")) || str_eqc(base, "cc1");
    for (size_t i = 0; program && folder && i < ARRAY_LEN(known); i++)
        if (str_eqc(base, known[i].name))
            tell(c, known[i].id, STR(""));
    if (ent->type != TAR_FILE || ent->size == 0)
        return;
    if (str_ends(path, STR(".git/HEAD")))
        tell(c, CHECK_git_repository, STR(""));
    else if (str_ends(path, STR("/.bash_history")) || str_ends(path, STR("/.ash_history")) ||
             str_ends(path, STR("/.zsh_history")) || str_ends(path, STR("/.mysql_history")) ||
             str_ends(path, STR("/.psql_history")) || str_ends(path, STR("/.python_history")))
        tell(c, CHECK_shell_history, STR(""));
}

/* ---- files that are read ---- */

static void read_shadow(struct checks *c, struct str text)
{
    struct str line, name, hash, rest;
    while (str_cut(&text, '\n', &line)) {
        if (!str_split(line, ':', &name, &rest) || !name.n)
            continue;
        str_split(rest, ':', &hash, &rest);
        if (hash.n == 0)
            tell(c, CHECK_empty_password, name);
        else if (hash.p[0] == '$' || (hash.n == 13 && hash.p[0] != '!' && hash.p[0] != '*'))
            tell(c, CHECK_password_hash, name);
    }
}

static void read_passwd(struct checks *c, struct str text)
{
    struct str line, field[4];
    while (str_cut(&text, '\n', &line)) {
        size_t n = 0;
        while (n < 4 && str_cut(&line, ':', &field[n]))
            n++;
        if (n == 4 && str_eqc(field[2], "0") && !str_eqc(field[0], "root"))
            tell(c, CHECK_second_root, field[0]);
        if (n == 4 && field[1].n == 0 && field[0].n)
            tell(c, CHECK_empty_password, field[0]);
    }
}

static void read_sudoers(struct checks *c, struct str text)
{
    struct str line;
    while (str_cut(&text, '\n', &line)) {
        line = str_trim(line);
        if (line.n && line.p[0] != '#' && str_has(line, STR("NOPASSWD:")))
            tell(c, CHECK_sudo_nopasswd, str_sub(line, 0, 120));
    }
}

static void read_sshd(struct checks *c, struct str text)
{
    struct str line, key, value;
    while (str_cut(&text, '\n', &line)) {
        line = str_trim(line);
        if (!str_split(line, ' ', &key, &value))
            continue;
        value = str_trim(value);
        if (str_ieq(key, STR("PermitRootLogin")) && str_ieq(value, STR("yes")))
            tell(c, CHECK_sshd_root_login, line);
        if (str_ieq(key, STR("PermitEmptyPasswords")) && str_ieq(value, STR("yes")))
            tell(c, CHECK_sshd_empty_passwords, line);
    }
}

static void read_keys(struct checks *c, struct str text)
{
    struct str line;
    size_t n = 0;
    while (str_cut(&text, '\n', &line)) {
        line = str_trim(line);
        n += line.n > 40 && line.p[0] != '#';
    }
    char match[40];
    snprintf(match, sizeof(match), "%zu key%s", n, n == 1 ? "" : "s");
    if (n)
        tell(c, CHECK_authorized_keys, str_c(match));
}

static void read_repository(struct checks *c, struct str text)
{
    struct str line;
    while (str_cut(&text, '\n', &line)) {
        line = str_trim(line);
        if (line.n && line.p[0] != '#' &&
            (str_has(line, STR("trusted=yes")) || str_ieq(line, STR("Trusted: yes")) || str_eqc(line, "gpgcheck=0")))
            tell(c, CHECK_unsigned_repository, str_sub(line, 0, 120));
    }
}

static const struct {
    const char *pattern;
    void (*read)(struct checks *c, struct str content);
} files[] = {
    {"etc/shadow", read_shadow},
    {"etc/passwd", read_passwd},
    {"etc/sudoers", read_sudoers},
    {"etc/sudoers.d/*", read_sudoers},
    {"etc/ssh/sshd_config", read_sshd},
    {"etc/ssh/sshd_config.d/*", read_sshd},
    {"root/.ssh/authorized_keys", read_keys},
    {"home/*/.ssh/authorized_keys", read_keys},
    {"etc/apt/sources.list", read_repository},
    {"etc/apt/sources.list.d/*", read_repository},
    {"etc/yum.repos.d/*", read_repository},
};

static void *checks_open(const struct probe_setup *setup, struct layer *l)
{
    struct checks *c = calloc(1, sizeof(*c));
    if (!c)
        abort();
    c->l = l;
    c->body = BUF_INIT(SMALL);
    return c;
}

static int checks_entry(void *state, const struct tar_entry *ent, struct str path)
{
    struct checks *c = state;
    modes(c, ent, path);
    programs(c, ent, path);
    c->read = NULL;
    if (ent->type != TAR_FILE || ent->size > SMALL)
        return 0;
    if (!str_starts(path, STR("etc/")) && !str_ends(path, STR("/authorized_keys")))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        if (str_glob(str_c(files[i].pattern), path, false)) {
            c->read = files[i].read;
            buf_reset(&c->body);
            return 1;
        }
    return 0;
}

static int checks_data(void *state, const void *p, size_t n)
{
    buf_put(&((struct checks *)state)->body, p, n);
    return 1;
}

static void checks_end(void *state)
{
    struct checks *c = state;
    if (!c->body.full)
        c->read(c, buf_str(&c->body));
}

static void checks_close(void *state)
{
    struct checks *c = state;
    buf_fini(&c->body);
    free(c);
}

const struct probe probe_checks = {checks_open, checks_entry, checks_data, checks_end, checks_close};
