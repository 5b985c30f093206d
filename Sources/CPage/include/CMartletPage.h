// The page of `martlet serve`, as it is: HTML, CSS and JavaScript.
#ifndef MARTLET_PAGE_H
#define MARTLET_PAGE_H

#include <stddef.h>

/// The bytes of one part of the page.
typedef struct martlet_page_part {
    const unsigned char *bytes;
    size_t count;
} martlet_page_part;

martlet_page_part martlet_page_html(void);
martlet_page_part martlet_page_css(void);
martlet_page_part martlet_page_js(void);

#endif
