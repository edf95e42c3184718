#!/bin/sh
# benign.sh lsm: ordinary work under a policy that blocks everything, with the agent in force: nginx and PostgreSQL as the
# distribution ships them, interpreters, a package manager. All of it works and nothing is said of it, but for the
# program that the package newly brings: it is refused, with an event that says who installed it. The root is
# BUILD/test-cache/benign-root (made by test/vm/all); containers are runc's, without an engine.
. "$(dirname "$0")/lib.sh"
root=$B/test-cache/benign-root agent=''
[ -d "$root/usr/sbin" ] || { echo "no $root"; exit 1; }
mkdir -p "$T/jobs/opt/jobs" "$T/policy"
cp test/data/benign/* "$T/jobs/opt/jobs/"
chmod 755 "$T"/jobs/opt/jobs/*
cat >"$T/policy/all.yaml" <<'P'
kind: ContainerPolicy
name: all
mode: enforce
process: {drift: block, fileless: block, scripts: alert}
privilege: {escalation: block, namespaces: block, ptrace: block, mount: block, modules: block, bpf: block, io_uring: block}
P
"$B/src/agent/bulkhead-agent" --state "$T/state" --events "$T/events.jsonl" --bpf-dir "$BPF" --policy "$T/policy" --no-scan \
    --tier "${1:-lsm}" --authz-socket none >"$T/ready" 2>"$T/agent.log" &
agent=$!
within() { # N COMMAND...: until it holds, for N tenths of a second
    n=$1; shift
    until "$@" >/dev/null 2>&1; do [ $((n -= 1)) -gt 0 ] || return 1; busybox usleep 100000; done
}
within 900 grep -q '"ready":true' "$T/ready" || { cat "$T/agent.log"; exit 1; }
export LOWER=$T/jobs:$root IMAGE_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CAPS='"CAP_CHOWN","CAP_DAC_OVERRIDE","CAP_FOWNER","CAP_FSETID","CAP_SETUID","CAP_SETGID","CAP_NET_BIND_SERVICE","CAP_SYS_CHROOT","CAP_KILL","CAP_SETFCAP"'
for n in web sql jobs pkg; do bundle $n sleep 1000; done
sed -i 's/"sleep","1000"/"nginx","-g","daemon off;"/' "$T/web/config.json"
for n in web sql jobs pkg; do oci run -d --bundle "$T/$n" "$(id_of $n)" </dev/null >"$T/$n.out" 2>&1; done
in_() { # [-u UID:GID] NAME SCRIPT
    u=0:0
    [ "$1" != -u ] || { u=$2; shift 2; }
    oci exec -u "$u" "$(id_of "$1")" sh -c "$2" </dev/null 2>>"$T/$1.err"
}
events() { jq -c "select($1)" "$T/events.jsonl" | wc -l; }
stopped='.outcome == "prevented" and .level == "block"'

fetch='busybox wget -qO- http://127.0.0.1/'
within 100 in_ web "$fetch"
check "nginx serves" $? 0
in_ web 'w() { for p in /proc/[0-9]*; do grep -sq "nginx: worker process$" $p/cmdline && echo ${p#/proc/}; done; }
    old=$(w); nginx -s reload || exit 1
    for i in $(seq 100); do now=$(w); [ "$now" ] && [ "$now" != "$old" ] && exit; sleep 0.2; done; exit 2'
check "nginx reloads, with new workers" $? 0
check "and serves on" "$(in_ web "$fetch" | grep -c 'Welcome to nginx')" '[12]'

in_ sql 'mkdir -pm 1777 /dev/shm; pg_ctlcluster 15 main start'
check "PostgreSQL starts the distribution's way" $? 0
postgres=$(sed -n 's/^postgres:x:\([0-9]*:[0-9]*\):.*/\1/p' "$root/etc/passwd")
query() { in_ -u "$postgres" sql "psql -Atqc \"$1\""; }
check "PostgreSQL answers" "$(query 'set jit_above_cost = 0; select sum(i) from generate_series(1, 1000) i')" 500500

check "shell" "$(in_ jobs /opt/jobs/shell)" 1
check "python" "$(in_ jobs /opt/jobs/python)" 'python 3'
check "perl" "$(in_ jobs /opt/jobs/perl)" 'perl 5'
check "nothing stopped so far" "$(events "$stopped")" 0

d=$T/newtool
mkdir -p "$d/DEBIAN" "$d/usr/bin"
printf 'Package: newtool\nVersion: 1\nArchitecture: all\nMaintainer: Test <test@example.org>\nDescription: a test\n' >"$d/DEBIAN/control"
printf '#!/bin/sh\n/usr/bin/newtool >/var/lib/newtool.out\necho $? >/var/lib/newtool.code\n' >"$d/DEBIAN/postinst"
chmod 755 "$d/DEBIAN/postinst"
cp "$root/usr/bin/id" "$d/usr/bin/newtool"
dpkg-deb --root-owner-group --build "$d" >/dev/null && cp "$d.deb" "$T/pkg/volume/newtool.deb"
in_ pkg 'dpkg -i /vol/newtool.deb' >/dev/null
check "dpkg installs" $? 0
check "its postinst ran, the new program did not" "$(in_ pkg 'cat /var/lib/newtool.code')" 126
in_ pkg /usr/bin/newtool
check "nor does it later" $? 126
new='.control == "drift" and .process.exe == "/usr/bin/newtool"'
twice() { [ "$(events "$stopped and $new")" = 2 ]; }
within 100 twice
check "both told, with who installed it" "$(events "$stopped and $new and (.detail.installed_by | endswith(\"dpkg\")) and .detail.package.name == \"newtool\" and .process.user == \"root\"")" 2
in_ pkg 'dpkg -r newtool' >/dev/null
check "dpkg removes" $? 0
check "PostgreSQL answers still" "$(query 'select 6 * 7')" 42
check "nothing else stopped" "$(events "$stopped")" 2
check "nothing said of ordinary work" "$(events '.container and .action != "off" and .control != "scripts" and .process.exe != "/usr/bin/newtool"')" 0
"$B/src/agent/bulkhead-agent" doctor --json --bpf-dir "$BPF" >"$T/doctor.json" 2>>"$T/agent.log"
check "doctor proves each control by trying it, but the one that takes a kernel exploit" "$(jq -c '[.controls[] | select((.proven | not) and .control != "credentials") | [.control, .proof]]' "$T/doctor.json")" '\[\]'
for n in web sql jobs pkg; do oci delete -f "$(id_of $n)"; umount "$T/$n/rootfs"; done
kill $agent
wait $agent
[ $fails = 0 ] || { cat "$T/agent.log" "$T"/*.err "$T"/*.out; jq -c 'select(.container)' "$T/events.jsonl" | tail -20; }
