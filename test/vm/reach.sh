#!/bin/sh
# reach.sh [TIER]: ways out of a container, protected files and calls that a control names: stopped where enforced and told,
# as they are without us under audit, and ordinary work untouched in both. The trace tier judges files by opening them alone.
. "$(dirname "$0")/lib.sh"
image
cp "$B/test/vm/reach" "$T/image/reach"
mkdir -p "$T/image/etc/cron.d"
: >"$T/image/mnt/cover"
echo secret >"$T/image/etc/secret"
sensor_start "$@" || exit 1
case $tier in lsm) stopped='refused 1' outcome=prevented;; *) stopped=killed outcome=killed;; esac
CAPS='"CAP_CHOWN","CAP_DAC_READ_SEARCH","CAP_DAC_OVERRIDE","CAP_FOWNER","CAP_FSETID","CAP_SETUID","CAP_SETGID","CAP_SYS_CHROOT","CAP_SYS_ADMIN","CAP_SYS_PTRACE","CAP_KILL","CAP_MKNOD"'
"$B/test/vm/reach" listen "$T/engine.sock" <"$T/stop" 9>&- &
listener=$!
until [ -S "$T/engine.sock" ]; do busybox usleep 20000; done
tool socket "$T/engine.sock"
settings="escape=block keyring=block perf=block userfaultfd=block ptrace=block setuid_files=block files_deny=/etc/secret read_only=/etc/passwd read_only=/etc/cron.d/**"
groups="calls escape opens names benign"
for g in $groups; do
    for n in enforced audited off; do
        mode=enforce
        [ $n != audited ] || mode=audit
        [ $n != off ] && set -- $settings || set --
        tool policy "$(id_of "$g-$n")" $mode "$@"
        bundle "$g-$n" /reach $g
        : >"$T/$g-$n/volume/harmless"
        sed -i "s|{\"destination\":\"/vol\"|{\"destination\":\"/vol/harmless\",\"type\":\"bind\",\"source\":\"$T/engine.sock\",\"options\":[\"bind\"]},&|; s|\(.*\)\({\"destination\":\"/vol/harmless\"[^}]*},\)\({\"destination\":\"/vol\"[^}]*}\)|\1\3,\2|; s|,\],|],|" "$T/$g-$n/config.json"
        runc --root "$T/runc" run --bundle "$T/$g-$n" "$(id_of "$g-$n")" </dev/null >"$T/$g-$n.out" 2>"$T/$g-$n.err"
        umount "$T/$g-$n/rootfs"
    done
done
sensor_stop
wait $listener

events() { grep "id=$(id_of "$1" | cut -c1-12) " "$T/events" | grep -c "$2"; }
for g in $groups; do
    [ -s "$T/$g-off.out" ] || { cat "$T/$g-off.err"; check "$g ran at all" no yes; }
    while read -r name result; do
        now=$(sed -n "s/^$name //p" "$T/$g-enforced.out")
        case $g:$tier:$result in
        benign:*) check "benign $name" "$now" "$result";;
        names:trace:*) ;; # names are not judged there, and doctor says so
        *:ran) check "enforced $g $name" "$now" "$stopped";;
        esac
        [ "$g:$name" = names:rename ] || check "audited $g $name" "$(sed -n "s/^$name //p" "$T/$g-audited.out")" "$result"
    done <"$T/$g-off.out"
    check "$g: nothing told as stopped when off" "$(events $g-off "outcome=$outcome")" 0
    check "$g: nothing stopped in audit" "$(events $g-audited "outcome=$outcome")" 0
done
check "benign told as stopped" "$(events benign-enforced "outcome=$outcome")" 0
at_least "calls told" "$(events calls-enforced "outcome=$outcome")" 4
at_least "escapes told" "$(events escape-enforced "control=escape.*outcome=$outcome")" 6
at_least "opens told" "$(events opens-enforced "control=files.*outcome=$outcome")" 6
[ "$tier" = trace ] || at_least "names told" "$(events names-enforced "control=files.*outcome=$outcome")" 9
