/* model_card.c: what a stranger should know about a model before using it: where it came from, what it cost, how good it is on
   text that it has not seen, and what it must not be trusted with. (Model Cards for Model Reporting, arXiv 1810.03993.) */
#include "cli/model_card.h"

#include "cli/cli.h"

#include <string.h>

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static void write_summary(const cli_card *card, fr_buffer *out)
{
    char parameters[24], tokens[24];
    fr_buffer_printf(
        out,
        "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- frugal\n---\n\n"
        "# %s\n\n"
        "A small language model, trained from %s on one text with a budget of %s by "
        "frugal %s.\n\n"
        "| | |\n| --- | --- |\n",
        card->name, card->from ? last_part(card->from) : "nothing", card->budget, fr_version());
    fr_buffer_printf(out, "| held-out loss | %.4f nats per token, perplexity %.2f |\n",
                     card->held_out->loss, card->held_out->perplexity);
    fr_buffer_printf(out, "| held-out bits per byte | **%.4f** |\n", card->held_out->bits_per_byte);
    if (card->before && card->from)
        fr_buffer_printf(out,
                         "| the same of %s, before | %.4f nats per token, %.4f bits per byte |\n",
                         last_part(card->from), card->before->loss, card->before->bits_per_byte);
    fr_buffer_printf(out, "| parameters | %s |\n",
                     cli_count_text((double)fr_model_parameter_total(card->model), parameters));
    fr_buffer_printf(
        out, "| shape | %lld layers, width %lld, %lld heads, context %lld, vocabulary %lld |\n",
        (long long)card->model->layers, (long long)card->model->width,
        (long long)card->model->heads, (long long)card->model->max_positions,
        (long long)card->model->vocabulary);
    fr_buffer_printf(out, "| trained on | %s tokens in %lld steps |\n",
                     cli_count_text((double)card->train->tokens, tokens),
                     (long long)card->train->step);
}

static void write_data(const cli_card *card, fr_buffer *out)
{
    const fr_data_report *data = card->data;
    char a[24], b[24];
    fr_buffer_printf(out, "\n## Data\n\n%lld files, %lld documents, %s of text.\n\n",
                     (long long)data->source.files, (long long)data->source.documents,
                     cli_bytes_text((double)data->source.bytes, a));
    fr_buffer_text(out, "| | documents | bytes | tokens |\n| --- | ---: | ---: | ---: |\n");
    fr_buffer_printf(out, "| train | %lld | %lld | %lld |\n", (long long)data->train_documents,
                     (long long)data->train_bytes, (long long)data->train_tokens);
    fr_buffer_printf(out, "| held out | %lld | %lld | %lld |\n",
                     (long long)data->held_out_documents, (long long)data->held_out_bytes,
                     (long long)data->held_out_tokens);
    for (size_t i = 0; i < data->drop_count; i++)
        if (data->drops[i].documents > 0)
            fr_buffer_printf(out, "| dropped: %s (%s) | %lld | %lld | |\n", data->drops[i].reason,
                             data->drops[i].rule, (long long)data->drops[i].documents,
                             (long long)data->drops[i].bytes);
    fr_buffer_printf(
        out,
        "\nThe split is by document. %.2f bytes make a token; the training text was read %.1f "
        "times (%s).\n",
        (double)data->train_bytes / (double)(data->train_tokens ? data->train_tokens : 1),
        (double)card->train->tokens / (double)(data->train_tokens ? data->train_tokens : 1),
        cli_count_text((double)card->train->tokens, b));
}

