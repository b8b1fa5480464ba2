# common.sh: what the scripts here begin with. Sourced from the repository's root, as `. "$(dirname "$0")/common.sh"`, with PROGRAM
# as the script's first argument. It goes into an empty folder, which is removed in the end, and counts failures.
# shellcheck shell=bash disable=SC2034
set -u
frugal=$(realpath "$1")
sources=$PWD
fixtures=$PWD/tests/fixtures
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0

fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# said FILES CODE WORDS COMMAND...: the exit code, and words that the FILES, which are of "out err", must hold.
said() {
    local files=$1 code=$2 words=$3 got
    shift 3
    "$@" >out 2>err </dev/null
    got=$?
    [ "$got" = "$code" ] || fail "'$*' ended with $got, expected $code: $(tail -n 3 err)"
    # shellcheck disable=SC2086
    cat $files | grep -qF -e "$words" || fail "'$*' did not say '$words' but: $(tail -n 3 $files)"
}
