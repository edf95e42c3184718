#!/bin/sh
# kernel.sh BUILD-DIR [PAIRS]: what the sensor costs a container. Pairs of runs, sensor off and on, interleaved; for each
# loop the median of the differences with its 95 % interval (order statistics), "not distinguishable" when that has 0 in it.
B=$(cd "$1" && pwd) pairs=${2:-11} T=$(mktemp -d "${TMPDIR:-/tmp}/bulkhead-bench.XXXXXX") BPF=/sys/fs/bpf/bulkhead-bench-$$
export B T BPF
export BULKHEAD_NO_OPENS=1 # as the agent runs unless it is asked for opens
. "$(dirname "$0")/../vm/lib.sh"
image
cp "$B/test/bench/kernel" "$T/image/kernel"
bundle bench /kernel
sed -i 's/"type":"network"}/"type":"network","path":"\/proc\/self\/ns\/net"}/' "$T/bench/config.json" # loopback is up there
sed -i "s/\"CAP_SYS_ADMIN\",\"CAP_SYS_PTRACE\",//g" "$T/bench/config.json" # as an engine starts one: no more than opens on demand
measure() { # FILE: our own container, told to nobody but the sensor
    runc --root "$T/runc" run --bundle "$T/bench" "$(id_of bench)" </dev/null | sed "s/^/$2 $3 /" >>"$1"
}
i=0
while [ $i -lt "$pairs" ]; do
    measure "$T/times" off $i
    sensor_start >/dev/null || exit 1
    tool policy "$(id_of bench)" enforce ${BULKHEAD_SEALED:+sealed=1} drift=block fileless=block scripts=alert namespaces=block ptrace=block
    measure "$T/times" on $i
    sensor_stop
    tool remove
    i=$((i + 1))
done
umount "$T/bench/rootfs"
for loop in call open spawn connect; do
    awk -v l=$loop '$3 == l {v[$1, $2] = $4} END {for (k = 0; ("off", k) in v; k++) print v["on", k] - v["off", k], v["off", k]}' FS=' ' "$T/times" |
        sort -n | awk -v l=$loop '{d[NR] = $1; b[NR] = $2} END {
            n = NR; k = int((n - 1.96 * sqrt(n)) / 2); if (k < 1) k = 1   # ranks of the interval of a median
            asort_n = n; for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (b[j] < b[i]) {t = b[i]; b[i] = b[j]; b[j] = t}
            m = d[int((n + 1) / 2)]; base = b[int((n + 1) / 2)]
            verdict = d[k] <= 0 && d[n + 1 - k] >= 0 ? "not distinguishable" : sprintf("%+.1f %%", 100 * m / base)
            printf "bench %-8s off %9.1f ns  difference %+8.1f ns  [%+.1f, %+.1f]  %s\n", l, base, m, d[k], d[n + 1 - k], verdict}'
done
rm -rf "$T"