static void write_cost(const cli_card *card, fr_buffer *out)
{
    char a[24], b[24], c[24];
    fr_buffer_text(out, "\n## Cost\n\n| | |\n| --- | --- |\n");
    fr_buffer_printf(out, "| time, from raw text to samples | %s |\n",
                     cli_seconds_text(card->seconds, a));
    if (card->cpu_seconds > 0)
        fr_buffer_printf(out, "| processor time | %s on %d threads (%s kernels) |\n",
                         cli_seconds_text(card->cpu_seconds, b), card->machine->threads,
                         card->machine->isa);
    fr_buffer_printf(out, "| arithmetic of training | %.3g FLOPs |\n", card->train->flops);
    fr_buffer_printf(
        out, "| training speed | %s tokens/s, %.0f %% of the machine's rate of matrix products |\n",
        cli_count_text(card->train->tokens_per_second, a),
        100 * card->train->flops / card->train->seconds / card->machine->gemm_flops);
    fr_buffer_printf(out, "| peak memory | %s |\n", cli_bytes_text((double)fr_resident_peak(), c));
    if (card->joules > 0)
        fr_buffer_printf(out, "| energy | %.3g Wh |\n", card->joules / 3600);
    if (card->price_per_hour > 0)
        fr_buffer_printf(out, "| money | %.4f at %g an hour |\n",
                         card->seconds / 3600 * card->price_per_hour, card->price_per_hour);
    if (card->reason && *card->reason)
        fr_buffer_printf(out, "\nWhy these sizes: %s\n", card->reason);
}

/* Backticks that fence `text`: one more than the longest run in it. */
static size_t fence_width(const char *text)
{
    size_t longest = 2;
    for (size_t run; *text; text += run ? run : 1) {
        run = strspn(text, "`");
        longest = run > longest ? run : longest;
    }
    return longest + 1;
}

/* As it is: neither what looks like markup nor line ends may change. */
static void write_samples(const cli_card *card, fr_buffer *out)
{
    fr_buffer_text(
        out, "\n## Samples\n\nWithout a prompt, at temperature 0.8 and top-p 0.95, not chosen.\n");
    for (size_t i = 0; i < card->sample_count; i++) {
        fr_buffer fence = {0};
        for (size_t width = fence_width(card->samples[i]); width; width--)
            fr_buffer_text(&fence, "`");
        out->failed |= fence.failed;
        if (!fence.failed)
            fr_buffer_printf(out, "\n%stext\n%s\n%s\n", fence.data, card->samples[i], fence.data);
        fr_buffer_free(&fence);
    }
}

/* A string of Python. */
static void write_python_string(const char *text, fr_buffer *out)
{
    fr_buffer_text(out, "\"");
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fr_buffer_text(out, "\\");
        fr_buffer_append(out, text, 1);
    }
    fr_buffer_text(out, "\"");
}

static void write_use(const cli_card *card, fr_buffer *out)
{
    fr_buffer_text(out, "\n## Use\n\n```sh\nfrugal generate ");
    cli_shell_word(card->name, out);
    fr_buffer_text(out, " \"Once\"\n```\n\n```python\n"
                        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
                        "model = AutoModelForCausalLM.from_pretrained(");
    write_python_string(card->name, out);
    fr_buffer_text(out, ")\ntokenizer = AutoTokenizer.from_pretrained(");
    write_python_string(card->name, out);
    fr_buffer_text(out, ")\n```\n\n"
                        "## Limits\n\n");
    if (card->from)
        fr_buffer_printf(out,
                         "What holds of %s holds here; the new text was learned at the expense of "
                         "some of the old.",
                         last_part(card->from));
    else
        fr_buffer_text(out, "It knows nothing but its training text and has not been tuned to "
                            "answer or to be safe.");
    fr_buffer_text(out, " What it says is in the manner of the text, not true.\n");
}

fr_status cli_card_write(const cli_card *card, const char *folder, fr_error *error)
{
    fr_buffer out = {0};
    write_summary(card, &out);
    write_data(card, &out);
    write_cost(card, &out);
    write_samples(card, &out);
    write_use(card, &out);
    char *path = fr_path_join(folder, "README.md");
    fr_status status = out.failed || !path
                           ? fr_fail(error, FR_NO_MEMORY, "no memory for the model card")
                           : fr_file_write(path, out.data, out.size, error);
    fr_free(path);
    fr_buffer_free(&out);
    return status;
}
