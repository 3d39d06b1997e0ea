// A contact: a JSON object with an e-mail address.
#ifndef CONTACT_H
#define CONTACT_H

#include "json.h"
#include "plugin.h"

typedef struct {
    json body;
    // The address as it stands in the body, with its quotes.
    json written;
    // The address, from malloc.
    char *email;
    size_t email_length;
} contact;

// Reads a contact. False if it is none; then `problem` says why.
bool contact_read(plugin_string_t body, contact *c, atlas_batch_types_problem_t *problem);
void contact_free(contact *c);

// Where the address is without the spaces around it.
json contact_trimmed(const contact *c);

// A problem; its texts are copied.
atlas_batch_types_problem_t contact_problem(const char *code, const char *message, const char *pointer);

#endif
