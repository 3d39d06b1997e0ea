const SHORT_ESCAPES = { "\0": "\\0", "\t": "\\t", "\n": "\\n", "\r": "\\r", '"': '\\"', "\\": "\\\\" };
// What does not show by itself: controls, unassigned code points, spaces but the plain one, and marks that would
// melt into the character before them.
const HIDDEN = /[\p{C}\p{Z}\p{Grapheme_Extend}"\\]/gu;

/** A text in quotes, with escapes for whatever would not show. */
export function quoted(text) {
    const escaped = text.replace(HIDDEN, (char) =>
        char === " " ? char : (SHORT_ESCAPES[char] ?? `\\u{${char.codePointAt(0).toString(16)}}`),
    );
    return `"${escaped}"`;
}

/** The length of a text in bytes of UTF-8. */
export function utf8Length(text) {
    let length = text.length;
    // A surrogate is half of a character of four bytes.
    for (const [char] of text.matchAll(/[^\0-\x7f]/g)) {
        length += char < "\u0800" || (char >= "\ud800" && char < "\ue000") ? 1 : 2;
    }
    return length;
}
