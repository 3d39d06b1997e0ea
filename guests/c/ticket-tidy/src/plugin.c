// The component: what the contract asks for.
#include "plugin.h"

#include <string.h>

#include "tidy.h"

static plugin_string_t owned(text t) { return (plugin_string_t){(uint8_t *)t.bytes, t.length}; }

// One outcome for each item, in the same order. The host gives the items
// away, and frees what it is given.
void exports_atlas_batch_operation_apply(exports_atlas_batch_operation_list_item_t *items,
                                         exports_atlas_batch_operation_list_outcome_t *ret) {
    ret->len = items->len;
    ret->ptr = allocate(items->len * sizeof *ret->ptr);
    for (size_t i = 0; i < items->len; i++) {
        plugin_string_t body = items->ptr[i].body;
        text result;
        bool is_ticket = tidy((span){(const char *)body.ptr, body.len}, &result);
        atlas_batch_types_outcome_t *outcome = &ret->ptr[i];
        memset(outcome, 0, sizeof *outcome);
        if (is_ticket) {
            outcome->tag = ATLAS_BATCH_TYPES_OUTCOME_REPLACE;
            outcome->val.replace = owned(result);
        } else {
            outcome->tag = ATLAS_BATCH_TYPES_OUTCOME_REJECT;
            plugin_string_dup(&outcome->val.reject.code, "TICKET_SHAPE");
            outcome->val.reject.message = owned(result);
        }
    }
    exports_atlas_batch_operation_list_item_free(items);
}
