/* model.h: weight forms, models and their folders.

   A model has a kind (an architecture family, one file in src/models/), a configuration (the fields of config.json, by Hugging
   Face's names) and parameters. On disk it is a Hugging Face folder. */
#ifndef FRUGAL_MODEL_H
#define FRUGAL_MODEL_H

#include "frugal/operators.h"
#include "frugal/options.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- weight forms: how the matrix of a linear layer is stored, applied, differentiated, merged ----------------------- */

typedef struct fr_weight fr_weight;
typedef struct fr_weight_kind {
    fr_kind base;
    /* y = x W^T + bias on the tape; x (..., in) -> (..., out); bias (out) or NULL. Backward follows from the operators used. */
    fr_tensor *(*apply)(fr_weight *weight, fr_tape *tape, fr_tensor *x, fr_tensor *bias);
    /* The equivalent dense matrix (out, in) f32, written into `out`. */
    fr_status (*dense)(const fr_weight *weight, float *out, fr_error *error);
    void (*destroy)(fr_weight *weight);
} fr_weight_kind;
struct fr_weight {
    const fr_weight_kind *kind;
    int64_t out, in;
    fr_parameter *parameter; /* dense: the matrix; wrapping forms: NULL */
    fr_weight *inner;        /* what a wrapping form wraps */
    void *own;               /* the form's own data */
};
extern const fr_registry fr_weight_forms; /* dense; stored: bf16, f16, q8_0, q4_0, q4_k, q6_k */

/* A linear layer: a weight form and perhaps a bias (out). The model owns its layers and lists them in `linears`; a method
   that wraps a matrix (LoRA, pruning) replaces `weight` there. `name` is Hugging Face's without ".weight". */
typedef struct fr_linear_layer {
    char *name;
    fr_weight *weight;
    fr_parameter *bias; /* NULL: none */
} fr_linear_layer;
fr_tensor *fr_linear_layer_apply(fr_linear_layer *layer, fr_tape *tape,
                                 fr_tensor *x); /* (..., in) -> (..., out) */

/* ---- batches and caches -------------------------------------------------------------------------------------------------- */

/* What a model reads and an objective compares with; tensors live on the tape or outside it. A family reads what it needs and
   refuses what it cannot honour; fields that are NULL are absent. */
typedef struct fr_batch {
    fr_tensor *ids; /* (B, T) i32; encoder-decoders: what the encoder reads */
    fr_tensor *
        positions; /* (B, T) i32, or NULL: 0..T-1; with a cache the places that follow what it holds */
    fr_tensor *
        segments; /* (B, T) i32 number of the document inside the row, or NULL: attention crosses documents */
    fr_tensor
        *targets; /* (B, T) i32, FR_IGNORE where there is none; NULL when only outputs are wanted */
    fr_tensor *weights; /* (B, T) f32 per-token loss weights, or NULL */
    const int32_t
        *counts; /* B numbers 0..T on the host, or NULL: T each. Only with a cache: see there */
    int64_t
        whole; /* with a cache, how many tokens the text has of which this is a piece, for models that read longer
                         texts otherwise (fr_model.reread); 0: as many as the cache then holds */
    fr_tensor
        *lengths;     /* (B) i32: how many of a row's T tokens are text, the rest is padding on the
                           right that nothing attends to; NULL: all */
    fr_tensor *types; /* (B, T) i32 token types (BERT's segment A or B); NULL: 0 */
    fr_tensor *decoder_ids; /* (B, U) i32: what the decoder of an encoder-decoder reads */
    fr_tensor *pixels;      /* (B, channels, height, width) f32, normalised as the model wants */
    int64_t
        choices; /* multiple choice: so many rows that follow each other are one question's; 0: all rows are */
    fr_tensor *labels; /* (B) i32 classes, or (B, labels) f32 values; for objectives */
} fr_batch;

