#!/usr/bin/env bash
# convert.sh PROGRAM: model folders in and out: convert, hub verify, a conversation.
# shellcheck source=tests/integration/common.sh
. "$(dirname "$0")/common.sh"
docs=$sources/docs

expect() { said "out err" "$@"; } # the exit code, words of either output, the command

same() { cmp -s "$1" "$2" || fail "$1 differs from $2"; }

# ---- convert ----
cp -r "$fixtures/models/qwen3" model
expect 0 "1 file" "$frugal" convert model one
expect 0 "1 file" "$frugal" convert one twice
same one/model.safetensors twice/model.safetensors
expect 0 "in 4 files" "$frugal" convert model shards --shard-size 8K
expect 0 '"files": 1' "$frugal" convert shards again --json --shard-size 0
same again/model.safetensors one/model.safetensors
same again/config.json one/config.json
expect 0 "in bf16" "$frugal" convert model narrow --dtype bf16
expect 0 "in bf16" "$frugal" convert narrow narrow2
same narrow/model.safetensors narrow2/model.safetensors
echo '{ "kept": "as it is" }' >model/special_tokens_map.json
echo '{{ mine }}' >model/chat_template.jinja
echo '{"eos_token_id": 2,   "temperature": 0.60}' >model/generation_config.json
echo '# A card' >model/README.md
expect 0 "1 file" "$frugal" convert model kept
for file in special_tokens_map.json chat_template.jinja generation_config.json README.md; do
    same "kept/$file" "model/$file"
done
expect 2 "onto itself" "$frugal" convert model model
expect 2 "onto itself" "$frugal" convert model ./model/../model
expect 2 "is not empty" "$frugal" convert model one
expect 0 "in f16" "$frugal" convert model shards --force --dtype f16
[ ! -e shards/model.safetensors.index.json ] || fail "stale shards were left"
expect 2 "there is no such" "$frugal" convert nothing out1
: >a-file
expect 2 "a-file" "$frugal" convert model a-file
expect 2 "found 'int3'" "$frugal" convert model x --dtype int3

# ---- verify ----
expect 0 "all finite" "$frugal" hub verify one
expect 0 '"good": true' "$frugal" hub verify one --json
sed -i 's/"model-00002-of-00002.safetensors"/"..\/one\/model.safetensors"/' "$(
    cp -r "$fixtures/models/gpt2-variant" leaving
    echo leaving/model.safetensors.index.json
)"
expect 1 "is not the name of a file of this folder" "$frugal" hub verify leaving
expect 1 "problem" "$frugal" hub verify leaving
expect 1 '"good": false' "$frugal" hub verify leaving --json
expect 2 "no such folder" "$frugal" hub verify nothing
expect 2 "did you mean 'verify'" "$frugal" hub verfiy
expect 2 "no verb of hub" "$frugal" hub
expect 0 "check a model folder" "$frugal" help hub
expect 0 "usage: frugal hub verify DIR" "$frugal" help hub verify
expect 0 "usage: frugal hub verify DIR" "$frugal" hub verify --help

# ---- a conversation ----
"$frugal" make "$docs" --budget 6e10flops --out small --quiet >out 2>err </dev/null || fail "make: $(cat err)"
expect 0 "the files agree" "$frugal" hub verify small
expect 2 "has no chat template" "$frugal" generate small --chat "Hello"
expect 2 "did you mean 'chatml'" "$frugal" generate small --chat "Hello" --template chatlm
expect 2 "need --chat" "$frugal" generate small "Hello" --system "x"
expect 2 "exclude each other" "$frugal" generate small "Hello" --chat --samples 2
expect 2 "has no place for a system text" "$frugal" generate small "Hello" --chat --template gemma --system "x"
expect 0 '"template": "chatml"' "$frugal" generate small "Hello" --chat --template chatml --max-tokens 5 --json
echo '{{ their own }}' >small/chat_template.jinja
expect 2 "it begins '{{ their own }}'" "$frugal" generate small --chat "Hello"
rm small/chat_template.jinja
"$frugal" generate small "One two" --chat --template zephyr --max-tokens 5 --temperature 0 --quiet >a 2>err </dev/null ||
    fail "chat: $(cat err)"
echo "One two" | "$frugal" generate small --chat --template zephyr --max-tokens 5 --temperature 0 --quiet >b 2>err ||
    fail "chat from a pipe: $(cat err)"
same a b
long=$(printf 'word %.0s' {1..4000})
expect 2 "leaves no room to go on" "$frugal" generate small "$long" --chat --template chatml

[ $failures = 0 ] || exit 1
echo "all good"
