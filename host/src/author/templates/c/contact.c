#include "contact.h"

#include <stdlib.h>

bool contact_read(plugin_string_t body, contact *c, atlas_batch_types_problem_t *problem) {
    *c = (contact){.body = {(const char *)body.ptr, body.len}};
    if (!json_is_object(c->body)) {
        *problem = contact_problem("CONTACT_SHAPE", "a contact is a JSON object", "");
        return false;
    }
    if (!json_member(c->body, "email", &c->written) || !json_decode(c->written, &c->email, &c->email_length)) {
        *problem = contact_problem("EMAIL_MISSING", "a contact needs an e-mail address", "/email");
        return false;
    }
    return true;
}

void contact_free(contact *c) { free(c->email); }

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

json contact_trimmed(const contact *c) {
    json trimmed = {c->email, c->email_length};
    while (trimmed.length > 0 && is_space(trimmed.bytes[0])) {
        trimmed.bytes++;
        trimmed.length--;
    }
    while (trimmed.length > 0 && is_space(trimmed.bytes[trimmed.length - 1])) trimmed.length--;
    return trimmed;
}

atlas_batch_types_problem_t contact_problem(const char *code, const char *message, const char *pointer) {
    atlas_batch_types_problem_t problem = {0};
    plugin_string_dup(&problem.code, code);
    plugin_string_dup(&problem.message, message);
    plugin_string_dup(&problem.pointer, pointer);
    return problem;
}
