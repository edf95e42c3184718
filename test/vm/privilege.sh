#!/bin/sh
# privilege.sh [TIER]: each privilege control set to block stops its call; the same calls work under audit and are told.
. "$(dirname "$0")/lib.sh"
image
sensor_start "$@" || exit 1
case $tier in lsm) stopped='refused 1' level=block outcome=prevented;; *) stopped=killed level=kill outcome=killed;; esac
controls="namespaces=block ptrace=block mount=block bpf=block io_uring=block escalation=block modules=block"
tool policy "$(id_of enforced)" enforce $controls
tool policy "$(id_of audited)" audit $controls
tool policy "$(id_of off)" enforce
for n in enforced audited off; do run $n /attacks privilege >"$T/$n.out" 2>"$T/$n.err"; done
sensor_stop

while read -r name result; do check "enforced $name" "$result" "$stopped"; done <"$T/enforced.out"
check "variants" "$(wc -l <"$T/enforced.out")" 12
# Under audit, and with the controls off, each call does what it does without us.
while read -r name result; do
    case $name in
    vm_write) want=ran;;
    *) want=$(sed -n "s/^$name //p" "$T/off.out");;
    esac
    check "audited $name" "$result" "$want"
done <"$T/audited.out"
check "calls that work unguarded" "$(grep -c ' ran$' "$T/off.out")" "1[0-2]"
events() { grep "id=$(id_of "$1" | cut -c1-12) " "$T/events" | grep -c "$2"; }
check "told as stopped" "$(events enforced "outcome=$outcome")" 12
check "nothing stopped in audit" "$(events audited "outcome=$outcome")" 0
at_least "audit tells what enforce would do" "$(events audited "outcome=detected would=$level")" 8
check "nothing told as stopped when off" "$(events off "action=[ab]")" 0
