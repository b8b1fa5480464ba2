#!/usr/bin/env bash
# tasks.sh PROGRAM: every recipe of a task through the program, on tiny models: plan, train, go on, judge, predict, export again.
# shellcheck source=tests/integration/common.sh
. "$(dirname "$0")/common.sh"
families=$fixtures/families

# ---- data and a tokenizer of twenty words ----

mkdir tokenizer
{
    printf '{"version": "1.0", "added_tokens": [{"id": 3, "content": "[MASK]", "special": true, "single_word": false,'
    printf ' "lstrip": false, "rstrip": false, "normalized": false}], "pre_tokenizer": {"type": "WhitespaceSplit"},'
    printf ' "model": {"type": "WordLevel", "unk_token": "w0", "vocab": {"[MASK]": 3'
    for i in 0 1 2 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do printf ', "w%d": %d' $i $i; done
    printf '}}}\n'
} >tokenizer/tokenizer.json
cp "$sources/tests/fixtures/pictures/deep_rgb.png" dark.png
cp "$sources/tests/fixtures/pictures/grey.png" grey.png
for i in 0 1 2 3 4 5 6 7 8 9 10 11; do
    a=$((4 + i % 4)) b=$((12 + i % 3))
    if [ $((i % 2)) = 0 ]; then
        label=early right=0 picture=dark.png word=w$a
    else
        label=late right=1 picture=grey.png word=w$b
    fi
    echo "{\"text\": \"$word w9\", \"label\": \"$label\"}" >>classify.jsonl
    echo "{\"words\": [\"$word\", \"w9\"], \"tags\": [\"B-$label\", \"O\"]}" >>tag.jsonl
    echo "{\"text\": \"w9\", \"choices\": [\"w$a\", \"w$b\"], \"label\": $right}" >>choose.jsonl
    echo "{\"text\": \"$word w$i\", \"positive\": \"$word\"}" >>embed.jsonl
    echo "{\"text\": \"$word w9\", \"target\": \"w$a w10\"}" >>translate.jsonl
    echo "{\"text\": \"$word w9 w10\"}" >>mask.jsonl
    echo "{\"image\": \"$picture\", \"label\": \"$label\"}" >>pictures.jsonl
    echo "{\"image\": \"$picture\", \"text\": \"$word w$i w19\"}" >>captions.jsonl
done

# ---- each recipe ----

# run RECIPE FAMILY FIGURE PREDICTION: FIGURE "" where frugal eval judges no such model.
run() {
    local name=$1 family=$2 figure=$3 prediction=$4
    local words=("model.from=$families/$family" "data.examples.train=$name.jsonl"
        data.examples.held_out_share=0.25 train.micro_batch=4 train.length=8 train.log_every=1)
    [ "$name" = pictures ] || words+=(data.tokenizer=tokenizer)
    "$frugal" plan "$sources/recipes/$name.yaml" "${words[@]}" --quiet >planned 2>err || fail "plan $name: $(cat err)"
    grep -q "the run" planned || fail "plan $name says no length of the run: $(cat planned)"
    "$frugal" train "$sources/recipes/$name.yaml" "${words[@]}" train.epochs=2 --out "$name" --quiet >out 2>err ||
        fail "train $name: $(cat err)"
    "$frugal" train "$sources/recipes/$name.yaml" "${words[@]}" train.epochs=4 --out "$name" --resume --quiet >out 2>err ||
        fail "going on with $name: $(cat err)"
    grep -q '"stopped_by": *"epochs"' "$name/summary.json" || fail "$name did not end by epochs"
    "$frugal" hub verify "$name/model" --quiet >out 2>err || fail "verify $name: $(cat out err)"
    if [ -z "$figure" ]; then
        return
    fi
    grep -q "\"$figure\"" "$name/metrics.jsonl" || fail "$name: no $figure in the metrics"
    "$frugal" eval "$name/model" "$name.jsonl" --predictions said.jsonl --json --quiet >out 2>err ||
        fail "eval $name: $(cat err)"
    grep -q "\"$figure\"" out || fail "eval $name says no $figure: $(cat out)"
    if [ -n "$prediction" ]; then
        [ "$(grep -c "$prediction" said.jsonl)" = 12 ] || fail "$name: predictions are $(head -n 2 said.jsonl)"
    fi
    # What was exported begins another run, and is judged the same after it was converted.
    "$frugal" convert "$name/model" "$name-again" --quiet >out2 2>err || fail "convert $name: $(cat err)"
    "$frugal" eval "$name-again" "$name.jsonl" --json --quiet >out2 2>err || fail "eval of converted $name: $(cat err)"
    [ "$(grep -v '"model"' out)" = "$(grep -v '"model"' out2)" ] || fail "$name: converted, the figures are others"
}

run classify bert accuracy '"label":"'
run tag bert span_f1 '"tags":\["'
run choose bert accuracy '"label":'
run embed distilbert recall_at_1 '"similarity":'
run translate t5 perplexity ''
run mask bert-masked '' ''
run pictures vit-body accuracy '"label":"'
run captions clip '' ''

# ---- what a person gets wrong ----

# refused WORDS ARGUMENTS...: ends with 2 and says WORDS.
refused() {
    local message=$1
    shift
    "$frugal" train "$@" "model.from=$families/bert" data.tokenizer=tokenizer --out refused --quiet >out 2>err
    [ $? = 2 ] || fail "'$*' was not refused with 2"
    grep -qF -e "$message" err || fail "'$*' did not say '$message' but: $(cat err)"
    [ ! -e refused ] || fail "'$*' left a folder behind"
}
classify=$sources/recipes/classify.yaml
refused "there is no field 'texts'; did you mean 'text'? (the record has: text, label)" "$classify" \
    data.examples.train=classify.jsonl data.examples.text=texts train.length=8
refused "give data.examples.train" "$classify" train.length=8
refused "length 500 is more than the model's" "$classify" data.examples.train=classify.jsonl train.length=500
refused "learns from packed text (data.folder)" "$classify" data.examples.train=classify.jsonl objective.kind=causal_lm train.length=8
refused "choose one kind of data" "$classify" data.examples.train=classify.jsonl data.folder=x train.length=8
refused "has no head for task contrastive" "$sources/recipes/captions.yaml" data.examples.train=captions.jsonl train.length=8

[ $failures = 0 ] || exit 1
echo "all well"
