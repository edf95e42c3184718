#include "judge.h"
char _license[] SEC("license") = "Dual BSD/GPL";