/* Keys and values of what was read before, contiguous per row; rows may have different lengths. For NO_GRAD tapes, without
   segments.

   One call of fr_model_hidden or fr_model_logits appends to each row. Where rows get different numbers of tokens, they stand at the
   RIGHT end of the row: the last counts[b] of its T columns are its new tokens, the columns before them are padding (any valid id,
   say 0), which is neither stored nor seen, and whose outputs mean nothing. So the next token's logits are in column T-1 of every
   row with counts[b] > 0, for ragged prompts (T = the longest) and for single steps (T = 1) alike. counts[b] = 0 leaves a row
   as it is: a finished row goes along until the caller drops it (fr_cache_select).

       ids (2, 3) = a b c      counts = 3, 1      row 0 now holds a b c, row 1 holds x
                    0 0 x

   A call that would overflow `capacity`, or whose B is not `rows`, sets the tape's error and appends nothing. After any other
   error on the tape the contents are undefined: clear or truncate before going on. */
typedef struct fr_cache fr_cache;

/* ---- sentence encoders ---------------------------------------------------------------------------------------------- */

/* How the states of a row's tokens become one vector. */
typedef enum fr_pooling {
    FR_POOLING_CLS, /* the first token's */
    FR_POOLING_MAX,
    FR_POOLING_MEAN,
    FR_POOLING_MEAN_SQRT,     /* the sum divided by the root of the number of tokens */
    FR_POOLING_WEIGHTED_MEAN, /* token t counts t + 1 times */
    FR_POOLING_LAST,          /* the last token's */
    FR_POOLINGS
} fr_pooling;
/* sentence-transformers' names in that order, NULL-terminated. */
extern const char *const fr_pooling_names[];
/* x (B, T, C), lengths (B) i32 or NULL (all T) -> (B, C). */
fr_tensor *fr_pool(fr_tape *tape, fr_tensor *x, const fr_tensor *lengths, fr_pooling mode);
/* x / |x| over the last axis. */
fr_tensor *fr_normalize(fr_tape *tape, fr_tensor *x);

/* What a sentence-transformers folder has around its model: modules.json, sentence_bert_config.json, N_Pooling/config.json. */
typedef struct fr_sentence {
    fr_pooling pooling[FR_POOLINGS]; /* several: one behind the other */
    int poolings;
    bool normalize;     /* to length 1 */
    int64_t max_tokens; /* of a text, special ones included; 0: the model's positions */
    char *model_path;   /* of the model inside the folder; "": the folder itself */
    char *prompt;       /* what goes before every text; NULL: nothing */
} fr_sentence;

/* ---- models ---------------------------------------------------------------------------------------------------------------- */

typedef struct fr_model fr_model;
struct json_t; /* jansson */

/* What a model ends in, which Hugging Face's class names tell ("BertForMaskedLM"). */
typedef enum fr_task {
    FR_TASK_NONE, /* the body alone: hidden states, perhaps pooled ("BertModel") */
    FR_TASK_CAUSAL_LM,
    FR_TASK_MASKED_LM,
    FR_TASK_SEQ2SEQ_LM,
    FR_TASK_SEQUENCE_CLASSIFICATION, /* also regression: see fr_problem */
    FR_TASK_TOKEN_CLASSIFICATION,
    FR_TASK_MULTIPLE_CHOICE,
    FR_TASK_QUESTION_ANSWERING,
    FR_TASK_REPLACED_TOKEN, /* ELECTRA's discriminator */
    FR_TASK_IMAGE_CLASSIFICATION,
    FR_TASK_CONTRASTIVE, /* two towers, or one of them with its projection into their common space */
    FR_TASK_NEXT_SENTENCE, /* BERT: does the second text follow the first? */
    FR_TASK_PRETRAINING,   /* BERT: masked words and the next sentence */
    FR_TASK_ENCODER,       /* the encoder of an encoder-decoder alone ("T5EncoderModel") */
    FR_TASK_DISTILLED_CLASSIFICATION /* of images, with a second classifier for what a teacher says */
} fr_task;
/* Names in the order of fr_task, NULL-terminated: "none", "causal_lm", ...: choices of an option. */
extern const char *const fr_task_names[];
typedef enum fr_problem {
    FR_PROBLEM_SINGLE_LABEL,
    FR_PROBLEM_REGRESSION,
    FR_PROBLEM_MULTI_LABEL
} fr_problem;
/* Hugging Face's names (config.json "problem_type") in that order, NULL-terminated. */
extern const char *const fr_problem_names[];

/* A model's head: the task, and what a classifier tells apart. */
typedef struct fr_model_head {
    fr_task task;
    int64_t labels;   /* outputs of a classifier; 0 for tasks without one */
    fr_strings names; /* of the labels (id2label); empty: none were given */
    fr_problem problem;
} fr_model_head;

