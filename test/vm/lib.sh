# lib.sh: a test image and containers made from it, on an overlay as an engine would. Sourced by the cases. crun starts ten times
# as fast as runc where each instruction is emulated; it does not run on hybrid cgroups.
#   T      a fresh directory on a file system that overlayfs takes as upper layer
#   B      the build directory
#   BPF    the directory of pins, private to the test
: "${T:?}" "${B:?}" "${BPF:?}"
runtime=runc
[ ! -e /sys/fs/cgroup/cgroup.controllers ] || runtime=$(command -v crun || echo runc)
oci() { $runtime --root "$T/oci" "$@"; }
tool() { "$B/test/vm/sensor_tool" "$BPF" "$@"; }
id_of() { printf '%s' "$T $1" | sha256sum | cut -c1-64; }

image() { # the image's one layer, at $T/image
    i=$T/image
    mkdir -p "$i/bin" "$i/tmp" "$i/mnt" "$i/vol" "$i/proc" "$i/dev" "$i/sys" "$i/etc" "$i/lib64" "$i/lib/x86_64-linux-gnu"
    cp "$B/test/vm/attacks" "$i/attacks"
    for n in victim victim2 victim3 victim4 victim5 victim6 suid; do cp "$i/attacks" "$i/$n"; done
    chmod 4755 "$i/suid"
    cp "$B/test/vm/dyn" "$B/test/vm/dyn.so" "$i/"
    cp /lib64/ld-linux-x86-64.so.2 "$i/lib64/"
    cp /lib/x86_64-linux-gnu/libc.so.6 "$i/lib/x86_64-linux-gnu/"
    cp /bin/busybox "$i/bin/busybox"
    for n in sh cat sleep true cp; do ln -sf busybox "$i/bin/$n"; done
    printf '#!/bin/sh\nexit 42\n' >"$i/script"
    chmod 755 "$i/script"
    echo 'root:x:0:0::/:/bin/sh' >"$i/etc/passwd"
}

bundle() { # NAME: a bundle at $T/NAME whose root is image (or LOWER) + a fresh upper layer; the command stands in config.json
    b=$T/$1 caps=${CAPS:-}
    [ -n "$caps" ] || caps='"CAP_CHOWN","CAP_SETUID","CAP_SETGID","CAP_SYS_CHROOT","CAP_SYS_ADMIN","CAP_SYS_PTRACE","CAP_BPF","CAP_KILL","CAP_SETFCAP"'${NETNS:+',"CAP_NET_RAW","CAP_NET_BIND_SERVICE"'}
    shift
    netns=
    [ -z "${NETNS:-}" ] || netns=",\"path\":\"$NETNS\""
    mkdir -p "$b/rootfs" "$b/upper" "$b/work" "$b/volume"
    mount -t overlay -o "lowerdir=${LOWER:-$T/image},upperdir=$b/upper,workdir=$b/work" overlay "$b/rootfs"
    args=$(for a in "$@"; do printf '"%s",' "$(printf %s "$a" | sed 's/[\\"]/\\&/g')"; done)
    cat >"$b/config.json" <<C
{"ociVersion":"1.0.2","root":{"path":"rootfs"},"process":{"cwd":"/","env":["PATH=${IMAGE_PATH:-/bin}"],"args":[${args%,}],
 "user":{"uid":0,"gid":0},"capabilities":{"bounding":[$caps],"effective":[$caps],"permitted":[$caps],"inheritable":[],"ambient":[]}},
 "mounts":[{"destination":"/proc","type":"proc","source":"proc"},{"destination":"/dev","type":"tmpfs","source":"tmpfs"},
  {"destination":"/vol","type":"bind","source":"$b/volume","options":["bind"]}],
 "linux":{"namespaces":[{"type":"pid"},{"type":"mount"},{"type":"ipc"},{"type":"uts"},{"type":"network"$netns}]}}
C
}

run() { # NAME COMMAND...: run to its end; the cgroup is named after the id, as engines do
    n=$1
    shift
    bundle "$n" "$@"
    oci run --bundle "$T/$n" "$(id_of "$n")" </dev/null
    rc=$?
    umount "$T/$n/rootfs"
    return $rc
}

sensor_start() { # [TIER]: in the background; its events go to $T/events
    mkfifo "$T/stop" 2>/dev/null
    : >"$T/events" # or the ready line of the one before would do
    "$B/test/vm/sensor_tool" "$BPF" watch "$@" <"$T/stop" >"$T/events" 2>&1 &
    sensor=$!
    exec 9>"$T/stop"
    n=0
    until grep -q ^ready "$T/events"; do
        kill -0 $sensor 2>/dev/null && [ $n -lt 600 ] || { cat "$T/events"; return 1; }
        n=$((n + 1)); busybox usleep 100000
    done
    tier=$(sed -n 's/^ready tier=\([a-z]*\).*/\1/p' "$T/events")
}
sensor_stop() { exec 9>&-; wait $sensor; }

fails=0 checks=0
check() { # WHAT GOT WANTED-PATTERN
    checks=$((checks + 1))
    case $2 in $3) ;; *) fails=$((fails + 1)); echo "FAIL $1: got '$2', wanted '$3'";; esac
}
at_least() { # WHAT GOT N
    check "$1: $2 of at least $3" "$([ "$2" -ge "$3" ] && echo yes)" yes
}
