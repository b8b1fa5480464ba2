#!/bin/bash
# The frame of the program: exit codes, messages for typos, help for every name, and nothing on standard output when it fails.
# usage: cli.sh PROGRAM
set -u
frugal=$1
[ -x "$frugal" ] || { echo "usage: cli.sh PROGRAM, found '$frugal'"; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failures=0

complain() {
    echo "FAILED: $*"
    sed 's/^/    /' "$folder/err" | head -5
    failures=$((failures + 1))
}

# refused CODE "words of the message" ARGUMENTS...: the exit code, the message on standard error, and nothing on standard output.
refused() {
    local code=$1 words=$2
    shift 2
    "$frugal" "$@" >"$folder/out" 2>"$folder/err" </dev/null
    local got=$?
    [ $got = "$code" ] || complain "frugal $*: exit code $got, expected $code"
    grep -qF -- "$words" "$folder/err" || complain "frugal $*: standard error lacks: $words"
    [ ! -s "$folder/out" ] || complain "frugal $*: failed, but wrote to standard output"
}

# works "words of the result" ARGUMENTS...: exit code 0, the words on standard output, nothing on standard error.
works() {
    local words=$1
    shift
    "$frugal" "$@" >"$folder/out" 2>"$folder/err" </dev/null
    local got=$?
    [ $got = 0 ] || complain "frugal $*: exit code $got, expected 0"
    grep -qF -- "$words" "$folder/out" || complain "frugal $*: standard output lacks: $words"
    [ ! -s "$folder/err" ] || complain "frugal $*: wrote to standard error"
}

# ---- typos ----
refused 2 "usage: frugal VERB"
refused 2 "frugal: unknown verb 'lits'; did you mean 'list'?" lits
refused 2 "unknown verb 'xyzzy'" xyzzy
refused 2 "frugal list: unknown option '--jsno'; did you mean '--json'?" list --jsno
refused 2 "unknown option '-j'" list -j
refused 2 "unknown option '--lr'" list --lr=1
refused 2 "unknown option '--$(printf 'x%.0s' {1..30})" list "--$(printf 'x%.0s' {1..500})"
refused 2 "--json takes no value" list --json=1
refused 2 "--threads needs a value" list --threads
refused 2 "--threads needs a value" list --threads --json
refused 2 "--threads: found '0', expected a whole number, 1 to 1024" list --threads 0
refused 2 "--threads: found 'many', expected a whole number, 1 to 1024" --threads many list
refused 2 "found 2 operands ('b' is one too many), expected at most 1" list a b
refused 2 "usage: frugal list [POINT]" list a b
refused 2 "unknown point 'optimiser'; did you mean 'optimizer'?" list optimiser
refused 2 "unknown point '--json'" list -- --json
refused 2 "nothing is called 'adamv'; did you mean 'adamw'?" help adamv
refused 2 "nothing is called 'optimizer.adamw.lrr'; did you mean 'lr'?" help optimizer.adamw.lrr
refused 2 "nothing is called ''" help ""
refused 2 "markdown=true: options are written with dashes: --markdown=true" help markdown=true
refused 2 "--markdown: found 'maybe', expected true or false" help --markdown=maybe
refused 2 "--markdown and --json exclude each other" help --markdown --json
FRUGAL_THREADS=some refused 2 "FRUGAL_THREADS: found 'some', expected a whole number, 1 to 1024" list

# ---- help ----
works "usage: frugal VERB" --help
works "usage: frugal VERB" -h
works "usage: frugal VERB" help
works "usage: frugal list [POINT]" list --help
works "usage: frugal list [POINT]" list --nonsense --help a b c
works "oneDNN" --version
works '"isa"' --version --json
works "threads: 3" --threads 3 --version
works "threads: 5" --version --threads=5
works "| \`lr\` | number" help --markdown adamw
works "## optimizer" help --markdown
works "optimizer adamw" help lr
works "optimizer adamw" help optimizer.adamw.lr
works "--max-tokens" help -- --max-tokens
works "--max-tokens" help max_tokens
works '"point": "optimizer"' help adamw --json

verbs=$("$frugal" list verb | sed -n 's/^  \([a-z]*\) .*/\1/p')
[ "$(echo "$verbs" | wc -l)" -ge 8 ] || complain "frugal list verb shows: $verbs"
for verb in $verbs; do
    works "usage: frugal $verb" "$verb" --help
    works "usage: frugal $verb" help "$verb"
    refused 2 "unknown option '--no-such-option'" "$verb" --no-such-option
done

# ---- lists ----
works "operator: " list
works "adamw" list optimizer
works '"point": "model"' list model --json
names=$("$frugal" list --json | sed -n 's/^ *"name": "\(.*\)",*$/\1/p' | sort -u)
[ "$(echo "$names" | wc -l)" -ge 40 ] || complain "frugal list --json has only these names: $names"
points=$("$frugal" list --json | sed -n 's/^ *"point": "\(.*\)",*$/\1/p' | sort -u)
while IFS= read -r name; do
    works "$name" help "$name"
done <<<"$names
$points"
for point in $points; do
    works "$point: " list "$point"
done
# Every option of every name can be asked for.
options=$("$frugal" help --json | sed -n 's/^ *"name": "\(.*\)",*$/\1/p' | sort -u)
while IFS= read -r option; do
    works "" help "$option"
done <<<"$options"

# ---- operands, words and files ----
refused 2 "no/such/recipe.yaml: No such file or directory" train no/such/recipe.yaml --out "$folder/run"
[ ! -e "$folder/run" ] || complain "a run folder was made for a recipe that is not there"
awk 'BEGIN { srand(1); for (d = 0; d < 300; d++) { for (w = 0; w < 300; w++) { n = 2 + int(6 * rand()); for (c = 0; c < n; c++)
    printf "%c", 97 + int(26 * rand() * rand()); printf " " } print "\n" } }' >"$folder/text.txt"