/* A class of Hugging Face's ("architectures" of config.json). */
typedef struct fr_model_class {
    const char *model_type, *name;
    fr_task task;
} fr_model_class;

/* How many labels a model_type's classifiers have where config.json tells neither id2label nor num_labels. */
typedef struct fr_model_labels {
    const char *model_type;
    int64_t count;
} fr_model_labels;

/* A name under which files may hold a copy of a parameter that the model ties; the copy must equal it. */
typedef struct fr_tied_name {
    const char *stored, *parameter;
} fr_tied_name;

/* What a model gives for a batch, by Hugging Face's names: "last_hidden_state", "logits", "pooler_output",
   "encoder_last_hidden_state", "text_embeds", ... */
enum { FR_MOST_OUTPUTS = 12 };
typedef struct fr_outputs {
    struct {
        const char *name; /* static */
        fr_tensor *tensor;
    } items[FR_MOST_OUTPUTS];
    int count;
} fr_outputs;
void fr_outputs_add(fr_outputs *outputs, const char *name, fr_tensor *tensor);
fr_tensor *fr_outputs_find(const fr_outputs *outputs, const char *name); /* NULL: none */

typedef struct fr_model_kind {
    fr_kind base; /* options: the configuration, fields named as in config.json */
    const char *const
        *model_types; /* config.json "model_type" values that this file reads, NULL-terminated */
    /* The classes that it can be, ended by an empty one. The first of a model_type is what a folder without "architectures" and a
       new model are. */
    const fr_model_class *classes;
    /* Model types whose classifiers have other than two labels by default, ended by an empty one. NULL: none. */
    const fr_model_labels *labels;
    const char *const
        *extra_fields; /* fields of config.json that read_config reads itself, NULL-terminated */
    const char *const
        *ignored_fields; /* fields that do not change the result (besides those of every model) */
    /* Finish `config` from config.json, whose fields of the table were read already: defaults by model_type, the extra fields,
       refusal by name of what is not supported. Fields that no list names are refused before. NULL: the table tells all. */
    fr_status (*read_config)(void *config, const struct json_t *json, const char *path,
                             fr_error *error);
    /* Write the fields into a config.json object that has its model_type. NULL: those of the table. */
    fr_status (*write_config)(const void *config, struct json_t *json, fr_error *error);
    /* Check the configuration and declare the parameters with fr_model_add_parameter and fr_model_add_linear; model->head says
       which head to declare. */
    fr_status (*build)(fr_model *model, fr_error *error);
    /* ids -> the last hidden states, (B, T, C); of an encoder-decoder: its decoder's, (B, U, C). cache may be NULL; it is appended to. */
    fr_tensor *(*hidden)(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_cache *cache);
    /* Encoder-decoders: read batch->ids (and lengths) and keep in the cache what the decoder attends to; afterwards `hidden` with that
       cache reads decoder_ids alone. False with the tape's error set. NULL: no encoder-decoder. */
    bool (*encode)(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_cache *cache);
    /* Hidden states -> what the output matrix multiplies (BERT's transform, T5's scale). NULL: the hidden states. */
    fr_tensor *(*features)(fr_model *model, fr_tape *tape, fr_tensor *hidden);
    /* All outputs, for a body and for heads other than language models'. NULL: last_hidden_state, and logits where there is an
       output matrix. */
    void (*outputs)(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_outputs *outputs);
    void (*destroy)(fr_model *model); /* frees model->own */
    const char
        *prefix; /* of parameter names, which files may leave out: "transformer.", "model." */
    /* True for a matrix that files hold as (in, out): GPT-2's Conv1D layers. NULL: none. */
    bool (*stored_transposed)(const fr_parameter *parameter);
    bool (*ignores_tensor)(
        const char *name);    /* of a file: tables that the model makes itself. NULL: none */
    const fr_tied_name *tied; /* ended by an empty one. NULL: none */
    /* What the names of a part begin with that files may lack as a whole, because the model does without it, too ("bert.pooler."
       of a body); NULL: there is none. And: forget it, for its parameters are about to go. Both NULL: none. */
    const char *(*optional_part)(const fr_model *model);
    void (*drop_part)(fr_model *model);
    /* What the names of a head's tensors begin with ("classifier."), NULL-terminated: what may be fresh, and what is left out, when
       a folder is loaded with another head than its own. NULL: "lm_head." and "score.". */
    const char *const *head_prefixes;
    /* How llama.cpp's files hold it, NULL-terminated (src/models/gguf.h). NULL: they do not. */
    const struct fr_gguf_arch *const *gguf;
} fr_model_kind;

