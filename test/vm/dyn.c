/* dyn: a dynamically linked program of the test image. `dyn exit` runs; `dyn dlopen FILE` loads a library. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "exit"))
            return 42;
        if (!strcmp(argv[i], "dlopen") && i + 1 < argc && !dlopen(argv[i + 1], RTLD_NOW)) {
            const char *why = dlerror();
            return why && (strstr(why, "not permitted") || strstr(why, "failed to map")) ? 101 : 43;
        }
    }
    return 7;
}
