#!/usr/bin/env bash
# make.sh PROGRAM: the main job from end to end on the repository's own prose and code, its refusals, Ctrl-C and --resume.
# shellcheck source=tests/integration/common.sh
. "$(dirname "$0")/common.sh"

expect() { said err "$@"; } # the exit code, words of standard error, the command

number() { # KEY FILE: the first number of that key
    grep -oE "\"$1\": *[-0-9.e+]+" "$2" | head -n 1 | sed 's/.*: *//'
}

# The whole, on a budget in arithmetic so that it does not depend on the clock.
text=("$sources/docs" "$sources/include" "$sources/src/tensor" "$sources/src/train")
"$frugal" make "${text[@]}" --budget 2e11flops --out model --json --quiet >made.json 2>err </dev/null ||
    fail "make ended with $?: $(cat err)"
for file in config.json generation_config.json model.safetensors tokenizer.json tokenizer_config.json README.md \
    run/recipe.yaml run/metrics.jsonl run/summary.json run/result.json run/report.html run/data/report.json; do
    [ -s "model/$file" ] || fail "make wrote no $file"
done
[ ! -e model/run/model ] || fail "make left a second model in the run folder"

# eval of the same documents says what make said.
"$frugal" eval model model/run/data/held_out.jsonl --json --quiet >eval.json 2>err || fail "eval: $(cat err)"
made=$(number bits_per_byte made.json)
evaluated=$(number bits_per_byte eval.json)
[ "${made:-none}" = "$evaluated" ] || fail "make says $made bits per byte, eval says $evaluated"

# It beats an even guess over bytes by far, and talks.
awk -v bits="$made" 'BEGIN { exit !(bits > 0.5 && bits < 5) }' || fail "$made bits per byte is no result"
"$frugal" generate model "The tape" --max-tokens 8 --temperature 0 --quiet >first 2>err || fail "generate: $(cat err)"
"$frugal" generate model "The tape" --max-tokens 8 --temperature 0 --quiet >second 2>err
[ -s first ] || fail "greedy text is empty"
cmp -s first second || fail "greedy text is not the same twice"

# The same seed and budget give the same model on one thread.
"$frugal" make "${text[@]}" --budget 2e11flops --out again --json --quiet --threads 1 >again.json 2>err </dev/null ||
    fail "the second make: $(cat err)"
cmp -s model/model.safetensors again/model.safetensors || fail "one thread gave another model"

# Refusals, with nothing left behind.
: >empty
printf 'x' >one-byte
expect 2 "already holds a model" "$frugal" make empty --budget 1m --out model
expect 2 "is empty" "$frugal" make empty --budget 1m --out none
expect 2 "no text is left" "$frugal" make one-byte --budget 1m --out none
expect 2 "looks like a binary file" "$frugal" make "$frugal" --budget 1m --out none
expect 2 "cannot read missing" "$frugal" make missing --budget 1m --out none
expect 2 "is not understood" "$frugal" make "${text[@]}" --budget 5x --out none
expect 2 "must be more than nothing" "$frugal" make "${text[@]}" --budget -5m --out none
expect 2 "--price-per-hour" "$frugal" make "${text[@]}" --budget 2EUR --out none
expect 2 "too small" "$frugal" make "${text[@]}" --budget 1e6flops --out none
expect 2 "did you mean 'length'" "$frugal" make "${text[@]}" --budget 1m --out none train.lenght=64
expect 2 "expected a whole number" "$frugal" make "${text[@]}" --budget 1m --out none train.length=long
expect 2 "holds no run" "$frugal" make --out none --resume
expect 2 "--out" "$frugal" make "${text[@]}" --budget 1m
[ ! -e none ] || fail "a refused make left a folder"
mkdir full && touch full/file
expect 2 "not empty" "$frugal" make "${text[@]}" --budget 1m --out full

# A job that was killed goes on from its folder alone, whatever step it was at, and ends with the same bits.
small=("$sources/include" --budget 6e10flops --quiet)
mkdir "a folder" # and an empty folder may be there already
"$frugal" make "${small[@]}" --out "a folder/" >out 2>err </dev/null || fail "make of a little: $(cat err)"
grep -q "^# a folder$" "a folder/README.md" || fail "the card has another name: $(grep '^#' 'a folder/README.md')"
grep -q "frugal generate 'a folder'" "a folder/README.md" || fail "the card's command does not quote the name"
same() { # FOLDER WORDS: it is done and the same model
    [ -s "$1/README.md" ] || fail "$2: not done"
    cmp -s "a folder/model.safetensors" "$1/model.safetensors" || fail "$2: another model"
}
"$frugal" make "${small[@]}" --out killed >out 2>err </dev/null &
job=$!
until [ -s killed/run/make.json ]; do :; done
kill -KILL "$job"
wait "$job" 2>err
[ ! -e killed/run/data ] || fail "the job was killed too late for this test"
expect 2 "frugal make --out killed --resume" "$frugal" make "${small[@]}" --out killed
expect 2 "begun with --budget 6e10flops, now it is 5m" "$frugal" make --out killed --resume --budget 5m
expect 2 "begun with the text $sources/include" "$frugal" make "$sources/docs" --out killed --resume
expect 2 "begun with other words" "$frugal" make --out killed --resume train.clip=2
(cd / && "$frugal" make --out "$folder/killed" --resume --quiet >"$folder/out" 2>"$folder/err" </dev/null) ||
    fail "resume of a job killed while it prepared text: $(cat err)"
same killed "killed while it prepared text"
[ -z "$(find killed -name '*partial*')" ] || fail "a killed process's half-made text was left"
rm killed/README.md killed/config.json killed/run/result.json # as if killed while the model was put in its place
"$frugal" make "${small[@]}" --out killed --resume >out 2>err </dev/null || fail "resume while publishing: $(cat err)"
same killed "killed while it published"
expect 2 "nothing is left to do" "$frugal" make --out killed --resume

# Ctrl-C in the middle, then --resume; meanwhile the folder belongs to one process.
set -m
"$frugal" make "$sources/include" --budget 10s --out stopped --quiet >out 2>err </dev/null &
job=$!
until [ -s stopped/run/metrics.jsonl ]; do sleep 0.1; done
expect 2 "already holds a run" "$frugal" make "$sources/include" --budget 10s --out stopped
expect 2 "in use by another process" "$frugal" make --out stopped --resume
"$frugal" make "${small[@]}" --out reading >out2 2>err2 </dev/null &
reading=$!
until [ -s reading/run/make.json ]; do :; done
kill -INT "$reading"
wait "$reading"
code=$?
[ "$code" = 130 ] || fail "a make interrupted while reading ended with $code: $(cat err2)"
grep -q 'Go on with: frugal make --out reading --resume' err2 || fail "it did not say how to go on: $(cat err2)"
kill -INT "$job"
wait "$job"
code=$?
[ "$code" = 130 ] || fail "an interrupted make ended with $code: $(cat err)"
"$frugal" make --out stopped --resume --quiet >out 2>err </dev/null || fail "make --resume: $(cat err)"
[ -s stopped/config.json ] || fail "make --resume wrote no model"

[ "$failures" = 0 ] && echo "make: all checks passed"
exit "$((failures > 0))"