struct fr_model {
    const fr_model_kind *kind;
    void *config; /* the kind's options struct */
    fr_parameter **
        parameters; /* in the order of declaration, which is the order of everything (init, files, state) */
    size_t parameter_count;
    fr_linear_layer **linears; /* every linear layer, in the order of declaration */
    size_t linear_count;
    /* what decoding and objectives need to know, filled by build: */
    int64_t vocabulary, width, layers, heads, kv_heads, head_dim;
    int64_t token_types; /* how many it tells apart (fr_batch types); 0: it reads none */
    int64_t
        reread; /* a text longer than this is read otherwise from its beginning on: a cache that holds so many
                              tokens of it is to be filled anew before the next; 0: never */
    int64_t image[3];      /* channels, height and width of the images that it sees; 0: none */
    int64_t max_positions; /* the context the model was made for; GPT-2 cannot read beyond it */
    fr_model_head head;
    /* Language models: logits = cap(features W^T + bias), where cap(x) = c tanh(x / c). */
    fr_parameter *output;      /* W (V, C): the embedding when tied; NULL: no language model */
    fr_parameter *output_bias; /* (V) or NULL */
    float output_cap;          /* c; 0: none */
    int64_t eos, bos, pad;     /* -1: none */
    int64_t decoder_start;     /* what the decoder of an encoder-decoder reads first; -1: none */
    int64_t forced_bos,
        forced_eos; /* ids that the first token made, and the last of max_tokens, must be; -1: any */
    int64_t end_ids[16]; /* every id that ends a text: eos, and what the folder lists besides it */
    size_t end_count;
    char *generation; /* text of the folder's generation_config.json; NULL: none */
    struct json_t
        *kept; /* fields of the folder's config.json that change nothing here; NULL: none */
    /* Of a sentence-transformers folder: how the states of a text's tokens become its vector, the output "sentence_embedding" of a
       body. NULL: nothing says. The model's own; written with it. */
    fr_sentence *sentence;
    bool shapes_only; /* parameters have no data: for plans */
    bool recompute;   /* hidden() puts each layer into fr_recompute */
    void *own;        /* the kind's layers */
    struct fr_gguf *
        mapped; /* the file that parameters are read from where they are; NULL: none. The model closes it */
};

extern const fr_registry fr_models; /* gpt2, llama */

/* The class of a model_type with that task; NULL: there is none. model_type NULL: of any. */
const fr_model_class *fr_model_class_find(const fr_model_kind *kind, const char *model_type,
                                          fr_task task);
/* "causal_lm, sequence_classification": the tasks of a model_type, for messages. Freed with fr_free; NULL: no memory. */
char *fr_model_tasks_text(const fr_model_kind *kind, const char *model_type);

/* A new model with random weights drawn from (seed, init, number of the parameter, element). `config` is copied (strings too).
   shapes_only: parameters without data. */
fr_status fr_model_create(fr_model **model, const fr_model_kind *kind, const void *config,
                          uint64_t seed, bool shapes_only, fr_error *error);
/* The same with a head (copied). NULL: that of the kind's first class of the model_type. */
fr_status fr_model_create_as(fr_model **model, const fr_model_kind *kind, const void *config,
                             const fr_model_head *head, uint64_t seed, bool shapes_only,
                             fr_error *error);
void fr_model_head_free(fr_model_head *head); /* the names */
void fr_model_destroy(fr_model *model);
/* The configuration in a recipe's section `model: {kind: llama, hidden_size: 256, ...}`; NULL: the defaults of `llama`. Change
   fields with fr_options_set(&kind->base.options, config, ...). Freed with fr_model_config_free. */
fr_status fr_model_config_read(const fr_section *section, const fr_model_kind **kind, void **config,
                               fr_error *error);
