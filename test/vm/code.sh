#!/bin/sh
# code.sh [TIER]: each way to run code that is no part of the image is stopped in an enforcing container and told,
# runs in an auditing one and is told with what enforce would have done; benign programs run in both.
. "$(dirname "$0")/lib.sh"
image
sensor_start "$@" || exit 1
case $tier in lsm) stopped='refused 1' level=block outcome=prevented;; *) stopped=killed level=kill outcome=killed;; esac
set_policy() { n=$1 m=$2; shift 2; tool policy "$(id_of "$n")" "$m" drift=block fileless=block scripts=alert "$@"; }

set_policy enforced enforce
set_policy audited audit
for group in code loader benign; do
    set_policy "enforced-$group" enforce
    set_policy "audited-$group" audit
    run "enforced-$group" /attacks $group >"$T/enforced-$group.out" 2>"$T/enforced-$group.err"
    run "audited-$group" /attacks $group >"$T/audited-$group.out" 2>"$T/audited-$group.err"
done
sensor_stop

for group in code loader; do
    while read -r name result; do
        case $tier-$name in # what the refusal of a mapping looks like from outside
        lsm-ldso) want="refused 27";;            # ld.so gives up with 127
        lsm-preload) want="failed 7";;           # ld.so goes on without the library
        lsm-interpreter) want="failed signal";;  # past the point of no return the kernel ends it
        *) want=$stopped;;
        esac
        check "enforced $name" "$result" "$want"
        want=ran
        [ "$name" = interpreter ] && want="failed signal" # ours is no loader: that it crashed shows that it ran
        check "audited $name" "$(sed -n "s/^$name //p" "$T/audited-$group.out")" "$want"
    done <"$T/enforced-$group.out"
    check "$group variants" "$(wc -l <"$T/enforced-$group.out")" "$(wc -l <"$T/audited-$group.out")"
done
check "code variants" "$(wc -l <"$T/enforced-code.out")" 22
check "loader variants" "$(wc -l <"$T/enforced-loader.out")" 4
while read -r name result; do check "benign $name" "$result" ran; done <"$T/enforced-benign.out"
check "benign variants" "$(wc -l <"$T/enforced-benign.out")" 10

events() { grep "id=$(id_of "$1" | cut -c1-12) " "$T/events" | grep -c "$2"; }
check "told as stopped" "$(events enforced-code "outcome=$outcome would=$level")" 22
check "told by the loader's group" "$(events enforced-loader "outcome=$outcome would=$level")" 4
check "nothing benign told as stopped" "$(events enforced-benign "outcome=$outcome")" 0
check "nothing stopped in audit" "$(events audited-code "outcome=$outcome")" 0
at_least "audit tells what enforce would do" "$(events audited-code "outcome=detected would=$level")" 10
check "nothing lost" "$(sed -n 's/^end .*lost=//p' "$T/events")" 0,0
