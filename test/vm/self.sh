#!/bin/sh
# self.sh lsm: a privileged container that shares the host's pid namespace and has its whole file system mounted reaches for
# the agent: its process, pins, maps, links, state, sockets and cgroup. All of it is refused and told, the agent works on;
# the same calls on things that are not ours go through and nothing is said of them. No policy blocks anything.
. "$(dirname "$0")/lib.sh"
image
mkdir -p "$T/image/host"
mkdir -p "$T/policy" "$T/other" /sys/fs/cgroup/bulkhead-self
printf 'kind: ContainerPolicy\nname: all\nmode: learn\n' >"$T/policy/all.yaml"
sh -c 'echo $$ >/sys/fs/cgroup/bulkhead-self/cgroup.procs; exec "$@"' - "$B/src/agent/bulkhead-agent" --state "$T/state" \
    --events "$T/events.jsonl" --bpf-dir "$BPF" --policy "$T/policy" --no-scan --tier "${1:-lsm}" --authz-socket "$T/plugin.sock" \
    --canary 1h >"$T/ready" 2>"$T/agent.log" &
agent=$!
within() { # N COMMAND...: until it holds, for N tenths of a second
    n=$1; shift
    until "$@" >/dev/null 2>&1; do [ $((n -= 1)) -gt 0 ] || return 1; busybox usleep 100000; done
}
within 900 grep -q '"ready":true' "$T/ready" || { cat "$T/agent.log"; exit 1; }
map=$(bpftool map show pinned "$BPF/maps-2/host_default" | sed 's/:.*//;q')
pin=$(ls -d "$BPF"/links-*/on_bprm_check)
link=$(bpftool link show pinned "$pin" | sed 's/:.*//;q')
protected() { bpftool map dump pinned "$BPF/maps-2/self_tasks" | grep -q "\"key\": $agent\\b"; }
within 100 protected
check "the kernel knows the agent" $? 0

cat >"$T/attack" <<A
try() { n=\$1; shift; "\$@" >/dev/null 2>>$T/priv.err; echo "\$n \$?"; }
try kill kill -9 $agent
try stop kill -STOP $agent
try ptrace perl -e 'exit(syscall(101, 16, $agent, 0, 0) < 0)'
try mem perl -e 'open(F, "+<", "/proc/$agent/mem") or exit 1'
try nice renice 19 -p $agent
try map-by-id bpftool map dump id $map
try map-by-pin bpftool map dump pinned $BPF/maps-2/host_default
try link-detach bpftool link detach id $link
try link-by-pin bpftool link detach pinned $pin
try pin rm -f $pin
try pins mv $BPF ${BPF}x
try state-read cat $T/state/status.json
try state-write sh -c 'echo x >>$T/state/status.json'
try state-new sh -c 'echo x >$T/state/policy/new.yaml'
try state-remove rm -r $T/state/status.json
try state-move mv $T/state $T/moved
try state-link ln $T/state/status.json $T/other/linked
try state-truncate perl -e 'exit(!truncate("$T/state/status.json", 0))'
try state-mode chmod 777 $T/state
try state-mount mount -t tmpfs none $T/state
try policy sh -c 'echo x >>$T/policy/all.yaml'
try events sh -c ': >$T/events.jsonl'
try socket perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); exit(!connect(S, pack_sockaddr_un("$T/plugin.sock")))'
try freeze sh -c 'echo 1 >/sys/fs/cgroup/bulkhead-self/cgroup.freeze'
try move sh -c 'echo \$\$ >/sys/fs/cgroup/bulkhead-self/cgroup.procs'
A
cat >"$T/twin" <<A
try() { n=\$1; shift; "\$@" >/dev/null 2>>$T/priv.err || echo "\$n \$?"; }
sleep 100 & p=\$!
try ptrace perl -e 'exit(syscall(101, 16, '\$p', 0, 0) < 0)'
try kill kill -9 \$p
try status cat /proc/$agent/status /proc/$agent/cmdline
try map bpftool map create $T/bpf/m type hash key 4 value 4 entries 4 name other
try update bpftool map update pinned $T/bpf/m key 1 0 0 0 value 1 0 0 0
try write sh -c 'echo x >$T/other/file; mv $T/other/file $T/other/g; chmod 600 $T/other/g; rm $T/other/g'
try mount mount -t tmpfs none $T/other
try umount umount $T/other
try policy-read cat $T/policy/all.yaml
try cgroup-read cat /sys/fs/cgroup/bulkhead-self/cgroup.procs
try freeze sh -c 'mkdir /sys/fs/cgroup/other-self && echo 1 >/sys/fs/cgroup/other-self/cgroup.freeze && rmdir /sys/fs/cgroup/other-self'
A
all=$(for c in AUDIT_CONTROL BLOCK_SUSPEND BPF CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK KILL MKNOD NET_ADMIN \
    NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PTRACE SYS_RAWIO SYS_RESOURCE; do
    printf "\"CAP_%s\"," $c
done)
mkdir -p "$T/bpf"
mount -t bpf none "$T/bpf"
CAPS=${all%,} bundle priv sleep 1000
sed -i 's|{"type":"pid"},||; s|{"destination":"/vol"|{"destination":"/host","type":"bind","source":"/","options":["rbind"]},&|' "$T/priv/config.json"
oci run -d --bundle "$T/priv" "$(id_of priv)" </dev/null >"$T/priv.out" 2>&1
check "the privileged container starts" $? 0
in_() { oci exec "$(id_of priv)" /bin/busybox env PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot /host sh "$1" </dev/null 2>&1; }
said() { jq -c 'select(.control == "sensor" and .container)' "$T/events.jsonl" | wc -l; }

check "the twins pass" "$(in_ "$T/twin")" ''
sleep_until_told() { oci exec "$(id_of priv)" /bin/busybox true </dev/null; }
sleep_until_told
check "nothing is said of them" "$(said)" 0
in_ "$T/attack" >"$T/done"
check "every attack was tried" "$(wc -l <"$T/done")" "$(grep -c '^try [a-z]' "$T/attack")"
check "none succeeded" "$(grep ' 0$' "$T/done" | tr '\n' ' ')" ''
many() { [ "$(said)" -ge 25 ]; }
within 100 many
at_least "each was told" "$(said)" 25
check "as tampering, prevented" "$(jq -c 'select(.control == "sensor" and .container) | [.outcome, .level, .rule, .severity]' "$T/events.jsonl" | sort -u)" \
    '\["prevented","block","Tampering with Bulkhead","critical"\]'
check "with what was reached for" "$(jq -r 'select(.control == "sensor" and .container) | .detail.ours.kind' "$T/events.jsonl" | sort -u | tr '\n' ' ')" \
    'file link map process socket *'
kill -0 $agent
check "the agent lives" $? 0
check "its pins are there" "$(ls "$pin")" "$pin"
[ "$(jq -r .version "$T/state/status.json")" ]
check "its state is whole" $? 0
oci delete -f "$(id_of priv)"
umount "$T/priv/rootfs" "$T/bpf"
kill $agent
wait $agent
[ $fails = 0 ] || { cat "$T/agent.log" "$T/done" "$T/priv.err" "$T/priv.out"; jq -c 'select(.control == "sensor")' "$T/events.jsonl" | tail -30; }
