/* fixture.h: a training small enough to be run hundreds of times: a shard of text made by a rule, and a recipe of a tiny LLaMA. */
#ifndef FRUGAL_FAULT_FIXTURE_H
#define FRUGAL_FAULT_FIXTURE_H

#include "frugal/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIXTURE_VOCABULARY = 64 };

/* Documents in which each token follows from the one before with a little chance: something to learn. */
static inline fr_status fixture_shard(const char *prefix, uint64_t seed, int documents,
                                      fr_error *error)
{
    fr_shard_writer *writer;
    FR_TRY(fr_shard_writer_open(&writer, prefix, FIXTURE_VOCABULARY, error));
    for (int d = 0; d < documents; d++) {
        int32_t ids[200];
        uint32_t bits[4];
        fr_random_bits(seed, FR_RANDOM_TEST, (uint64_t)d, 0, bits);
        size_t count = 20 + bits[0] % 180;
        int32_t id = (int32_t)(bits[1] % FIXTURE_VOCABULARY);
        for (size_t i = 0; i < count; i++) {
            fr_random_bits(seed, FR_RANDOM_TEST, (uint64_t)d, i + 1, bits);
            id = bits[0] % 4 ? (id * 5 + 3) % FIXTURE_VOCABULARY
                             : (int32_t)(bits[1] % FIXTURE_VOCABULARY);
            ids[i] = i + 1 < count ? (id ? id : 1) : 0;
        }
        fr_status status = fr_shard_writer_add(writer, ids, count, error);
        if (status != FR_OK) {
            fr_shard_writer_abandon(writer);
            return status;
        }
    }
    return fr_shard_writer_commit(writer, error);
}

/* A new temporary folder with train and held_out; the caller removes it with fr_folder_remove and frees the path. */
static inline char *fixture_folder(void)
{
    const char *base = getenv("TMPDIR");
    fr_error error = {0};
    char *folder = fr_format("%s/frugal-train-XXXXXX", base && *base ? base : P_tmpdir);
    if (!folder || !mkdtemp(folder))
        abort();
    char *train = fr_path_join(folder, "train"), *held_out = fr_path_join(folder, "held_out");
    if (fixture_shard(train, 1, 120, &error) != FR_OK ||
        fixture_shard(held_out, 2, 20, &error) != FR_OK) {
        fprintf(stderr, "%s\n", error.message);
        abort();
    }
    fr_free(train);
    fr_free(held_out);
    return folder;
}

/* The recipe, changed by words "section.key=value" up to NULL. */
static inline fr_recipe *fixture_recipe(const char *folder, const char *const *words)
{
    static const char text[] = "model:\n"
                               "  kind: llama\n"
                               "  vocab_size: 64\n"
                               "  hidden_size: 32\n"
                               "  intermediate_size: 64\n"
                               "  num_hidden_layers: 2\n"
                               "  num_attention_heads: 4\n"
                               "  num_key_value_heads: 2\n"
                               "  max_position_embeddings: 64\n"
                               "optimizer: {kind: adamw, lr: 1e-2}\n"
                               "schedule: {kind: cosine, warmup: 0.1}\n"
                               "train:\n"
                               "  steps: 12\n"
                               "  length: 32\n"
                               "  micro_batch: 4\n"
                               "  accumulation: 3\n"
                               "  log_every: 1\n"
                               "  eval_every: 5\n"
                               "  eval_tokens: 512\n"
                               "  checkpoint_every: 3\n"
                               "  seed: 7\n";
    fr_error error = {0};
    fr_recipe *recipe = NULL;
    char *train = fr_format("data.train=%s/train", folder),
         *held_out = fr_format("data.held_out=[%s/held_out]", folder);
    fr_status status = fr_recipe_parse(&recipe, text, sizeof text - 1, "fixture", &error);
    if (status == FR_OK)
        status = fr_recipe_set_word(recipe, train, &error);
    if (status == FR_OK)
        status = fr_recipe_set_word(recipe, held_out, &error);
    for (; status == FR_OK && words && *words; words++)
        status = fr_recipe_set_word(recipe, *words, &error);
    if (status != FR_OK) {
        fprintf(stderr, "%s\n", error.message);
        abort();
    }
    fr_free(train);
    fr_free(held_out);
    return recipe;
}

/* Bytes of a file; the caller frees them. */
static inline char *fixture_read(const char *folder, const char *name, size_t *size)
{
    fr_error error = {0};
    char *path = fr_path_join(folder, name), *data = NULL;
    if (fr_file_read(path, 0, &data, size, &error) != FR_OK) {
        fprintf(stderr, "%s\n", error.message);
        abort();
    }
    fr_free(path);
    return data;
}

/* The losses of metrics.jsonl with their steps, as text: what must be the same bit for bit. */
static inline char *fixture_losses(const char *run)
{
    size_t size;
    char *text = fixture_read(run, "metrics.jsonl", &size), *rest = text, *line;
    fr_buffer out = {0};
    while ((line = strsep(&rest, "\n"))) {
        const char *keys[] = {
            "\"step\": ", "\"loss\": ", "\"lr\": ", "\"grad_norm\": ", "\"held_out_loss\": "};
        for (int k = 0; k < 5; k++) {
            const char *at = strstr(line, keys[k]);
            if (at)
                fr_buffer_printf(&out, "%s%.*s ", keys[k], (int)strcspn(at + strlen(keys[k]), ",}"),
                                 at + strlen(keys[k]));
        }
        fr_buffer_text(&out, "\n");
    }
    fr_free(text);
    return out.data;
}

#endif
