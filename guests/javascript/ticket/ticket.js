// Tickets: what they are made of, and how one is read from the text of an item.
import {
    CLOSE_LIST, CLOSE_OBJECT, COLON, COMMA, Cursor, JsonError, OPEN_LIST, OPEN_OBJECT, QUOTE, described, isNumberStart,
} from "./cursor.js";
import { isSigned, isUnsigned } from "./numbers.js";

export { floatText } from "./numbers.js";
export { quoted, utf8Length } from "./texts.js";

const U32_MAX = 2 ** 32 - 1;
// In the order in which a list gives them; the last two may be missing.
const FIELDS = ["id", "path", "title", "status", "priority", "tags", "created", "notes", "slug", "score"];
const REQUIRED = FIELDS.slice(0, 8);

/**
 * Reads a ticket: an object, or a list of the fields' values in their order. Other members are left out. `created` is
 * a Number, or its digits where a Number has too few of them. `tagsAre` says in an error what `tags` was to be.
 *
 * Throws a `JsonError` if a field is missing, doubled or of another type.
 */
export function readTicket(text, tagsAre) {
    return plainTicket(text) ?? readCarefully(text, tagsAre);
}

/**
 * The ticket, if it is one and nothing is lost by JSON.parse: then it would be written exactly as the text is. Of all
 * ways to be sure of that, this one is the fastest by far in an engine that interprets.
 */
function plainTicket(text) {
    const ticket = JSON.parse(text);
    const isTicket =
        isText(ticket?.id) && isText(ticket.path) && isText(ticket.title) && isText(ticket.status) &&
        isText(ticket.notes) && isWhole(ticket.priority) && ticket.priority <= U32_MAX &&
        Array.isArray(ticket.tags) && ticket.tags.every(isText) && isWhole(ticket.created) &&
        (ticket.slug === undefined || isText(ticket.slug)) &&
        (ticket.score === undefined || typeof ticket.score === "number");
    return isTicket && JSON.stringify(ticket) === text ? ticket : undefined;
}

function isText(value) {
    return typeof value === "string";
}

function isWhole(value) {
    return Number.isSafeInteger(value) && value >= 0;
}

function readCarefully(text, tagsAre) {
    const cursor = new Cursor(text);
    const next = cursor.peek();
    if (next === OPEN_OBJECT) return fromObject(cursor, tagsAre);
    if (next === OPEN_LIST) return fromList(cursor, tagsAre);
    throw cursor.unexpected("struct Ticket");
}

/** What is wrong with the text of an item that is no ticket. Errors of any other kind are mistakes of ours. */
export function shapeProblem(error) {
    if (!(error instanceof JsonError)) throw error;
    return { code: "TICKET_SHAPE", message: `not a ticket: ${error.message}`, pointer: "", details: [] };
}

function fromObject(cursor, tagsAre) {
    const ticket = { __proto__: null };
    cursor.at++;
    if (!cursor.take(CLOSE_OBJECT)) {
        do {
            cursor.peek();
            const name = cursor.string();
            cursor.peek();
            if (ticket[name] !== undefined) throw cursor.error(`duplicate field \`${name}\``);
            cursor.take(COLON);
            readField(cursor, ticket, name, tagsAre);
        } while (cursor.take(COMMA));
        cursor.take(CLOSE_OBJECT);
    }
    for (const name of REQUIRED) {
        if (ticket[name] === undefined) throw cursor.error(`missing field \`${name}\``);
    }
    return ticket;
}

function fromList(cursor, tagsAre) {
    const ticket = { __proto__: null };
    cursor.at++;
    let count = 0;
    if (!cursor.take(CLOSE_LIST)) {
        do {
            cursor.peek();
            if (count === FIELDS.length) {
                cursor.at++;
                throw cursor.error("trailing characters");
            }
            readField(cursor, ticket, FIELDS[count++], tagsAre);
        } while (cursor.take(COMMA));
        cursor.take(CLOSE_LIST);
    }
    if (count < REQUIRED.length) {
        throw cursor.error(`invalid length ${count}, expected struct Ticket with ${FIELDS.length} elements`);
    }
    return ticket;
}

function readField(cursor, ticket, name, tagsAre) {
    switch (name) {
        case "id":
        case "path":
        case "title":
        case "status":
        case "notes":
        case "slug":
            ticket[name] = readText(cursor);
            break;
        case "priority":
            ticket.priority = Number(readWhole(cursor, "u32", isU32));
            break;
        case "tags":
            ticket.tags = readTexts(cursor, tagsAre);
            break;
        case "created":
            ticket.created = readWhole(cursor, "u64", isUnsigned);
            break;
        case "score":
            if (!isNumberStart(cursor.peek())) throw cursor.unexpected("f64");
            ticket.score = Number(cursor.number());
            break;
        default:
            cursor.skip();
    }
}

function readText(cursor) {
    if (cursor.peek() !== QUOTE) throw cursor.unexpected("a string");
    return cursor.string();
}

function readTexts(cursor, listIs) {
    if (cursor.peek() !== OPEN_LIST) throw cursor.unexpected(listIs);
    cursor.at++;
    const texts = [];
    if (cursor.take(CLOSE_LIST)) return texts;
    do texts.push(readText(cursor));
    while (cursor.take(COMMA));
    cursor.take(CLOSE_LIST);
    return texts;
}

/** The digits of a whole number for which `fits` is true. */
function readWhole(cursor, type, fits) {
    if (!isNumberStart(cursor.peek())) throw cursor.unexpected(type);
    const number = cursor.number();
    if (fits(number)) return number;
    const what = isUnsigned(number) || isSigned(number) ? "value" : "type";
    throw cursor.error(`invalid ${what}: ${described(number)}, expected ${type}`);
}

function isU32(number) {
    return isUnsigned(number) && Number(number) <= U32_MAX;
}
