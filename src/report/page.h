/* page.h: the page around the data, made from page.html, page.css and page.js by embed.py. */
#ifndef FRUGAL_REPORT_PAGE_H
#define FRUGAL_REPORT_PAGE_H

#include <stddef.h>

extern const char report_page_before[], report_page_after[];
extern const size_t report_page_before_size, report_page_after_size;

#endif
