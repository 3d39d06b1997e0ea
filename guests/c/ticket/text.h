// Text that is being written, and pieces of text that lie elsewhere.
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Bytes that belong to somebody else: not terminated, UTF-8.
typedef struct {
    const char *bytes;
    size_t length;
} span;

// The span of a string literal.
#define SPAN(literal) ((span){(literal), sizeof(literal) - 1})

bool span_equal(span a, span b);
// Byte order; a beginning comes before what it begins.
int span_compare(span a, span b);

// Bytes that grow. All zero is an empty text. `bytes` is from malloc, so that
// it can be handed to the bindings, which free it.
typedef struct {
    char *bytes;
    size_t length, capacity;
} text;

// Memory or a trap: a plugin without memory cannot answer, and the host tries
// again with fewer items.
void *allocate(size_t bytes);
void *reallocate(void *old, size_t bytes);

// Gives its memory back; the text is empty then.
void text_drop(text *t);
// Room for `more` bytes behind what is there.
void text_reserve(text *t, size_t more);
void text_byte(text *t, char byte);
void text_span(text *t, span s);
void text_number(text *t, uint64_t number);
// The number as the shortest decimal that reads back as the same, with a
// fraction or an exponent: `1.0`, `0.3333333333333333`, `1e+16`.
void text_double(text *t, double number);
// A JSON string with its quotes; only what must be escaped is.
void text_json(text *t, span s);
// A string as Rust's debug format quotes it, which is what messages use.
void text_debug(text *t, span s);

#endif
