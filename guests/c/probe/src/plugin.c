// Does what its items say, with all that the contract has, for tests of languages.
#include "plugin.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

// The collection beside the run's own.
#define OTHER "other"

static plugin_option_string_t collection(const char *name) {
    return name == NULL ? (plugin_option_string_t){0} : (plugin_option_string_t){true, text("%s", name)};
}

static atlas_batch_types_change_t put(const char *name, plugin_string_t id, plugin_string_t body) {
    return (atlas_batch_types_change_t){.tag = ATLAS_BATCH_TYPES_CHANGE_PUT, .val.put = {collection(name), id, body}};
}

static atlas_batch_types_change_t delete(const char *name, plugin_string_t id) {
    return (atlas_batch_types_change_t){.tag = ATLAS_BATCH_TYPES_CHANGE_DELETE, .val.delete_ = {collection(name), id}};
}

// `body` is the item's as it was before its words were cut out of it.
static outcome emit(const atlas_batch_types_item_t *item, plugin_string_t body) {
    atlas_batch_types_change_t *changes = allocate(4 * sizeof *changes);
    int length = (int)item->id.len;
    const char *id = (const char *)item->id.ptr;
    changes[0] = put(OTHER, text("%.*s-other", length, id), copy(body));
    changes[1] = put(NULL, text("%.*s-own", length, id), text("{\"emitted\":true}"));
    changes[2] = delete(OTHER, text("gone"));
    changes[3] = delete(NULL, text("gone"));
    return (outcome){.tag = ATLAS_BATCH_TYPES_OUTCOME_EMIT, .val.emit = {changes, 4}};
}

static outcome replace(plugin_string_t body) {
    return (outcome){.tag = ATLAS_BATCH_TYPES_OUTCOME_REPLACE, .val.replace = body};
}

static outcome retry(plugin_option_u32_t delay) {
    outcome told = {.tag = ATLAS_BATCH_TYPES_OUTCOME_RETRY};
    told.val.retry.problem = problem_of("PROBE_RETRY", text("asked to fail for now"), "/retry");
    detail(&told.val.retry.problem, text("why"), text("asked"));
    told.val.retry.delay_ms = delay;
    return told;
}

static outcome refuse(problem what) {
    return (outcome){.tag = ATLAS_BATCH_TYPES_OUTCOME_REJECT, .val.reject = what};
}

static outcome reject(void) {
    problem what = problem_of("PROBE_REJECT", text("asked to refuse"), "/a~1b/0");
    detail(&what, text("k"), text("%s", ""));
    detail(&what, text("%s", ""), text("v"));
    return refuse(what);
}

static outcome log_line(words *said) {
    static const char *const levels[] = {"trace", "debug", "info", "warn", "error"};
    plugin_string_t message = rest(said, 2);
    for (uint8_t level = 0; level < 5; level++) {
        if (is(said->all[1], levels[level])) atlas_batch_log_write(level, &message);
    }
    free(message.ptr);
    return (outcome){.tag = ATLAS_BATCH_TYPES_OUTCOME_KEEP};
}

static outcome config(words *said) {
    plugin_string_t value;
    if (!atlas_batch_config_get(&said->all[1], &value)) return learned(text("none"));
    outcome told = learned(text("some"));
    detail(&told.val.reject, copy(said->all[1]), value);
    return told;
}

static outcome configs(void) {
    outcome told = learned(text("all"));
    atlas_batch_config_get_all(&told.val.reject.details);
    return told;
}

static outcome context(uint64_t ordinal) {
    outcome told = learned(text("context"));
    problem *to = &told.val.reject;
    plugin_string_t run;
    atlas_batch_context_run(&run);
    uint64_t now = atlas_batch_context_now_ms();
    bool fixed = now == atlas_batch_context_now_ms() && now > UINT64_C(1700000000000);
    detail(to, text("run"), text("%zu", run.len));
    detail(to, text("batch"), text("%" PRIu64, atlas_batch_context_batch()));
    detail(to, text("attempt"), text("%" PRIu32, atlas_batch_context_attempt()));
    detail(to, text("deadline"), text("%" PRIu64, atlas_batch_context_deadline_ms()));
    detail(to, text("now"), text(fixed ? "fixed" : "moves"));
    detail(to, text("seed"), text("%" PRIu64, atlas_batch_context_seed(ordinal)));
    detail(to, text("other-seed"), text("%" PRIu64, atlas_batch_context_seed((UINT64_C(1) << 53) - 1)));
    free(run.ptr);
    return told;
}

static outcome answer(const atlas_batch_types_item_t *item) {
    plugin_string_t body = copy(item->body);
    words said = words_of(item->body);
    plugin_string_t word = said.all[0];
    outcome told = {.tag = ATLAS_BATCH_TYPES_OUTCOME_KEEP};
    if (is(word, "drop")) told.tag = ATLAS_BATCH_TYPES_OUTCOME_DROP;
    else if (is(word, "replace")) told = replace(text("[\"replaced\"]"));
    else if (is(word, "emit")) told = emit(item, body);
    else if (is(word, "nothing")) told.tag = ATLAS_BATCH_TYPES_OUTCOME_EMIT;
    else if (is(word, "retry") && atlas_batch_context_attempt() > 1) {
        told = replace(text("{\"attempt\":%" PRIu32 "}", atlas_batch_context_attempt()));
    } else if (is(word, "retry")) {
        told = retry((plugin_option_u32_t){true, (uint32_t)strtoul((const char *)said.all[1].ptr, NULL, 10)});
    } else if (is(word, "never")) told = retry((plugin_option_u32_t){0});
    else if (is(word, "reject")) told = reject();
    else if (is(word, "bare")) told = refuse((problem){0});
    else if (is(word, "log")) told = log_line(&said);
    else if (is(word, "config")) told = config(&said);
    else if (is(word, "configs")) told = configs();
    else if (is(word, "context")) told = context(item->ordinal);
    else if (!is(word, "keep")) told = read_store(&said);
    free(body.ptr);
    return told;
}

void exports_atlas_batch_operation_apply(exports_atlas_batch_operation_list_item_t *items,
                                         exports_atlas_batch_operation_list_outcome_t *ret) {
    ret->len = items->len;
    ret->ptr = allocate(items->len * sizeof *ret->ptr);
    for (size_t i = 0; i < items->len; i++) ret->ptr[i] = answer(&items->ptr[i]);
    exports_atlas_batch_operation_list_item_free(items);
}

// "refuse N" breaks N rules.
static atlas_batch_types_list_problem_t broken(size_t count) {
    atlas_batch_types_list_problem_t list = {allocate(count * sizeof *list.ptr), count};
    for (size_t n = 0; n < count; n++) {
        list.ptr[n] = problem_of("PROBE_RULE", text("%zu", n), "/");
        detail(&list.ptr[n], text("rule"), text("%zu", n));
    }
    return list;
}

void exports_atlas_batch_validator_validate(exports_atlas_batch_validator_list_item_t *items,
                                            exports_atlas_batch_validator_list_verdict_t *ret) {
    ret->len = items->len;
    ret->ptr = allocate(items->len * sizeof *ret->ptr);
    for (size_t i = 0; i < items->len; i++) {
        words said = words_of(items->ptr[i].body);
        if (!is(said.all[0], "refuse")) continue;
        ret->ptr[i].tag = ATLAS_BATCH_TYPES_VERDICT_REJECT;
        ret->ptr[i].val.reject = broken(strtoul((const char *)said.all[1].ptr, NULL, 10));
    }
    exports_atlas_batch_validator_list_item_free(items);
}
