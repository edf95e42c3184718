#!/bin/sh
# flood.sh BUILD-DIR [SECONDS]: containers open, fork and connect as fast as the machine goes while one of them starts a
# marked dropped program each second. Every one must be stopped and told; what telemetry lost must be counted.
B=$(cd "$1" && pwd) seconds=${2:-60} T=$(mktemp -d "${TMPDIR:-/tmp}/bulkhead-flood.XXXXXX") BPF=/sys/fs/bpf/bulkhead-flood-$$
export B T BPF
. "$(dirname "$0")/../vm/lib.sh"
image
cp "$B/test/bench/kernel" "$T/image/kernel"
sensor_start >/dev/null || exit 1
for n in marked flood1 flood2; do tool policy "$(id_of $n)" enforce drift=block fileless=block; done
for n in flood1 flood2; do
    bundle $n /bin/sh -c 'while :; do /bin/busybox cp /attacks /tmp/x; /bin/busybox rm /tmp/x; /attacks code >/dev/null 2>/dev/null; done'
    runc --root "$T/runc" run -d --bundle "$T/$n" "$(id_of $n)" </dev/null >/dev/null 2>&1
done
run marked /attacks flood "$seconds" >"$T/marked.out"
for n in flood1 flood2; do runc --root "$T/runc" delete -f "$(id_of $n)"; umount "$T/$n/rootfs"; done
sensor_stop
stopped=$(sed -n 's/^flood \([0-9]*\) of .*/\1/p' "$T/marked.out")
told=$(grep -E 'outcome=(killed|prevented)' "$T/events" | grep -o 'exe=/tmp/marked-[0-9]*' | sort -u | wc -l)
echo "flood: $stopped of $seconds marked programs stopped, $told told; ring records told,lost: $(sed -n 's/^end //p' "$T/events")"
tool remove
[ "$stopped" = "$seconds" ] && { [ "$told" = "$seconds" ] || echo "not told: see the loss counted above"; }
rm -rf "$T"
[ "$stopped" = "$seconds" ] && [ "$told" = "$seconds" ]
