/* gather.c: the first pass over the text. Documents are read in order; cleaning, the filters'
   counts and fingerprints are computed by all threads, a batch at a time; what to keep is decided
   in order again, so that the first of several duplicates stays whatever the number of threads. */
#include "data/clean.h"
#include "data/filters.h"
#include "data/prepare.h"
#include "data/report.h"

#include <omp.h>
#include <string.h>

typedef struct candidate {
    size_t begin, size; /* in the batch's text */
    size_t raw_size;    /* before cleaning */
    size_t path;        /* in the batch's paths */
    int64_t number;
    int filter; /* that drops it, -1: none */
    fingerprint print;
} candidate;

typedef struct gathering {
    preparation *preparation;
    fr_source *source;
    fr_buffer text, paths;
    candidate *candidates;
    size_t count;
    scratch *scratches;
    int threads;
    bool failed; /* no memory */
} gathering;

static fr_status no_memory(fr_error *error)
{
    return fr_fail(error, FR_NO_MEMORY, "no memory to prepare text");
}

static fr_status read_batch(gathering *g, fr_error *error)
{
    g->count = 0;
    fr_buffer_clear(&g->text);
    fr_buffer_clear(&g->paths);
    while (g->count < BATCH_DOCUMENTS && g->text.size < BATCH_BYTES) {
        fr_document document;
        FR_TRY(fr_source_next(g->source, &document, error));
        if (!document.text)
            break;
        g->candidates[g->count++] = (candidate){.begin = g->text.size,
                                                .size = document.size,
                                                .raw_size = document.size,
                                                .path = g->paths.size,
                                                .number = document.number};
        fr_buffer_append(&g->text, document.text, document.size);
        fr_buffer_append(&g->paths, document.path, strlen(document.path) + 1);
    }
    return g->text.failed || g->paths.failed ? no_memory(error) : FR_OK;
}

/* Clean one document and find out what is needed to judge it. */
static bool examine(const gathering *g, scratch *s, candidate *c)
{
    const fr_data_options *options = g->preparation->options;
    char *text = g->text.data + c->begin;
    size_t controls = 0;
    features f;
    if (options->clean)
        c->size = clean_text(text, c->size, &controls);
    if (!features_of(s, text, c->size, controls, &f))
        return false;
    c->filter = filters_apply(options, &f);
    if (c->filter < 0)
        fingerprint_of(s, text, c->size, &c->print);
    return true;
}

static fr_status examine_batch(gathering *g, fr_error *error)
{
    bool failed = false;
#pragma omp parallel for schedule(dynamic) reduction(|| : failed) num_threads(g->threads)
    for (size_t i = 0; i < g->count; i++)
        failed = !examine(g, &g->scratches[omp_get_thread_num()], &g->candidates[i]) || failed;
    return failed ? no_memory(error) : FR_OK;
}

static fr_status keep_batch(gathering *g, fr_error *error)
{
    preparation *p = g->preparation;
    for (size_t i = 0; i < g->count; i++) {
        const candidate *c = &g->candidates[i];
        verdict found;
        if (c->filter >= 0) {
            report_drop(p->report, (size_t)c->filter, c->raw_size);
            continue;
        }
        FR_TRY(duplicates_add(p->duplicates, &c->print, c->size, &found, error));
        if (found == VERDICT_NEW)
            FR_TRY(spool_add(p->spool, g->text.data + c->begin, c->size, g->paths.data + c->path,
                             c->number, error));
        else
            report_drop(p->report,
                        found == VERDICT_EXACT ? report_exact_line() : report_near_line(),
                        c->raw_size);
    }
    return FR_OK;
}

static fr_status gather_all(gathering *g, fr_error *error)
{
    do {
        FR_TRY(preparation_progress(g->preparation, "reading text", fr_source_progress(g->source),
                                    error));
        FR_TRY(read_batch(g, error));
        FR_TRY(examine_batch(g, error));
        FR_TRY(keep_batch(g, error));
    } while (g->count);
    return FR_OK;
}

static fr_status check_rest(const preparation *p, fr_error *error)
{
    char drops[256];
    if (p->kept_count)
        return FR_OK;
    if (p->report->source.documents == 0)
        return fr_fail(
            error, FR_BAD_INPUT,
            "found no text (%lld binary, %lld empty, %lld hidden, %lld unreadable files)",
            (long long)p->report->source.binary, (long long)p->report->source.empty,
            (long long)p->report->source.hidden, (long long)p->report->source.unreadable);
    report_drops_text(p->report, drops, sizeof drops);
    return fr_fail(
        error, FR_BAD_INPUT, "no text is left: %lld document%s of %lld byte%s read, dropped %s",
        (long long)p->report->source.documents, p->report->source.documents == 1 ? "" : "s",
        (long long)p->report->source.bytes, p->report->source.bytes == 1 ? "" : "s", drops);
}

static void end(gathering *g)
{
    for (int i = 0; g->scratches && i < g->threads; i++)
        scratch_free(&g->scratches[i]);
    fr_free(g->scratches);
    fr_free(g->candidates);
    fr_buffer_free(&g->text);
    fr_buffer_free(&g->paths);
    fr_source_close(g->source);
}

fr_status preparation_gather(preparation *p, const char *const *paths, size_t count,
                             fr_error *error)
{
    const fr_data_options *o = p->options;
    gathering g = {.preparation = p, .threads = fr_threads()};
    report_begin(p->report, o);
    fr_status status = fr_source_open(&g.source, paths, count, &o->source, error);
    if (status == FR_OK)
        status = spool_open(&p->spool, p->folder, error);
    if (status == FR_OK)
        status = duplicates_create(&p->duplicates, o->exact, o->near, o->similarity, error);
    g.scratches = fr_alloc_array((size_t)g.threads, sizeof *g.scratches, FR_MEMORY_DATA);
    g.candidates = fr_alloc_array(BATCH_DOCUMENTS, sizeof *g.candidates, FR_MEMORY_DATA);
    if (status == FR_OK && (!g.scratches || !g.candidates))
        status = no_memory(error);
    if (status == FR_OK)
        status = gather_all(&g, error);
    if (status == FR_OK) {
        fr_source_get_counts(g.source, &p->report->source);
        p->report->max_document = fr_source_max_document(g.source);
        duplicates_finish(p->duplicates);
        p->kept_count = duplicates_kept(p->duplicates, &p->kept);
        status = check_rest(p, error);
    }
    end(&g);
    return status;
}
