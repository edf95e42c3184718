/* banned: functions that may not be used, each with what to use instead. Included before every source file by the
 * build (-include), so the system headers come first and a use is a compile error that says why. */
#ifndef BULKHEAD_BASE_BANNED_H
#define BULKHEAD_BASE_BANNED_H

#include <alloca.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BANNED(f, use) _Pragma("GCC error \"" #f " is banned: use " use "\"")

#undef strcpy
#define strcpy(...) BANNED(strcpy, "struct str or buf_put")
#undef strcat
#define strcat(...) BANNED(strcat, "buf_puts")
#undef strncpy
#define strncpy(...) BANNED(strncpy, "arena_str or memcpy with a checked size")
#undef strncat
#define strncat(...) BANNED(strncat, "buf_puts")
#undef strtok
#define strtok(...) BANNED(strtok, "str_cut")
#undef sprintf
#define sprintf(...) BANNED(sprintf, "snprintf or buf_printf")
#undef vsprintf
#define vsprintf(...) BANNED(vsprintf, "vsnprintf")
#undef scanf
#define scanf(...) BANNED(scanf, "str_cut and str_u64")
#undef sscanf
#define sscanf(...) BANNED(sscanf, "str_cut and str_u64")
#undef fscanf
#define fscanf(...) BANNED(fscanf, "str_cut and str_u64")
#undef atoi
#define atoi(...) BANNED(atoi, "str_i64")
#undef atol
#define atol(...) BANNED(atol, "str_i64")
#undef strtol
#define strtol(...) BANNED(strtol, "str_i64")
#undef strtoul
#define strtoul(...) BANNED(strtoul, "str_u64")
#undef strtoll
#define strtoll(...) BANNED(strtoll, "str_i64")
#undef strtoull
#define strtoull(...) BANNED(strtoull, "str_u64")
#undef alloca
#define alloca(...) BANNED(alloca, "an arena")
#undef system
#define system(...) BANNED(system, "posix_spawn with an argument vector")
#undef popen
#define popen(...) BANNED(popen, "posix_spawn with an argument vector")
#undef rand
#define rand(...) BANNED(rand, "fs_random")
#undef gmtime
#define gmtime(...) BANNED(gmtime, "time_format or gmtime_r")
#undef localtime
#define localtime(...) BANNED(localtime, "time_format")
#undef mktemp
#define mktemp(...) BANNED(mktemp, "mkostemp")

#endif
