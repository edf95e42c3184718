#include "format/golang.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "format/bytes.h"

#define MAGIC       "\xff Go buildinf:"
#define MAGIC_N     14
#define HEAD        32
#define MOST        (8u << 20) /* of module text */
#define ALIGNMENT   16
#define INLINE      2
#define BIG_ENDIAN_ 1

ptrdiff_t golang_find(struct str bytes)
{
    uint64_t first;
    memcpy(&first, MAGIC, sizeof(first));
    for (size_t at = 0; at + HEAD <= bytes.n; at += ALIGNMENT) {
        uint64_t here;
        memcpy(&here, bytes.p + at, sizeof(here));
        if (here == first && !memcmp(bytes.p + at, MAGIC, MAGIC_N))
            return (ptrdiff_t)at;
    }
    return -1;
}

/* "go1.22.1", "go1.22rc1", "go1.19.8 X:boringcrypto" -> 1.22.1, 1.22.0-rc.1, 1.19.8; "devel ..." and others: nothing */
static struct str library_version(struct arena *a, struct str v)
{
    struct str word, rest;
    str_split(v, ' ', &word, &rest);
    if (!str_starts(word, STR("go")) || word.n < 3 || word.p[2] < '0' || word.p[2] > '9')
        return STR("");
    word = str_sub(word, 2, word.n);
    str_split(word, '-', &word, &rest); /* a vendor's suffix */
    static const char *const early[] = {"rc", "beta"};
    for (size_t i = 0; i < ARRAY_LEN(early); i++) {
        ptrdiff_t at = str_find(word, str_c(early[i]));
        if (at < 0)
            continue;
        struct str number = str_sub(word, (size_t)at + strlen(early[i]), word.n), base = str_sub(word, 0, (size_t)at);
        ptrdiff_t dot = str_chr(base, '.');
        bool short_one = dot < 0 || str_chr(str_sub(base, (size_t)dot + 1, base.n), '.') < 0;
        return arena_strf(a, STR_FMT "%s-%s." STR_FMT, STR_ARG(base), short_one ? ".0" : "", early[i], STR_ARG(number));
    }
    return word;
}

static void modules(struct package_list *list, struct str text)
{
    bool dropped = true;
    for (struct str line; str_cut(&text, '\n', &line);) {
        struct str key, path, version, rest;
        str_split(line, '\t', &key, &rest);
        bool module = str_eqc(key, "mod") || str_eqc(key, "dep"), replaced = str_eqc(key, "=>");
        if (!module && !replaced)
            continue;
        str_split(rest, '\t', &path, &rest);
        str_split(rest, '\t', &version, &rest);
        bool known = path.n && version.n && version.p[0] == 'v';
        if (replaced && !dropped) /* in the place of the one before */
            list->n--;
        dropped = !known;
        if (known)
            package_add(list, STR("golang"), path, version);
    }
}

static void add(struct package_list *list, struct str version, struct str text)
{
    struct str library = library_version(list->a, version);
    if (library.n)
        package_add(list, STR("golang"), STR("stdlib"), arena_str(list->a, library));
    /* between two marks of 16 bytes */
    if (text.n >= 33 && text.p[text.n - 17] == '\n')
        modules(list, arena_str(list->a, str_sub(text, 16, text.n - 16)));
}

/* A length of 7-bit groups, and so many bytes. */
static int inline_text(struct str *rest, struct str *ret, struct err *e)
{
    uint64_t n = 0;
    size_t i = 0;
    for (;; i++) {
        if (i >= rest->n)
            return -EAGAIN;
        n |= (uint64_t)(rest->p[i] & 0x7f) << (7 * i);
        if (!(rest->p[i] & 0x80))
            break;
        if (i == 4)
            return err_set(e, EBADMSG, "Go build info: malformed length");
    }
    if (n > MOST)
        return err_set(e, EBADMSG, "Go build info: a text of %llu bytes", (unsigned long long)n);
    if (rest->n - i - 1 < n)
        return -EAGAIN;
    *ret = str_sub(*rest, i + 1, i + 1 + n);
    *rest = str_sub(*rest, i + 1 + n, rest->n);
    return 0;
}

static uint64_t pointer(struct str s, size_t at, size_t size, bool big)
{
    if (size == 4)
        return big ? bytes_be32(s.p + at) : bytes_le32(s.p + at);
    return big ? bytes_be64(s.p + at) : bytes_le64(s.p + at);
}

/* A Go string: the address of a (address, length). */
static struct str text_at(const struct elf *f, uint64_t address, size_t size, bool big)
{
    struct str s, head;
    if (elf_address(f, address, &head) < 0 || head.n < 2 * size)
        return STR("");
    uint64_t n = pointer(head, size, size, big);
    if (n > MOST || elf_address(f, pointer(head, 0, size, big), &s) < 0 || s.n < n)
        return STR("");
    return str_sub(s, 0, n);
}

