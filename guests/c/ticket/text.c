#include "text.h"

#include <stdlib.h>
#include <string.h>

#include "unprintable.h"

static const char HEX[] = "0123456789abcdef";

bool span_equal(span a, span b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

int span_compare(span a, span b) {
    size_t common = a.length < b.length ? a.length : b.length;
    int order = common == 0 ? 0 : memcmp(a.bytes, b.bytes, common);
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

void *allocate(size_t bytes) { return reallocate(NULL, bytes); }

void *reallocate(void *old, size_t bytes) {
    void *new = realloc(old, bytes == 0 ? 1 : bytes);
    if (new == NULL) abort();
    return new;
}

void text_drop(text *t) {
    free(t->bytes);
    *t = (text){0};
}

void text_reserve(text *t, size_t more) {
    if (t->capacity - t->length >= more) return;
    if (more > SIZE_MAX / 2 - t->length) abort();
    size_t doubled = t->capacity <= SIZE_MAX / 2 ? 2 * t->capacity : SIZE_MAX;
    size_t wanted = t->length + more;
    t->capacity = wanted > doubled ? wanted : doubled;
    t->bytes = reallocate(t->bytes, t->capacity);
}

void text_byte(text *t, char byte) {
    text_reserve(t, 1);
    t->bytes[t->length++] = byte;
}

void text_span(text *t, span s) {
    if (s.length == 0) return;
    text_reserve(t, s.length);
    memcpy(t->bytes + t->length, s.bytes, s.length);
    t->length += s.length;
}

void text_number(text *t, uint64_t number) {
    char digits[20];
    size_t first = sizeof digits;
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    text_span(t, (span){digits + first, sizeof digits - first});
}

// The letter after the backslash in JSON, `u` for four hexadecimal digits, 0
// for a byte that stands for itself.
static char json_escape(unsigned char byte) {
    switch (byte) {
    case '"': return '"';
    case '\\': return '\\';
    case '\b': return 'b';
    case '\t': return 't';
    case '\n': return 'n';
    case '\f': return 'f';
    case '\r': return 'r';
    default: return byte < 0x20 ? 'u' : 0;
    }
}

void text_json(text *t, span s) {
    text_reserve(t, s.length + 2);
    text_byte(t, '"');
    size_t plain = 0;
    for (size_t i = 0; i < s.length; i++) {
        unsigned char byte = (unsigned char)s.bytes[i];
        char escape = json_escape(byte);
        if (escape == 0) continue;
        text_span(t, (span){s.bytes + plain, i - plain});
        plain = i + 1;
        text_byte(t, '\\');
        text_byte(t, escape);
        if (escape == 'u') {
            text_span(t, SPAN("00"));
            text_byte(t, HEX[byte >> 4]);
            text_byte(t, HEX[byte & 15]);
        }
    }
    text_span(t, (span){s.bytes + plain, s.length - plain});
    text_byte(t, '"');
}

// The character at the beginning of `s` and its length; a byte that begins no
// character counts as one.
static uint32_t first_character(span s, size_t *length) {
    unsigned char lead = (unsigned char)s.bytes[0];
    size_t wanted = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    *length = wanted <= s.length ? wanted : 1;
    if (*length == 1) return lead;
    uint32_t character = lead & (0x7fu >> wanted);
    for (size_t i = 1; i < wanted; i++) character = character << 6 | ((unsigned char)s.bytes[i] & 0x3f);
    return character;
}

static bool is_unprintable(uint32_t character) {
    size_t low = 0, high = sizeof UNPRINTABLE / sizeof UNPRINTABLE[0];
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (character > UNPRINTABLE[middle][1]) {
            low = middle + 1;
        } else if (character < UNPRINTABLE[middle][0]) {
            high = middle;
        } else {
            return true;
        }
    }
    return false;
}

void text_debug(text *t, span s) {
    text_byte(t, '"');
    while (s.length > 0) {
        size_t length;
        uint32_t character = first_character(s, &length);
        char escape = 0;
        switch (character) {
        case '\0': escape = '0'; break;
        case '\t': escape = 't'; break;
        case '\n': escape = 'n'; break;
        case '\r': escape = 'r'; break;
        case '"': escape = '"'; break;
        case '\\': escape = '\\'; break;
        }
        if (escape != 0) {
            text_byte(t, '\\');
            text_byte(t, escape);
        } else if (character < 0x20 || is_unprintable(character)) {
            text_span(t, SPAN("\\u{"));
            int shift = 20;
            while (shift > 0 && character >> shift == 0) shift -= 4;
            for (; shift >= 0; shift -= 4) text_byte(t, HEX[character >> shift & 15]);
            text_byte(t, '}');
        } else {
            text_span(t, (span){s.bytes, length});
        }
        s.bytes += length;
        s.length -= length;
    }
    text_byte(t, '"');
}