"$frugal" data "$folder/text.txt" --out "$folder/data" --quiet tokenizer.vocabulary=300 >"$folder/out" 2>"$folder/err" ||
    complain "frugal data failed"
recipe() {
    printf '%s\n' "$@" >"$folder/recipe.yaml"
}
train() {
    refused 2 "$1" train "$folder/recipe.yaml" --out "$folder/run" "${@:2}"
    [ ! -e "$folder/run" ] || complain "a run folder was made for a wrong recipe"
}
recipe "train: {stps: 5}"
train "$folder/recipe.yaml:1: unknown key 'stps' in section train; did you mean 'steps'?"
recipe "model: {kind: llamma}" "train: {steps: 1}" "data: {folder: $folder/data}"
train "$folder/recipe.yaml:1: unknown model 'llamma'; did you mean 'llama'?"
recipe "optimiser: {kind: adamw}"
train "$folder/recipe.yaml:1: unknown section 'optimiser'; did you mean 'optimizer'?"
recipe "model: {kind: llama}" "optimizer: {kind: adamw," "  lr: fast}"
train "$folder/recipe.yaml:3: optimizer.adamw.lr: found 'fast', expected a number"
recipe "model: [1"
train "$folder/recipe.yaml:2: not valid YAML"
recipe "model: {kind: llama}"
train "<command line>: unknown key 'lrr' in section optimizer.adamw; did you mean 'lr'?" optimizer.lrr=1
train "unknown option '--optimizer.lr'; keys of a recipe are written without dashes: optimizer.lr=..." --optimizer.lr=1

# What help shows works.
works "checkpoint" plan recipes/small.yaml data.folder="$folder/data" train.steps=2000
works "checkpoint" plan recipes/small.yaml model.vocab_size=8192
works "checkpoint" plan "$folder/data" --budget 30m --recipe "$folder/mine.yaml"
works "checkpoint" plan "$folder/mine.yaml"
refused 2 "vocab_size is not set, and no tokenizer tells it" plan recipes/small.yaml

# ---- standard output ----
"$frugal" list >/dev/full 2>"$folder/err"
[ $? = 1 ] || complain "a full disk did not give exit code 1"
grep -q "cannot write to standard output: No space left on device" "$folder/err" || complain "a full disk was not told"
{
    sleep 0.2
    "$frugal" list 2>"$folder/err"
    echo $? >"$folder/code"
} | :
[ "$(cat "$folder/code")" = 1 ] || complain "a closed pipe did not give exit code 1"
grep -q "cannot write to standard output: Broken pipe" "$folder/err" || complain "a closed pipe was not told"

# A closed stream's number must not go to a file that is opened later, into which results would be printed.
"$frugal" list >&- 2>"$folder/err"
[ $? = 1 ] || complain "a closed standard output did not give exit code 1"
grep -q "cannot write to standard output" "$folder/err" || complain "a closed standard output was not told"
"$frugal" tokenize tests/fixtures/tokenizer_gpt2 <&- >"$folder/out" 2>"$folder/err"
[ $? = 1 ] || complain "a closed standard input did not give exit code 1"
"$frugal" list nonsense 2>&- >"$folder/out"
[ $? = 2 ] || complain "a closed standard error changed the exit code"
[ ! -s "$folder/out" ] || complain "a message went where standard output is"

# ---- signals ----
# Job control gives background jobs their SIGINT back, which scripts otherwise have ignored.
set -m
mkfifo "$folder/endless"
"$frugal" tokenize tests/fixtures/tokenizer_gpt2 <"$folder/endless" >"$folder/out" 2>"$folder/err" &
waiting=$!
exec 9>"$folder/endless"
sleep 0.5
kill -INT $waiting
wait $waiting
[ $? = 130 ] || complain "SIGINT while waiting for input did not give exit code 130"
grep -q "Ctrl-C again stops at once" "$folder/err" || complain "SIGINT was not answered"
exec 9>&-

# A step that takes minutes: the first SIGINT waits for it, the second does not.
recipe "data: {folder: $folder/data}" "model: {kind: llama, hidden_size: 256}" \
    "train: {steps: 5, micro_batch: 1, accumulation: 100000, length: 256}"
"$frugal" train "$folder/recipe.yaml" --out "$folder/run" >"$folder/out" 2>"$folder/err" &
training=$!
sleep 1.5
kill -INT $training
sleep 0.5
kill -0 $training 2>"$folder/err" || complain "the first SIGINT did not wait for the step"
kill -INT $training
wait $training
[ $? = 130 ] || complain "the second SIGINT did not give exit code 130"
set +m

[ $failures = 0 ] && echo "all passed"
exit $((failures > 0))
