#!/bin/sh
# lists.sh [TIER]: process.allow, deny and users, drift_allow, exec_from: exact paths and patterns, resolved in the kernel.
. "$(dirname "$0")/lib.sh"
image
sensor_start "$@" || exit 1
try() { # NAME SETTINGS -- COMMAND: prints the status of COMMAND in a fresh enforcing container
    n=$1 s=$2
    shift 3
    tool policy "$(id_of "$n")" enforce $s
    run "$n" "$@" >"$T/$n.out" 2>&1
    echo $?
}
case $tier in lsm) no='12[67]' first=1;; *) no=137 first=137;; esac # from a shell; as the container's first program
ok=42

check "deny: exact" "$(try d1 deny=/victim6 -- /bin/sh -c "/victim6 payload; exit \$?")" "$no"
check "deny: another program" "$(try d2 deny=/victim6 -- /bin/sh -c '/victim5 payload; exit $?')" $ok
check "deny: pattern" "$(try d3 'deny=/vic*6' -- /bin/sh -c '/victim6 payload; exit $?')" "$no"
check "deny: by link" "$(try d4 deny=/victim6 -- /bin/sh -c 'busybox ln -s /victim6 /tmp/x; /tmp/x payload; exit $?')" "$no"
check "deny: first program" "$(try d5 deny=/victim6 -- /victim6 payload)" "$first"
check "allow: listed" "$(try a1 'allow=/bin/busybox allow=/victim6' -- /bin/sh -c '/victim6 payload; exit $?')" $ok
check "allow: not listed" "$(try a2 'allow=/bin/busybox allow=/victim6' -- /bin/sh -c '/victim5 payload; exit $?')" "$no"
check "allow: pattern" "$(try a3 'allow=/bin/** allow=/victim?' -- /bin/sh -c '/victim6 payload; exit $?')" $ok
check "allow: * stops at /" "$(try a4 'allow=/* drift=off' -- /bin/sh -c 'exit 42')" "$first"
check "users: listed" "$(try u1 users=0 -- /bin/sh -c 'exit 42')" $ok
check "users: not listed" "$(try u2 users=1000 -- /bin/sh -c 'exit 42')" "$first"
check "drift: refused" "$(try r1 drift=block -- /bin/sh -c 'cp /attacks /tmp/p; /tmp/p payload; exit $?')" "$no"
check "drift_allow" "$(try r2 'drift=block drift_allow=/tmp/p' -- /bin/sh -c 'cp /attacks /tmp/p; /tmp/p payload; exit $?')" $ok
check "drift_allow: another path" "$(try r3 'drift=block drift_allow=/tmp/p' -- /bin/sh -c 'cp /attacks /tmp/q; /tmp/q payload; exit $?')" "$no"
check "volume: refused" "$(try v1 drift=block -- /bin/sh -c 'cp /attacks /vol/p; /vol/p payload; exit $?')" "$no"
check "exec_from" "$(try v2 'drift=block exec_from=/vol' -- /bin/sh -c 'cp /attacks /vol/p; /vol/p payload; exit $?')" $ok
check "exec_from: not for the upper layer" "$(try v3 'drift=block exec_from=/tmp' -- /bin/sh -c 'cp /attacks /tmp/p; /tmp/p payload; exit $?')" "$no"
check "script of the upper layer: alert only" "$(try s1 'drift=block scripts=alert' -- /bin/sh -c 'cp /script /tmp/s; /tmp/s; exit $?')" $ok
[ "$tier" = lsm ] &&
    check "script of the upper layer: block" "$(try s2 'drift=block scripts=block' -- /bin/sh -c 'cp /script /tmp/s; /tmp/s; exit $?')" "$no"
sensor_stop
