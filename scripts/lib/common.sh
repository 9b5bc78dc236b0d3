# What the scripts share; sourced, with $root set to the source tree.

NODE_MAJOR=20
# Where scripts/deps puts a Node.js when the system's is too old.
PATH=$root/build/node/bin:$PATH
export PATH

# One line about what is going on, for people.
say() {
    if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
        printf '\033[36m▸\033[0m %s\n' "$*"
    else
        printf '▸ %s\n' "$*"
    fi
}

# fail MESSAGE [HINT]: ends the script.
fail() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

# show_help SCRIPT CODE: its head comment; to stderr and with an exit code when misused.
show_help() {
    [ "$2" = 0 ] || exec >&2
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$1"
    exit "$2"
}

node_is_new_enough() {
    command -v node >/dev/null 2>&1 &&
        [ "$(node --version | sed 's/^v\([0-9]*\).*/\1/')" -ge "$NODE_MAJOR" ]
}
