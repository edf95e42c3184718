/* embed: files into the binary. embed OUT.c SYMBOL FILE... writes `const struct embedded SYMBOL[]` in the order given,
 * with an empty entry behind the last. Run by the build; see base/embedded.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    FILE *out = fopen(argv[1], "w");
    if (!out)
        return 3;
    fprintf(out, "#include \"base/embedded.h\"\n");
    for (int i = 3; i < argc; i++) {
        FILE *in = fopen(argv[i], "rb");
        if (!in) {
            fprintf(stderr, "embed: %s cannot be read\n", argv[i]);
            return 3;
        }
        fprintf(out, "static const unsigned char data_%d[] = {", i);
        for (int c, n = 0; (c = getc(in)) != EOF; n++)
            fprintf(out, n % 24 ? "%d," : "\n%d,", c);
        fprintf(out, "0};\n");
        fclose(in);
    }
    fprintf(out, "const struct embedded %s[] = {\n", argv[2]);
    for (int i = 3; i < argc; i++) {
        const char *slash = strrchr(argv[i], '/');
        fprintf(out, "    {\"%s\", (const char *)data_%d, sizeof(data_%d) - 1},\n", slash ? slash + 1 : argv[i], i, i);
    }
    fprintf(out, "    {0},\n};\n");
    return fclose(out) ? 3 : 0;
}
