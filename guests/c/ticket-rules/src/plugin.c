// The component: what the contract asks for.
#include "plugin.h"

#include <string.h>

#include "rules.h"

static plugin_string_t owned(text t) { return (plugin_string_t){(uint8_t *)t.bytes, t.length}; }

// One verdict for each item, in the same order. The host gives the items
// away, and frees what it is given.
void exports_atlas_batch_validator_validate(exports_atlas_batch_validator_list_item_t *items,
                                            exports_atlas_batch_validator_list_verdict_t *ret) {
    ret->len = items->len;
    ret->ptr = allocate(items->len * sizeof *ret->ptr);
    for (size_t i = 0; i < items->len; i++) {
        plugin_string_t body = items->ptr[i].body;
        broken rules[RULES_MAX];
        size_t count = rules_judge((span){(const char *)body.ptr, body.len}, rules);
        atlas_batch_types_verdict_t *verdict = &ret->ptr[i];
        memset(verdict, 0, sizeof *verdict);
        verdict->tag = ATLAS_BATCH_TYPES_VERDICT_ACCEPT;
        if (count == 0) continue;
        verdict->tag = ATLAS_BATCH_TYPES_VERDICT_REJECT;
        verdict->val.reject.len = count;
        verdict->val.reject.ptr = allocate(count * sizeof *verdict->val.reject.ptr);
        for (size_t rule = 0; rule < count; rule++) {
            atlas_batch_types_problem_t *problem = &verdict->val.reject.ptr[rule];
            memset(problem, 0, sizeof *problem);
            plugin_string_dup(&problem->code, rules[rule].code);
            problem->message = owned(rules[rule].message);
            plugin_string_dup(&problem->pointer, rules[rule].pointer);
        }
    }
    exports_atlas_batch_validator_list_item_free(items);
}
