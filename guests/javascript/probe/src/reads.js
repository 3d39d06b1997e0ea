// The interface `store`, and how what was learned is told.
import * as store from "atlas:batch/store@0.1.0";
import { whole } from "./whole.js";

/** What was learned, as a refusal. */
export function learned(message, details) {
    return { tag: "reject", val: { code: "PROBE", message, pointer: "", details } };
}

/**
 * `get COLLECTION ID`, `get-many COLLECTION ID…`, `find COLLECTION INDEX KEY AFTER LIMIT`,
 * `count COLLECTION INDEX KEY LIMIT`.
 */
export function read(word, [collection, ...rest]) {
    try {
        switch (word) {
            case "get": {
                const body = store.get(some(collection), rest[0]);
                return body == null ? learned("none", []) : learned("some", [[rest[0], body]]);
            }
            case "get-many": {
                const bodies = store.getMany(some(collection), rest);
                return learned("many", bodies.map((body, n) => [rest[n], body ?? "none"]));
            }
            case "find": {
                const [index, sought, after, limit] = rest;
                const rows = store.find(some(collection), index, key(sought), some(after), Number(limit));
                return learned("rows", rows.map(({ id, body }) => [id, body]));
            }
            case "count": {
                const [index, sought, limit] = rest;
                return learned(`${store.count(some(collection), index, key(sought), Number(limit))}`, []);
            }
            default:
                return learned("no such word", []);
        }
    } catch (error) {
        const { tag, val } = error.payload ?? error;
        if (tag === undefined) throw error;
        return learned(tag, val == null ? [] : [["text", val]]);
    }
}

function some(word) {
    return word === "-" ? undefined : word;
}

/** `null`, `integer:5`, `real:0.5` or `text:a`. */
function key(word) {
    const [kind, value] = word.split(/:(.*)/);
    switch (kind) {
        case "integer":
            return { tag: "integer", val: whole(value) };
        case "real":
            return { tag: "real", val: Number(value) };
        case "text":
            return { tag: "text", val: value };
        default:
            return { tag: "null" };
    }
}
