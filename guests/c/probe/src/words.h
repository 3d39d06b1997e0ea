// The words of an item, and texts of the plugin's own.
#ifndef WORDS_H
#define WORDS_H

#include <stdarg.h>

#include "plugin.h"

typedef atlas_batch_types_problem_t problem;
typedef atlas_batch_types_outcome_t outcome;

// Words of an item; more are not looked at.
#define WORDS_MAX 16

typedef struct {
    plugin_string_t all[WORDS_MAX];
    size_t count;
} words;

// The body is a JSON string without escapes. The words lie in it, and end
// with a zero.
words words_of(plugin_string_t body);
bool is(plugin_string_t word, const char *text);
// The first characters of a word.
bool begins(plugin_string_t word, const char *text);
// The words from one on, with blanks between them.
plugin_string_t rest(const words *said, size_t from);

void *allocate(size_t bytes);
// A text as printf writes it, from malloc.
plugin_string_t text(const char *format, ...) __attribute__((format(printf, 1, 2)));
plugin_string_t copy(plugin_string_t from);

problem problem_of(const char *code, plugin_string_t message, const char *pointer);
// Adds a pair to the details. Name and value are the problem's from then on.
void detail(problem *to, plugin_string_t name, plugin_string_t value);
// What was learned, as a refusal.
outcome learned(plugin_string_t message);

// Answers "get", "get-many", "find" and "count".
outcome read_store(words *said);

#endif
