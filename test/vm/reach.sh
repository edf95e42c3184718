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
for n in enforced audited off; do
    mode=enforce
    [ $n != audited ] || mode=audit
    [ $n != off ] && set -- $settings || set --
    tool policy "$(id_of "$n")" $mode "$@"
    bundle "$n" /reach calls escape opens benign names
    : >"$T/$n/volume/harmless"
    sed -i "s|{\"destination\":\"/vol\"[^}]*}|&,{\"destination\":\"/vol/harmless\",\"type\":\"bind\",\"source\":\"$T/engine.sock\",\"options\":[\"bind\"]}|" "$T/$n/config.json"
    oci run --bundle "$T/$n" "$(id_of "$n")" </dev/null >"$T/$n.out" 2>"$T/$n.err"
    umount "$T/$n/rootfs"
done
sensor_stop
wait $listener

events() { grep "id=$(id_of "$1" | cut -c1-12) " "$T/events" | grep -c "$2"; }
at_least "variants" "$(wc -l <"$T/off.out")" 45
while read -r name result; do
    now=$(sed -n "s/^$name //p" "$T/enforced.out")
    case $name:$tier:$result in
    benign.*) check "benign twin $name" "$now" "$result";;
    names.*:trace:*) ;; # names are not judged there, and doctor says so
    calls.umount:*) ;;  # no control of this list
    *:ran) check "enforced $name" "$now" "$stopped";;
    esac
    check "audited $name" "$(sed -n "s/^$name //p" "$T/audited.out")" "$result"
done <"$T/off.out"
check "nothing told as stopped when off" "$(events off "outcome=$outcome")" 0
check "nothing stopped in audit" "$(events audited "outcome=$outcome")" 0
told() { at_least "$1 told" "$(events enforced "control=$2.*outcome=$outcome")" "$3"; }
told calls "\(keyring\|perf\|userfaultfd\|ptrace\|setuid_files\)" 4
told escapes escape 6
told opens files 6
[ "$tier" = trace ] || told "names and opens" files 15
