// What tidying does to a ticket.
import { floatText } from "../../ticket/ticket.js";

/**
 * The tidied ticket as compact JSON, its fields in a fixed order: `slug` is the title in ASCII lower case with `-`
 * for every run of other characters, `tags` are in ASCII lower case, sorted, without repeats, `score` is the
 * priority over one plus the number of tags left.
 */
export function tidied({ id, path, title, status, priority, tags, created, notes }) {
    const slug = title.replace(/[^A-Za-z0-9]+/g, "-").toLowerCase();
    const tidyTags = inOrder([...new Set(tags.map(asciiLowerCase))]);
    const score = priority / (1 + tidyTags.length);
    // In pieces, since `created` may have more digits than a Number, and a score of 1 is written 1.0.
    const head = JSON.stringify({ id, path, title, status, priority, tags: tidyTags }).slice(0, -1);
    const tail = JSON.stringify({ notes, slug }).slice(1, -1);
    return `${head},"created":${created},${tail},"score":${floatText(score)}}`;
}

/** As toLowerCase, which knows letters of all the world, where it may be used. */
function asciiLowerCase(text) {
    const lower = text.toLowerCase();
    if (lower === text || /^[\0-\x7f]*$/.test(text)) return lower;
    return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** Sorted by code points. Array.sort alone goes by UTF-16, where a surrogate comes before U+E000. */
function inOrder(texts) {
    return /[\ud800-\udfff]/.test(texts.join()) ? texts.sort(byCodePoints) : texts.sort();
}

function byCodePoints(a, b) {
    let i = 0;
    while (i < a.length && a[i] === b[i]) i++;
    return (a.codePointAt(i) ?? -1) - (b.codePointAt(i) ?? -1);
}
