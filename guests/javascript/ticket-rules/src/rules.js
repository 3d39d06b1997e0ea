// The rules of a ticket.
import { quoted, utf8Length } from "../../ticket/ticket.js";

const TITLE_BYTES_MAX = 200;
const PRIORITY_MAX = 9;
const TAGS_MAX = 10;
const STATUSES = ["pending", "in_progress", "completed", "failed", "blocked"];

/** A problem for each rule that the ticket breaks, in the order of the fields. */
export function brokenRules({ title, status, priority, tags }) {
    const broken = [];
    const add = (code, pointer, message) => broken.push({ code, message, pointer, details: [] });
    // A code unit makes three bytes at most: most titles need not be counted.
    if (title.length === 0 || title.length * 3 > TITLE_BYTES_MAX) {
        const bytes = utf8Length(title);
        if (bytes === 0 || bytes > TITLE_BYTES_MAX) {
            add("TICKET_TITLE", "/title", `title has ${bytes} bytes, wanted 1 to ${TITLE_BYTES_MAX}`);
        }
    }
    if (!STATUSES.includes(status)) {
        add("TICKET_STATUS", "/status", `status is ${quoted(status)}, wanted one of ${STATUSES.join(", ")}`);
    }
    if (priority > PRIORITY_MAX) {
        add("TICKET_PRIORITY", "/priority", `priority is ${priority}, wanted 0 to ${PRIORITY_MAX}`);
    }
    if (tags.length > TAGS_MAX) {
        add("TICKET_TAGS", "/tags", `${tags.length} tags, wanted at most ${TAGS_MAX}`);
    }
    return broken;
}
