/* table.c: puts one instruction set's kernels together. Compiled once per level; FR_ISA_NAME is its name as text. */
#include "kernels/isa.h"

void FR_LEVEL(fr_kernels_fill)(fr_kernels *table);

void FR_LEVEL(fr_kernels_fill)(fr_kernels *table)
{
    table->name = FR_ISA_NAME;
    FR_LEVEL(fr_kernels_elementwise)(table);
    FR_LEVEL(fr_kernels_activation)(table);
    FR_LEVEL(fr_kernels_reduce)(table);
    FR_LEVEL(fr_kernels_norm)(table);
    FR_LEVEL(fr_kernels_softmax)(table);
    FR_LEVEL(fr_kernels_gather)(table);
    FR_LEVEL(fr_kernels_copy)(table);
    FR_LEVEL(fr_kernels_rope)(table);
    FR_LEVEL(fr_kernels_attention_forward)(table);
    FR_LEVEL(fr_kernels_attention_backward)(table);
    FR_LEVEL(fr_kernels_matvec)(table);
    FR_LEVEL(fr_kernels_optimizer)(table);
    FR_LEVEL(fr_kernels_peak)(table);
}
