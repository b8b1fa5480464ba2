/* charsmap.h: the normalisation rules that SentencePiece compiles into its models ("Precompiled"
   in a tokenizer.json).

   The file holds, in base64: the size of a trie in bytes (u32), the trie as a double array of
   32-bit units (Darts; Aoe, IEEE Transactions on Software Engineering 15(9), 1989), and
   replacement texts, each ended by a zero byte. The trie leads from the bytes of a text to the
   place of its replacement. */
#ifndef FRUGAL_TOKENIZER_CHARSMAP_H
#define FRUGAL_TOKENIZER_CHARSMAP_H

#include "frugal/base.h"

typedef struct charsmap {
    uint32_t *units; /* owned */
    size_t unit_count;
    char *texts; /* owned, well-formed UTF-8, ended by a zero byte */
    size_t texts_size;
} charsmap;

/* From base64. The trie is checked only when it is walked: steps that leave it end the walk. */
fr_status charsmap_read(charsmap *map, const char *base64, size_t size, fr_error *error);
void charsmap_free(charsmap *map);
/* The replacement for `key` by the shortest rule that begins it (that is how the peer reads
   them); NULL: none. */
const char *charsmap_find(const charsmap *map, const char *key, size_t size, size_t *found_size);

#endif
