/* shard.h: the layout of Megatron-LM's indexed datasets
   (megatron/core/datasets/indexed_dataset.py).

   PREFIX.bin is nothing but the tokens. PREFIX.idx, little-endian:
       9 bytes  "MMIDIDX\0\0"
       u64      version, 1
       u8       code of the tokens' type: 4 int32, 8 uint16 (others exist; these are what token files use)
       u64      number of sequences, S
       u64      number of document indices, D + 1
       i32 x S  tokens of each sequence
       i64 x S  byte where each begins in .bin
       i64 x (D + 1)  sequence with which each document begins, and S
   We write one sequence per document. */
#ifndef FRUGAL_DATA_SHARD_H
#define FRUGAL_DATA_SHARD_H

#define SHARD_MAGIC "MMIDIDX\0"
enum {
    SHARD_MAGIC_SIZE = 9, /* with the literal's own zero */
    SHARD_VERSION = 1,
    SHARD_INT32 = 4,
    SHARD_UINT16 = 8,
    SHARD_HEADER = SHARD_MAGIC_SIZE + 8 + 1 + 8 + 8
};

#endif