void fr_model_config_free(const fr_model_kind *kind, void *config);
/* A new model from a recipe's section. `vocabulary` (0: the section must say) fills a vocab_size that the section leaves at 0, and
   must fit into one that it gives; `end_of_text` (-1: none) fills bos_token_id and eos_token_id where the section has none; head as of fr_model_create_as. */
fr_status fr_model_create_from_section(fr_model **model, const fr_section *section,
                                       const fr_model_head *head, int64_t vocabulary,
                                       int64_t end_of_text, uint64_t seed, bool shapes_only,
                                       fr_error *error);
/* From a Hugging Face folder. Missing, unexpected and mis-shaped tensors are named; unknown architectures and configuration
   fields that change the result are refused by name. Weights are converted to f32. */
fr_status fr_model_load(fr_model **model, const char *folder, fr_error *error);
/* What is to differ from what a folder says; starts as {0}. */
typedef struct fr_model_change {
    const fr_model_head *
        head; /* another head, NULL: the folder's. Its parameters that the folder does not have are drawn as in
                                  fr_model_create; the folder's tensors of other heads are left out */
    uint64_t seed;            /* of what is drawn */
    const fr_section *config; /* fields of config.json with other values (dropout, say), or NULL */
    bool shapes_only;         /* parameters without data: for plans */
} fr_model_change;
fr_status fr_model_load_as(fr_model **model, const char *folder, const fr_model_change *change,
                           fr_error *error);
/* From config.json and generation_config.json alone: parameters have shapes and no data. */
fr_status fr_model_load_shapes(fr_model **model, const char *folder, fr_error *error);
struct fr_weight_folder; /* formats.h */
/* Would these weights load into the model (of shapes)? Names what does not fit. */
fr_status fr_model_check_weights(fr_model *model, const struct fr_weight_folder *weights,
                                 const char *folder, fr_error *error);
/* The head that a folder's config.json tells. Freed with fr_model_head_free. */
fr_status fr_model_folder_head(fr_model_head *head, const char *folder, fr_error *error);
typedef struct fr_model_save_options {
    fr_dtype dtype; /* f32, bf16 or f16 */
    int64_t
        shard_bytes; /* most bytes of numbers in one file of weights (a larger tensor has a file of its own); 0: one file */
} fr_model_save_options;
/* config.json, generation_config.json, and model.safetensors or its shards with their index. What config.json and
   generation_config.json said when the model was loaded, and frugal does not use, is kept. Files are written whole or not at all;
   config.json, without which a folder is no model, is taken away first and written last, and weights that an earlier save left
   behind are removed. The tokenizer and the model card are written by their owners. */
fr_status fr_model_save_as(const fr_model *model, const char *folder,
                           const fr_model_save_options *options, fr_error *error);
/* What becomes of weights that are stored in other types than f32. */
typedef enum fr_weights {
    FR_WEIGHTS_F32,   /* all is converted: may be trained and saved */
    FR_WEIGHTS_STORED /* matrices of a GGUF file stay in it and are read block by block where they are used: nothing is unpacked, and
                         nothing trains */
} fr_weights;
extern const char *const fr_weights_names
    []; /* "f32", "stored", NULL: choices of an option, in the order of fr_weights */
/* As fr_model_load; the path may also be a GGUF file, or a folder with one and no config.json. */
fr_status fr_model_open(fr_model **model, const char *path, fr_weights weights, fr_error *error);
/* The values and tensors of a GGUF file (formats.h) with its matrices in `dtype`: f32, f16, bf16, q8_0, q4_0, q4_k, q6_k; the model must
   live until the draft is written. docs/gguf.md says which tensors take another type. What llama.cpp would compute otherwise is
   refused by name. */
struct fr_gguf_draft;
fr_status fr_model_gguf(const fr_model *model, fr_dtype dtype, struct fr_gguf_draft *draft,
                        fr_error *error);
fr_status fr_model_save(const fr_model *model, const char *folder, fr_dtype dtype, fr_error *error);

/* For kinds: declare a parameter. init_std as in fr_parameter. Returns NULL on error (error->status says which). */
fr_parameter *fr_model_add_parameter(fr_model *model, const char *name, int rank,
                                     const int64_t *shape, const fr_axis *axes, bool matrix,
                                     float init_std, fr_error *error);
