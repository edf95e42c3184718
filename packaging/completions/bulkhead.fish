# fish completion for bulkhead. Commands and options are asked of the program itself, so they are never out of date.
function __bulkhead_commands
    bulkhead --help 2>/dev/null | string replace -rf '^  ([a-z][a-z-]*) +(.*)' '$1\t$2'
end
function __bulkhead_options
    set -l words (commandline -opc)
    bulkhead $words[2] --help 2>/dev/null | string match -rga -- '(--[a-z][a-z-]+)' | sort -u
end
complete -c bulkhead -n __fish_use_subcommand -f -a '(__bulkhead_commands)'
complete -c bulkhead -n 'not __fish_use_subcommand; and string match -q -- "-*" (commandline -ct)' -f -a '(__bulkhead_options)'
