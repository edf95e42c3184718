/* dyn.so: a library of the test image whose constructor ends the program with the mark of success. */
#include <unistd.h>

__attribute__((constructor)) static void loaded(void)
{
    _exit(42);
}
