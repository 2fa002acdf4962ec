/* What a node will be like, in words: shown beside the disk before it is erased. */
#ifndef INSTALL_SUMMARY_H
#define INSTALL_SUMMARY_H

#include "macula/v1/document.pb-c.h"

/* Writes it to the terminal. Of a password only that there is one. */
void install_summary_show(const Macula__V1__Document *document);
/* The host name; what the node chooses itself is told in words. Caller frees. */
char *install_summary_name(const Macula__V1__Document *document);
/* The sections, with their defaults where the document has none. */
const Macula__V1__MaculaosSection *install_summary_section(const Macula__V1__Document *document);
const Macula__V1__NetworkSection *install_summary_network(const Macula__V1__Document *document);

#endif
