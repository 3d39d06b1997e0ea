#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *allocate(size_t bytes) {
    void *memory = calloc(bytes > 0 ? bytes : 1, 1);
    if (memory == NULL) abort();
    return memory;
}

words words_of(plugin_string_t body) {
    words said = {0};
    size_t from = 1;
    // The closing quote ends the last word.
    for (size_t at = 1; at < body.len && said.count < WORDS_MAX; at++) {
        if (body.ptr[at] != ' ' && at + 1 < body.len) continue;
        body.ptr[at] = '\0';
        said.all[said.count++] = (plugin_string_t){body.ptr + from, at - from};
        from = at + 1;
    }
    return said;
}

bool is(plugin_string_t word, const char *text) { return strcmp((const char *)word.ptr, text) == 0; }

bool begins(plugin_string_t word, const char *text) { return strncmp((const char *)word.ptr, text, strlen(text)) == 0; }

plugin_string_t rest(const words *said, size_t from) {
    plugin_string_t all = {0};
    for (size_t i = from; i < said->count; i++) {
        plugin_string_t longer = text("%.*s%s%s", (int)all.len, (char *)all.ptr, i > from ? " " : "", said->all[i].ptr);
        free(all.ptr);
        all = longer;
    }
    return all;
}

plugin_string_t text(const char *format, ...) {
    va_list list, again;
    va_start(list, format);
    va_copy(again, list);
    size_t length = (size_t)vsnprintf(NULL, 0, format, list);
    char *bytes = allocate(length + 1);
    vsnprintf(bytes, length + 1, format, again);
    va_end(again);
    va_end(list);
    return (plugin_string_t){(uint8_t *)bytes, length};
}

plugin_string_t copy(plugin_string_t from) {
    plugin_string_t to = {allocate(from.len), from.len};
    memcpy(to.ptr, from.ptr, from.len);
    return to;
}

problem problem_of(const char *code, plugin_string_t message, const char *pointer) {
    return (problem){.code = text("%s", code), .message = message, .pointer = text("%s", pointer)};
}

void detail(problem *to, plugin_string_t name, plugin_string_t value) {
    plugin_list_tuple2_string_string_t *list = &to->details;
    list->ptr = realloc(list->ptr, (list->len + 1) * sizeof *list->ptr);
    if (list->ptr == NULL) abort();
    list->ptr[list->len++] = (plugin_tuple2_string_string_t){name, value};
}

outcome learned(plugin_string_t message) {
    return (outcome){.tag = ATLAS_BATCH_TYPES_OUTCOME_REJECT, .val.reject = problem_of("PROBE", message, "")};
}
