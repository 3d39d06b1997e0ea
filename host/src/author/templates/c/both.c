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

static atlas_batch_types_outcome_t rejected(atlas_batch_types_problem_t problem) {
    return (atlas_batch_types_outcome_t){.tag = ATLAS_BATCH_TYPES_OUTCOME_REJECT, .val.reject = problem};
}

// The body with another address in it.
static plugin_string_t with_email(const contact *c, const char *email, size_t length) {
    size_t encoded_length, before = (size_t)(c->written.bytes - c->body.bytes);
    size_t after = c->body.length - before - c->written.length;
    char *encoded = json_encode(email, length, &encoded_length);
    char *body = malloc(before + encoded_length + after);
    if (body == NULL) abort();
    memcpy(body, c->body.bytes, before);
    memcpy(body + before, encoded, encoded_length);
    memcpy(body + before + encoded_length, c->written.bytes + c->written.length, after);
    free(encoded);
    return (plugin_string_t){(uint8_t *)body, before + encoded_length + after};
}

static atlas_batch_types_outcome_t tidied(plugin_string_t body) {
    json deleted;
    if (json_member((json){(const char *)body.ptr, body.len}, "deleted", &deleted) && json_is(deleted, "true")) {
        return (atlas_batch_types_outcome_t){.tag = ATLAS_BATCH_TYPES_OUTCOME_DROP};
    }
    contact c;
    atlas_batch_types_problem_t problem;
    if (!contact_read(body, &c, &problem)) return rejected(problem);
    json trimmed = contact_trimmed(&c);
    bool changed = trimmed.length != c.email_length;
    char *tidy = (char *)trimmed.bytes;
    for (size_t i = 0; i < trimmed.length; i++) {
        bool upper = tidy[i] >= 'A' && tidy[i] <= 'Z';
        if (upper) tidy[i] = (char)(tidy[i] - 'A' + 'a');
        changed = changed || upper;
    }
    atlas_batch_types_outcome_t outcome = {.tag = ATLAS_BATCH_TYPES_OUTCOME_KEEP};
    if (changed) {
        outcome.tag = ATLAS_BATCH_TYPES_OUTCOME_REPLACE;
        outcome.val.replace = with_email(&c, tidy, trimmed.length);
    }
    contact_free(&c);
    return outcome;
}

// One outcome for each item, in the same order.
void exports_atlas_batch_operation_apply(exports_atlas_batch_operation_list_item_t *items,
                                         exports_atlas_batch_operation_list_outcome_t *ret) {
    ret->len = items->len;
    ret->ptr = calloc(items->len, sizeof *ret->ptr);
    if (ret->ptr == NULL) abort();
    for (size_t i = 0; i < items->len; i++) ret->ptr[i] = tidied(items->ptr[i].body);
    // The items belong to the plugin, and the host frees the answer.
    exports_atlas_batch_operation_list_item_free(items);
}
