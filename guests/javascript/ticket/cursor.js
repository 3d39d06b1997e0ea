// A cursor over JSON text that is known to be strict, escapes included. JSON.parse loses what the rules ask for: members that are there
// twice, 1.0 against 1, whole numbers above 2^53, and the place of a mistake.
import { floatText, isSigned, isUnsigned, isWithinDouble, exponentBound } from "./numbers.js";
import { quoted, utf8Length } from "./texts.js";

const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LITERALS = { n: "null", t: "true", f: "false" };

export const QUOTE = 0x22, COMMA = 0x2c, MINUS = 0x2d, ZERO = 0x30, NINE = 0x39, COLON = 0x3a;
export const OPEN_LIST = 0x5b, BACKSLASH = 0x5c, CLOSE_LIST = 0x5d, OPEN_OBJECT = 0x7b, CLOSE_OBJECT = 0x7d;

/** The text is not what was asked for; the message says what and where. */
export class JsonError extends Error {}

export class Cursor {
    constructor(text) {
        this.text = text;
        this.at = 0;
        this.hasEscapes = text.includes("\\");
    }

    /** Skips white space; the code of the character that follows. */
    peek() {
        let next = this.text.charCodeAt(this.at);
        while (next === 0x20 || next === 0x0a || next === 0x0d || next === 0x09) {
            next = this.text.charCodeAt(++this.at);
        }
        return next;
    }

    /** Steps over the character that follows, if it is this one. */
    take(code) {
        if (this.peek() !== code) return false;
        this.at++;
        return true;
    }

    /** The string that begins here. */
    string() {
        const start = this.at;
        const end = this.stringEnd();
        this.at = end + 1;
        const inside = this.text.slice(start + 1, end);
        return this.hasEscapes && inside.includes("\\") ? JSON.parse(this.text.slice(start, end + 1)) : inside;
    }

    /** Steps over the string that begins here. */
    skipString() {
        this.at = this.stringEnd() + 1;
    }

    /** The place of the quote that ends the string which begins here. */
    stringEnd() {
        let end = this.text.indexOf('"', this.at + 1);
        if (this.hasEscapes) {
            while (this.isEscaped(end)) end = this.text.indexOf('"', end + 1);
        }
        return end;
    }

    /** Whether an odd number of backslashes stands before this place. */
    isEscaped(place) {
        let first = place;
        while (this.text.charCodeAt(first - 1) === BACKSLASH) first--;
        return (place - first) % 2 === 1;
    }

    /** The text of the number that begins here, within the range of a double. */
    number() {
        NUMBER.lastIndex = this.at;
        NUMBER.test(this.text);
        const number = this.text.slice(this.at, NUMBER.lastIndex);
        if (!isWithinDouble(number)) {
            this.at += exponentBound(number);
            throw this.error("number out of range");
        }
        this.at = NUMBER.lastIndex;
        return number;
    }

    /** Steps over one value of any kind. */
    skip() {
        let depth = 0;
        do {
            const next = this.peek();
            if (next === QUOTE) {
                this.skipString();
            } else if (next === OPEN_LIST || next === OPEN_OBJECT) {
                depth++;
                this.at++;
            } else if (next === CLOSE_LIST || next === CLOSE_OBJECT) {
                depth--;
                this.at++;
            } else if (next === COMMA || next === COLON) {
                this.at++;
            } else if (isNumberStart(next)) {
                NUMBER.lastIndex = this.at;
                NUMBER.test(this.text);
                this.at = NUMBER.lastIndex;
            } else {
                this.literal();
            }
        } while (depth > 0);
    }

    /** Steps over null, true or false; its text. */
    literal() {
        const literal = LITERALS[this.text[this.at]];
        this.at += literal.length;
        return literal;
    }

    /** The error that the value which begins here is none of the kind expected. */
    unexpected(expected) {
        return this.error(`invalid type: ${this.found()}, expected ${expected}`);
    }

    /** What the value is that begins here. Steps over it, unless it is a list or an object. */
    found() {
        const next = this.peek();
        if (next === QUOTE) return `string ${quoted(this.string())}`;
        if (next === OPEN_LIST) return "sequence";
        if (next === OPEN_OBJECT) return "map";
        if (isNumberStart(next)) return described(this.number());
        const literal = this.literal();
        return literal === "null" ? literal : `boolean \`${literal}\``;
    }

    /** An error here: the line counted from 1, and the bytes of UTF-8 before in that line. */
    error(what) {
        const lines = this.text.slice(0, this.at).split("\n");
        return new JsonError(`${what} at line ${lines.length} column ${utf8Length(lines.at(-1))}`);
    }
}

/** A number in words. */
export function described(number) {
    return isUnsigned(number) || isSigned(number)
        ? `integer \`${number}\``
        : `floating point \`${floatText(Number(number))}\``;
}

export function isNumberStart(code) {
    return (code >= ZERO && code <= NINE) || code === MINUS;
}
