#!/bin/sh
# docker.sh lsm: the agent itself under a real dockerd (overlay2 on /disk, the engine's AppArmor profile in force): containers
# from before and after the agent, one that lives a moment, an agent that is killed, and the one that takes over. In this
# tier what is refused fails with EPERM, and who tried lives on. Only in the VM: the engine's places are not private.
. "$(dirname "$0")/lib.sh"
export DOCKER_HOST=unix://$T/docker.sock DOCKER_CONFIG=$T/docker-config HOME=$T
d=/disk/docker-$$ agent='' engine=''
stop() {
    docker rm -f old >/dev/null 2>&1
    for p in $agent $engine; do kill "$p" 2>/dev/null; wait "$p" 2>/dev/null; done
}
trap stop EXIT
within() { # N COMMAND...: until it holds, for N tenths of a second
    n=$1
    shift
    until "$@" >/dev/null 2>&1; do
        [ $((n -= 1)) -gt 0 ] || return 1
        busybox usleep 100000
    done
}
has() { [ -e "$1" ]; }

dockerd --data-root "$d" --exec-root "$T/exec" -H "$DOCKER_HOST" --pidfile "$T/docker.pid" --storage-driver overlay2 \
    --iptables=false --bridge=none >"$T/dockerd.log" 2>&1 &
engine=$!
image
cat >"$T/image/rounds" <<'R'
#!/bin/sh
# One shell for all rounds: round N starts when /vol/go-N is there; what each try gave stands in /vol/out-N.
for n in "$@"; do
    until [ -e "/vol/go-$n" ]; do sleep 0.2; done
    {
        cp /attacks "/tmp/p$n"
        "/tmp/p$n" payload
        echo "drop $?"
        /attacks - memfd
        /attacks - image
        /attacks - script
        echo "shell $$"
    } >"/vol/out" 2>&1
    mv /vol/out "/vol/out-$n"
done
R
chmod 755 "$T/image/rounds"
ln -sf busybox "$T/image/bin/mv"
mkdir -p "$T/policy" "$T/old" "$T/new" "$T/short"
cat >"$T/policy/all.yaml" <<'P'
kind: ContainerPolicy
name: all
mode: enforce
process: {drift: block, fileless: block}
privilege: {namespaces: block, ptrace: block, mount: block}
P
agent_start() { # its ready line goes to $T/ready
    : >"$T/ready"
    "$B/src/agent/bulkhead-agent" --state "$T/state" --events "$T/events.jsonl" --bpf-dir "$BPF" --policy "$T/policy" --no-scan \
        --tier "$1" --engine "$DOCKER_HOST" --authz-socket none >"$T/ready" 2>>"$T/agent.log" &
    agent=$!
    within 900 grep -q '"ready":true' "$T/ready" || { cat "$T/agent.log"; return 1; }
}
box() { # NAME ARGUMENT...: docker run, with its volume
    n=$1
    shift
    docker run --network none --name "$n" -v "$T/$n:/vol" "$@" </dev/null
}
within 900 docker version || { cat "$T/dockerd.log"; exit 1; }
tar -C "$T/image" -c . | docker import -c 'ENV PATH=/bin' - shop:1 >/dev/null

old=$(box old -d shop:1 /rounds 0 1 2 3 end)
: >"$T/old/go-0"
within 300 has "$T/old/out-0"
check "without us the drop runs" "$(grep '^drop' "$T/old/out-0")" 'drop 42'
check "without us code in memory runs" "$(grep '^memfd' "$T/old/out-0")" 'memfd ran'
agent_start "${1:-lsm}" || exit 1
check "the tier" "$(jq -r .tier "$T/ready")" lsm
case $(cat /sys/module/apparmor/parameters/enabled 2>/dev/null) in
Y) check "the engine's own profile" "$(docker inspect -f '{{.AppArmorProfile}}' old)" docker-default ;;
esac

told() { # ID FILTER: how many events of the container
    jq -c "select(.container.id == \"$1\" and ($2))" "$T/events.jsonl" | wc -l
}
stopped='.outcome == "prevented" and .level == "block" and .container.image == "shop:1" and .policy.name == "all"'
tried() { # WHO OUT
    check "$1: the drop" "$(grep '^drop' "$2")" 'drop 126'
    check "$1: what the shell says" "$(grep -c 'Operation not permitted' "$2")" 1
    check "$1: code in memory" "$(grep '^memfd' "$2")" 'memfd refused 1'
    check "$1: a program of the image" "$(grep '^image' "$2")" 'image ran'
    check "$1: a script of the image" "$(grep '^script' "$2")" 'script ran'
    check "$1: the shell that tried lives on" "$(grep '^shell' "$2")" 'shell 1'
}
: >"$T/old/go-1"
: >"$T/new/go-1"
box new --cidfile "$T/new.id" shop:1 /rounds 1
within 300 has "$T/old/out-1"
tried "from before the agent" "$T/old/out-1"
tried "from after it" "$T/new/out-1"

# Its first program is the dropped one: it never runs.
cp "$B/test/vm/attacks" "$T/short/p"
box short --cidfile "$T/short.id" --entrypoint /vol/p shop:1 payload
check "a container that lives a moment" $? '1*'

two() { # ID NAME SUFFIX: both tries of a round are told
    within 100 sh -c "[ \$(grep -c '/tmp/p$3' '$T/events.jsonl') -ge 1 ]"
    check "$2 $3: drop told" "$(told "$1" "$stopped and .control == \"drift\" and .process.exe == \"/tmp/p$3\" and .container.name == \"$2\"")" 1
}
two "$old" old 1
two "$(cat "$T/new.id")" new 1
for n in old new; do
    i=$([ $n = old ] && echo "$old" || cat "$T/new.id")
    check "$n: code in memory told" "$(told "$i" "$stopped and .control == \"fileless\"")" 1
    check "$n: nothing benign told" "$(told "$i" '.outcome == "prevented"')" 2
done
within 100 grep -q '"/vol/p"' "$T/events.jsonl"
check "the short one told" "$(told "$(cat "$T/short.id")" "$stopped and .control == \"drift\" and .container.name == \"short\"")" 1

last() { jq -s 'map(.seq) | max' "$T/events.jsonl"; }
seq1=$(last)
kill -9 $agent
wait $agent 2>/dev/null
: >"$T/old/go-2"
within 300 has "$T/old/out-2"
tried "without an agent" "$T/old/out-2"
agent_start "${1:-lsm}" || exit 1
check "the tier after take-over" "$(jq -r .tier "$T/ready")" lsm
two "$old" old 2
: >"$T/old/go-3"
within 300 has "$T/old/out-3"
tried "after take-over" "$T/old/out-3"
two "$old" old 3
docker exec old /rounds 4 >/dev/null & # a second way in; the shell there is another one
: >"$T/old/go-4"
wait $!
check "docker exec: the drop" "$(grep '^drop' "$T/old/out-4")" 'drop 126'
two "$old" old 4
at_least "sequence goes on" "$(last)" $((seq1 + 6)) # three rounds, two events each
check "no number twice, none missing" "$(jq -s 'map(.seq) | (unique | length) == length and max - min + 1 == length' "$T/events.jsonl")" true
[ $fails = 0 ] || { cat "$T/agent.log" "$T/events.jsonl" "$T"/*/out-*; tail -5 "$T/dockerd.log"; }
