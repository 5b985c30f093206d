#include "CMartletPage.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char html[] = {
#embed "page.html"
};

static const unsigned char css[] = {
#embed "page.css"
};

static const unsigned char js[] = {
#embed "page.js"
};

martlet_page_part martlet_page_html(void) { return (martlet_page_part){html, sizeof html}; }
martlet_page_part martlet_page_css(void) { return (martlet_page_part){css, sizeof css}; }
martlet_page_part martlet_page_js(void) { return (martlet_page_part){js, sizeof js}; }