int golang_build_info(struct package_list *list, struct str at, const struct elf *elf, struct err *e)
{
    struct str version, text;
    if (at.n < HEAD)
        return -EAGAIN;
    if (memcmp(at.p, MAGIC, MAGIC_N) != 0)
        return err_set(e, EBADMSG, "no Go build info");
    unsigned char size = (unsigned char)at.p[14], flags = (unsigned char)at.p[15];
    if (flags & INLINE) {
        struct str rest = str_sub(at, HEAD, at.n);
        int r = inline_text(&rest, &version, e);
        if (r < 0 || (r = inline_text(&rest, &text, e)) < 0)
            return r;
        add(list, version, text);
        return package_list_check(list, e);
    }
    if (size != 4 && size != 8)
        return err_set(e, EBADMSG, "Go build info: addresses of %u bytes", size);
    if (!elf)
        return 0;
    bool big = flags & BIG_ENDIAN_;
    add(list, text_at(elf, pointer(at, 16, size, big), size, big),
        text_at(elf, pointer(at, 16 + size, size, big), size, big));
    return package_list_check(list, e);
}

int golang_program(struct package_list *list, const struct elf *elf, struct err *e)
{
    struct str where;
    if (elf_section(elf, ".go.buildinfo", &where) < 0 && elf_data(elf, &where) < 0)
        return 0;
    ptrdiff_t at = golang_find(where);
    if (at < 0)
        return 0;
    struct package_list found = PACKAGE_LIST(list->a);
    int r = golang_build_info(&found, str_sub(where, (size_t)at, where.n), elf, e);
    for (size_t i = 0; r >= 0 && i < found.n; i++)
        *package_add(list, found.v[i].type, found.v[i].name, found.v[i].version) = found.v[i];
    return r == -EAGAIN ? err_set(e, EBADMSG, "Go build info: cut off") : r;
}

/* ---- go.mod ---- */

struct replace {
    struct str path, version, new_path, new_version;
};

static struct str word(struct str *rest)
{
    *rest = str_trim(*rest);
    size_t n = 0;
    while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\t')
        n++;
    struct str w = str_sub(*rest, 0, n);
    *rest = str_sub(*rest, n, rest->n);
    if (w.n >= 2 && (w.p[0] == '"' || w.p[0] == '`') && w.p[w.n - 1] == w.p[0])
        w = str_sub(w, 1, w.n - 1);
    return w;
}

static void replacement(struct replace *r, struct str line)
{
    *r = (struct replace){.path = word(&line)};
    struct str w = word(&line);
    if (!str_eqc(w, "=>")) {
        r->version = w;
        word(&line);
    }
    r->new_path = word(&line);
    r->new_version = word(&line);
}

int golang_mod(struct package_list *list, struct str path, struct str text, struct err *e)
{
    struct replace *replaces = NULL;
    size_t replaces_n = 0, cap = 0;
    struct str block = STR("");
    for (struct str line; str_cut(&text, '\n', &line);) {
        ptrdiff_t comment = str_find(line, STR("//"));
        line = str_trim(comment >= 0 ? str_sub(line, 0, (size_t)comment) : line);
        if (line.n == 0)
            continue;
        if (str_eqc(line, ")")) {
            block = STR("");
            continue;
        }
        struct str what = block;
        if (what.n == 0) {
            what = word(&line);
            if (str_eqc(str_trim(line), "(")) {
                block = what;
                continue;
            }
        }
        if (str_eqc(what, "module")) {
            struct str name = word(&line);
            if (str_eqc(name, "std") || str_eqc(name, "cmd")) /* Go itself */
                return 0;
        } else if (str_eqc(what, "require")) {
            struct str name = word(&line), version = word(&line);
            if (name.n && version.n && version.p[0] == 'v')
                package_add(list, STR("golang"), name, version);
        } else if (str_eqc(what, "replace") && replaces_n < 4096) {
            replaces = arena_grow(list->a, replaces, replaces_n, &cap, sizeof(*replaces));
            replacement(&replaces[replaces_n++], line);
        }
    }
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        struct package p = list->v[i];
        bool local = false;
        for (size_t k = 0; k < replaces_n; k++) {
            const struct replace *r = &replaces[k];
            if (!str_eq(r->path, p.name) || (r->version.n && !str_eq(r->version, p.version)))
                continue;
            local = r->new_version.n == 0;
            p.name = p.source_name = r->new_path;
            p.version = p.source_version = r->new_version;
            break;
        }
        if (!local)
            list->v[n++] = p;
    }
    list->n = n;
    return package_list_check(list, e);
}
