/* input.h: what a person types, or what a pipe brings, on standard input. */
#ifndef FRUGAL_CLI_INPUT_H
#define FRUGAL_CLI_INPUT_H

#include "frugal/base.h"

/* All of standard input, less one line end at its end; a zero byte is refused. */
fr_status cli_input_all(fr_buffer *input, fr_error *error);
/* Ask for a line on a terminal and wait; false at the end of input or on Ctrl-C. The line is malloc's, without its end. */
bool cli_input_line(char **line, size_t *room);

#endif
