#!/bin/sh
# life.sh [TIER]: containers older than the sensor, containers that live a moment, an agent that is killed, one that
# takes over, one of another build that replaces the programs: enforcement has no hole in any of these.
. "$(dirname "$0")/lib.sh"
image
# older than the sensor
bundle old /bin/sh -c 'until [ -e /tmp/go ]; do sleep 0.1; done; cp /attacks /tmp/p; /tmp/p payload; echo status $? >/tmp/answer'
oci run -d --bundle "$T/old" "$(id_of old)" </dev/null >"$T/old.out" 2>&1
sensor_start "$@" || exit 1
case $tier in lsm) no='12[67]' outcome=prevented;; *) no=137 outcome=killed;; esac
for n in old short unwatched taken; do tool policy "$(id_of $n)" enforce drift=block fileless=block; done
: >"$T/old/rootfs/tmp/go"
n=0
until [ -e "$T/old/rootfs/tmp/answer" ] || [ $n -gt 200 ]; do n=$((n + 1)); busybox usleep 100000; done
check "container older than the sensor" "$(cat "$T/old/rootfs/tmp/answer")" "status $no"
oci delete -f "$(id_of old)"
umount "$T/old/rootfs"

# shorter than ten milliseconds: its first program is the dropped one, in a volume
bundle short /vol/p payload
cp "$T/image/attacks" "$T/short/volume/p"
oci run --bundle "$T/short" "$(id_of short)" </dev/null >"$T/short.out" 2>&1
case $tier in lsm) check "short container" $? 1;; *) check "short container" $? 137;; esac
umount "$T/short/rootfs"

# the agent is killed; enforcement goes on, with what it was told before
kill -9 $sensor
wait $sensor 2>/dev/null
run unwatched /bin/sh -c 'cp /attacks /tmp/p; /tmp/p payload; exit $?' >"$T/unwatched.out" 2>&1
check "enforced without an agent" $? "$no"
cp "$T/events" "$T/events-1"
exec 9>&-
sensor_start "$@" || exit 1
check "the next one takes over" "$(sed -n 's/^ready .*took_over=//p' "$T/events")" 1
run taken /bin/sh -c 'cp /attacks /tmp/p; /tmp/p payload; exit $?' >"$T/taken.out" 2>&1
check "enforced after take-over" $? "$no"
sensor_stop
told() { cat "$@" | grep "id=$(id_of "$n" | cut -c1-12) " | grep -c "outcome=$outcome"; }
for n in old short; do check "$n told" "$(told "$T/events-1")" 1; done
check "what happened without an agent is told to the next" "$(n=unwatched told "$T/events")" 1
check "after take-over told" "$(n=taken told "$T/events")" 1