/* Declare a linear layer (out, in) and its bias: parameters NAME.weight and NAME.bias. Returns NULL on error. */
fr_linear_layer *fr_model_add_linear(fr_model *model, const char *name, int64_t out,
                                     fr_axis out_axis, int64_t in, fr_axis in_axis, bool bias,
                                     float init_std, fr_error *error);
fr_parameter *fr_model_parameter(const fr_model *model,
                                 const char *name);      /* NULL: none of that name */
int64_t fr_model_parameter_total(const fr_model *model); /* number of weights; tied ones once */
/* Allocate gradients (kind GRADIENTS) for parameters that train; zero them. */
fr_status fr_model_create_gradients(fr_model *model, fr_error *error);
void fr_model_zero_gradients(fr_model *model);
/* Register "model.NAME" for every parameter. */
fr_status fr_model_state(fr_model *model, fr_state *state, fr_error *error);

fr_tensor *fr_model_hidden(fr_model *model, fr_tape *tape, const fr_batch *batch,
                           fr_cache *cache); /* (B, T, C) */
fr_tensor *fr_model_logits(fr_model *model, fr_tape *tape, const fr_batch *batch,
                           fr_cache *cache); /* (B, T, V) */
/* Encoder-decoders, before decoding with a cache: see fr_model_kind. False with the tape's error set. */
bool fr_model_encode(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_cache *cache);
/* Logits of a language model from (a part of) its hidden states: (..., C) -> (..., V). */
fr_tensor *fr_model_output(fr_model *model, fr_tape *tape, fr_tensor *hidden);
/* fr_cross_entropy of those logits, which never exist as a whole; arguments as of fr_linear_cross_entropy. */
fr_tensor *fr_model_cross_entropy(fr_model *model, fr_tape *tape, fr_tensor *hidden,
                                  fr_tensor *targets, fr_tensor *weights, float scale,
                                  fr_tensor **per_row);
/* Everything that the model gives for a batch; NULL tensors after an error on the tape. */
void fr_model_outputs(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_outputs *outputs);

/* ---- sentence encoders: their files --------------------------------------------------------------------------------- */

/* Is there a modules.json? */
bool fr_sentence_is_folder(const char *folder);
/* Modules other than Transformer, Pooling and Normalize, and options that change a vector, are refused by name. A folder
   without modules.json is pooled by its mean, as sentence-transformers does. Freed with fr_sentence_free. */
fr_status fr_sentence_load(fr_sentence *sentence, const char *folder, fr_error *error);
void fr_sentence_free(fr_sentence *sentence);
/* Write those files beside a saved model. */
fr_status fr_sentence_save(const fr_sentence *sentence, const fr_model *model, const char *folder,
                           fr_error *error);
/* hidden (B, T, C) of the rows' first `lengths` (B) i32 tokens (NULL: all) -> (B, poolings * C). */
fr_tensor *fr_sentence_pool(const fr_sentence *sentence, fr_tape *tape, fr_tensor *hidden,
                            fr_tensor *lengths);

/* ---- caches ---------------------------------------------------------------------------------------------------------- */

/* `rows` sequences of at most `capacity` positions each; f32. */
fr_cache *fr_cache_create(const fr_model *model, int64_t rows, int64_t capacity, fr_error *error);
void fr_cache_destroy(fr_cache *cache);
size_t fr_cache_bytes(const fr_model *model, int64_t rows,
                      int64_t capacity); /* what it would take */
void fr_cache_clear(fr_cache *cache);
int64_t fr_cache_rows(const fr_cache *cache);
int64_t fr_cache_capacity(const fr_cache *cache);
int64_t fr_cache_length(const fr_cache *cache, int64_t row);
/* Drop all but the first `length` positions of a row. */
void fr_cache_truncate(fr_cache *cache, int64_t row, int64_t length);
/* Keep the rows listed, in that order (strictly rising numbers), and drop the others: `rows` becomes `count`. */
fr_status fr_cache_select(fr_cache *cache, const int64_t *rows, int64_t count, fr_error *error);
/* Row `to_row` of `to` becomes a copy of row `from_row` of another cache of the same model: a prompt is read alone (so that what it
   gives does not depend on its neighbours), or once for several samples, and then joins a batch. */
fr_status fr_cache_copy_row(fr_cache *to, int64_t to_row, const fr_cache *from, int64_t from_row,
                            fr_error *error);

#ifdef __cplusplus
}
#endif
#endif
