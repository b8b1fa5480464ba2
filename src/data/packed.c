/* packed.c: the source of rows that the loader packs from a shard. */
#include "frugal/batch.h"

typedef struct packed {
    fr_shard *shard;
    fr_loader *loader;
    fr_loader_options options;
} packed;

static fr_status get(fr_batch_source *source, int64_t number, fr_micro_batch *micro,
                     fr_error *error)
{
    const packed *p = source->own;
    const int64_t shape[] = {p->options.batch, p->options.length};
    int32_t *ids = fr_micro_batch_set(micro, FR_FIELD_IDS, FR_I32, 2, shape);
    int32_t *targets = fr_micro_batch_set(micro, FR_FIELD_TARGETS, FR_I32, 2, shape);
    int32_t *segments = NULL, *positions = NULL;
    bool whole = ids && targets;
    if (!p->options.cross_documents) {
        segments = fr_micro_batch_set(micro, FR_FIELD_SEGMENTS, FR_I32, 2, shape);
        positions = fr_micro_batch_set(micro, FR_FIELD_POSITIONS, FR_I32, 2, shape);
        whole = whole && segments && positions;
    }
    if (!whole)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a micro-batch");
    FR_TRY(fr_loader_get(p->loader, number, ids, targets, segments, positions, error));
    micro->tokens = shape[0] * shape[1];
    micro->targets = fr_micro_batch_count_targets(micro);
    return FR_OK;
}

static void destroy(fr_batch_source *source)
{
    packed *p = source->own;
    if (!p)
        return;
    if (p->loader)
        fr_loader_destroy(p->loader);
    if (p->shard)
        fr_shard_close(p->shard);
    fr_free(p);
}

static const fr_batch_source_kind packed_kind = {get, destroy};

static fr_status open_shard(fr_batch_source *source, const char *prefix, bool scoring,
                            fr_error *error)
{
    packed *p = source->own;
    FR_TRY(fr_shard_open(&p->shard, prefix, error));
    int64_t rows = fr_shard_tokens(p->shard) / p->options.length;
    rows = rows ? rows : 1;
    if (scoring && rows < p->options.batch)
        p->options.batch = rows;
    source->per_epoch = rows / p->options.batch > 1 ? rows / p->options.batch : 1;
    source->identity =
        fr_format("%lld documents, %lld tokens", (long long)fr_shard_documents(p->shard),
                  (long long)fr_shard_tokens(p->shard));
    if (!source->identity)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a source of batches");
    return fr_loader_create(&p->loader, p->shard, &p->options, error);
}

fr_status fr_packed_source_create(fr_batch_source **out, const char *prefix,
                                  const fr_loader_options *options, bool scoring, fr_error *error)
{
    *out = NULL;
    fr_batch_source *source = fr_alloc(sizeof *source, FR_MEMORY_DATA);
    packed *p = source ? fr_alloc(sizeof *p, FR_MEMORY_DATA) : NULL;
    if (!p) {
        fr_free(source);
        return fr_fail(error, FR_NO_MEMORY, "no memory for a source of batches");
    }
    p->options = *options;
    *source = (fr_batch_source){.kind = &packed_kind, .own = p};
    fr_status status = open_shard(source, prefix, scoring, error);
    if (status == FR_OK)
        *out = source;
    else
        fr_batch_source_destroy(source);
    return status;
}
