/* bulkhead version compare */
#include "cli/command.h"

#include "intel/version.h"

#include <getopt.h>

static void usage(FILE *f)
{
    fputs("usage: bulkhead version compare SCHEME A B\n"
          "       bulkhead version compare --batch\n\n"
          "Compare two versions the way their ecosystem does. Prints <, = or >; ? for what is no version (exit 2).\n\n"
          "  --batch   read lines SCHEME<TAB>A<TAB>B on standard input, print one answer a line\n\n"
          "SCHEME is one of:",
          f);
#define X(id, name) fputs(" " name, f);
    VERSION_SCHEMES(X)
#undef X
    fputc('\n', f);
}

/* '?' also for a scheme that does not exist */
static char answer(struct str scheme_name, struct str a, struct str b)
{
    enum version_scheme scheme;
    int r;
    if (version_scheme_parse(scheme_name, &scheme) < 0 || version_compare(scheme, a, b, &r) < 0)
        return '?';
    return r < 0 ? '<' : r > 0 ? '>' : '=';
}

static int batch(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int code = 0;
    while ((n = getline(&line, &cap, stdin)) >= 0) {
        struct str rest = {line, (size_t)n}, scheme = STR_NONE, a = STR_NONE, b = STR_NONE;
        if (rest.n && rest.p[rest.n - 1] == '\n')
            rest.n--;
        str_split(rest, '\t', &scheme, &rest);
        str_split(rest, '\t', &a, &b);
        putchar(answer(scheme, a, b));
        putchar('\n');
    }
    if (ferror(stdin)) {
        fprintf(stderr, "bulkhead version: cannot read standard input\n");
        code = 3;
    }
    free(line);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "bulkhead version: cannot write the answers\n");
        code = 3;
    }
    return code;
}

int cmd_version(int argc, char **argv)
{
    static const struct option options[] = {{"batch", no_argument, NULL, 'b'}, {"help", no_argument, NULL, 'h'}, {0}};
    bool from_stdin = false;
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (str_eqc(str_c(argv[1]), "--help") || str_eqc(str_c(argv[1]), "-h")) {
        usage(stdout);
        return 0;
    }
    if (!str_eqc(str_c(argv[1]), "compare")) {
        fprintf(stderr, "bulkhead version: there is no \"%s\"; compare is all there is\n", argv[1]);
        return 2;
    }
    /* versions may begin with '-': options end at the first argument that is none */
    optind = 2;
    for (int c; (c = getopt_long(argc, argv, "+h", options, NULL)) != -1;)
        switch (c) {
        case 'b':
            from_stdin = true;
            break;
        case 'h':
            usage(stdout);
            return 0;
        default:
            return 2;
        }
    if (from_stdin && optind == argc)
        return batch();
    if (from_stdin || argc - optind != 3) {
        usage(stderr);
        return 2;
    }
    enum version_scheme scheme;
    if (version_scheme_parse(str_c(argv[optind]), &scheme) < 0) {
        fprintf(stderr, "bulkhead version: there is no scheme \"%s\"\n", argv[optind]);
        return 2;
    }
    char c = answer(str_c(argv[optind]), str_c(argv[optind + 1]), str_c(argv[optind + 2]));
    printf("%c\n", c);
    return c == '?' ? 2 : 0;
}
