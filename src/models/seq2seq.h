/* seq2seq.h: what encoder-decoders share: two stacks over one vocabulary, the decoder attending to what the encoder gives, and the
   heads of Hugging Face's classes. A family's file has its configuration and declares the layers.

   B rows, T tokens of the source, U tokens of the target, C width. */
#ifndef FRUGAL_MODELS_SEQ2SEQ_H
#define FRUGAL_MODELS_SEQ2SEQ_H

#include "models/models.h"
#include "nn/nn.h"

/* What stands around the layers of a stack. Norms whose weight is NULL are left out. */
typedef struct fr_seq2seq_stack {
    fr_parameter *embedding;      /* (V, C) */
    fr_parameter *places;         /* (offset + P, C) learned positions; NULL: none */
    fr_relative_layer relative;   /* table NULL: none */
    fr_norm_layer embedding_norm; /* before the first layer */
    fr_norm_layer norm;           /* after the last */
} fr_seq2seq_stack;

/* model->own of an encoder-decoder; model->layers are the decoder's. */
typedef struct fr_seq2seq {
    fr_seq2seq_stack encoder, decoder;
    int64_t encoder_count;
    fr_encoder_layer *encoder_layers;
    fr_cross_layer *decoder_layers; /* NULL: the head reads the encoder alone */
    int64_t place_offset;           /* of the first position in `places` */
    float embedding_scale;          /* of what embeddings give; 0: 1 */
    int64_t padding;    /* id whose embedding gets no gradient from being read; -1: none */
    float dropout;      /* of the embeddings */
    float last_dropout; /* of what a stack gives */
    float output_scale; /* of what the output matrix multiplies; 0: 1 */
    bool shifts;        /* without decoder_ids the decoder reads the source, shifted to the right */
    bool
        begins_with_last; /* and begins with the source's last token (mBART), else with decoder_start */
    fr_linear_layer *dense, *out; /* of a classifier; dense NULL: none */
    float classifier_dropout;
} fr_seq2seq;

/* Does the head read the encoder alone? */
bool fr_seq2seq_encoder_only(const fr_model *model);
/* Two stacks without layers' parts, in model->own. NULL: the error is set. */
fr_seq2seq *fr_seq2seq_create(fr_model *model, int64_t encoder_layers, fr_error *error);
/* A table NAME (rows, width) of numbers drawn with `std`. */
fr_status fr_seq2seq_table(fr_parameter **table, fr_model *model, const char *name, int64_t rows,
                           fr_axis axis, int64_t width, double std, fr_error *error);
/* The classifier of the model's head, where it has one: classification_head.{dense, out_proj}, classifier, qa_outputs. */
fr_status fr_seq2seq_declare_head(fr_model *model, double std, fr_error *error);

/* A kind's functions. */
fr_tensor *fr_seq2seq_hidden(fr_model *model, fr_tape *tape, const fr_batch *batch,
                             fr_cache *cache);
bool fr_seq2seq_encode(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_cache *cache);
fr_tensor *fr_seq2seq_features(fr_model *model, fr_tape *tape, fr_tensor *hidden);
void fr_seq2seq_outputs(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_outputs *outputs);
void fr_seq2seq_destroy(fr_model *model);

#endif
