# bash completion for bulkhead. Commands and options are asked of the program itself, so they are never out of date.
_bulkhead() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} program=${COMP_WORDS[0]} command=${COMP_WORDS[1]}
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "$("$program" --help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\)  *.*/\1/p') --help --version" -- "$cur"))
        return
    fi
    case $command:$prev in
        *:--format) COMPREPLY=($(compgen -W "$(_bulkhead_formats "$command")" -- "$cur")) ;;
        *:--severity|*:--fail-on) COMPREPLY=($(compgen -W "info low medium high critical negligible" -- "$cur")) ;;
        token:--kind) COMPREPLY=($(compgen -W "agent ci user" -- "$cur")) ;;
        token:token) COMPREPLY=($(compgen -W "create list revoke" -- "$cur")) ;;
        get:get) COMPREPLY=($(compgen -W "agents images verdicts containers policies events audit tokens users intel" -- "$cur")) ;;
        put:put) COMPREPLY=($(compgen -W "intel intel-key report" -- "$cur")) ;;
        delete:delete) COMPREPLY=($(compgen -W "policy agent token user" -- "$cur")) ;;
        policy:policy) COMPREPLY=($(compgen -W "check plan apply simulate promote" -- "$cur")) ;;
        profile:profile) COMPREPLY=($(compgen -W "list show export diff merge propose" -- "$cur")) ;;
        rules:rules) COMPREPLY=($(compgen -W "check list show test fields" -- "$cur")) ;;
        intel:intel) COMPREPLY=($(compgen -W "build verify info diff show delta apply publish update rescan" -- "$cur")) ;;
        attestation:attestation) COMPREPLY=($(compgen -W "verify" -- "$cur")) ;;
        version:version) COMPREPLY=($(compgen -W "compare" -- "$cur")) ;;
    esac
    [ "${#COMPREPLY[@]}" -gt 0 ] && return
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$("$program" "$command" --help 2>/dev/null | grep -oE -- '--[a-z][a-z-]+' | sort -u) --help" -- "$cur"))
    else
        COMPREPLY=($(compgen -f -- "$cur"))
    fi
}

_bulkhead_formats() {
    case $1 in
        get) echo table json yaml ;;
        *) echo table json sarif junit cyclonedx spdx html tsv ;;
    esac
}

complete -o filenames -F _bulkhead bulkhead
