/* main.c: the program. */
#include "frugal/base.h"

#include <stdio.h>

int main(void)
{
    printf("frugal %s\n", fr_version());
    return 0;
}
