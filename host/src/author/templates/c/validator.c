// %DESCRIPTION%
#include "plugin.h"

#include <stdlib.h>
#include <string.h>

#include "contact.h"

static bool is_address(json text) {
    const char *at = memchr(text.bytes, '@', text.length);
    if (at == NULL || at == text.bytes) return false;
    size_t domain = text.length - (size_t)(at + 1 - text.bytes);
    return domain > 0 && memchr(at + 1, '@', domain) == NULL;
}

// True if the contact may pass; else `problem` says why not.
static bool judged(plugin_string_t body, atlas_batch_types_problem_t *problem) {
    contact c;
    if (!contact_read(body, &c, problem)) return false;
    bool good = is_address(contact_trimmed(&c));
    if (!good) {
        static const char rest[] = "\" is no e-mail address";
        char *message = malloc(1 + c.email_length + sizeof rest);
        if (message == NULL) abort();
        message[0] = '"';
        memcpy(message + 1, c.email, c.email_length);
        memcpy(message + 1 + c.email_length, rest, sizeof rest);
        *problem = contact_problem("EMAIL_FORM", message, "/email");
        free(message);
    }
    contact_free(&c);
    return good;
}

// One verdict for each item, in the same order.
void exports_atlas_batch_validator_validate(exports_atlas_batch_validator_list_item_t *items,
                                            exports_atlas_batch_validator_list_verdict_t *ret) {
    ret->len = items->len;
    ret->ptr = calloc(items->len, sizeof *ret->ptr);
    if (ret->ptr == NULL) abort();
    for (size_t i = 0; i < items->len; i++) {
        atlas_batch_types_problem_t problem;
        if (judged(items->ptr[i].body, &problem)) continue;
        atlas_batch_types_verdict_t *verdict = &ret->ptr[i];
        verdict->tag = ATLAS_BATCH_TYPES_VERDICT_REJECT;
        verdict->val.reject.ptr = malloc(sizeof problem);
        if (verdict->val.reject.ptr == NULL) abort();
        verdict->val.reject.ptr[0] = problem;
        verdict->val.reject.len = 1;
    }
    // The items belong to the plugin, and the host frees the answer.
    exports_atlas_batch_validator_list_item_free(items);
}
