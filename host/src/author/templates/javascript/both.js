// %DESCRIPTION%

export const validator = {
    /** One verdict for each item, in the same order. */
    validate(items) {
        return items.map(({ body }) => {
            try {
                judge(body);
                return { tag: "accept" };
            } catch (error) {
                return { tag: "reject", val: [problemOf(error)] };
            }
        });
    },
};

export const operation = {
    /** One outcome for each item, in the same order. Only items that were accepted come here. */
    apply(items) {
        return items.map(({ body }) => {
            try {
                return tidied(body);
            } catch (error) {
                return { tag: "reject", val: problemOf(error) };
            }
        });
    },
};

function judge(body) {
    const email = emailOf(contactIn(body));
    if (!/^[^@]+@[^@]+$/.test(email.trim())) {
        throw new Refused("EMAIL_FORM", `"${email}" is no e-mail address`, "/email");
    }
}

function tidied(body) {
    const contact = contactIn(body);
    if (contact.deleted === true) return { tag: "drop" };
    const email = emailOf(contact);
    const tidy = email.trim().toLowerCase();
    if (tidy === email) return { tag: "keep" };
    return { tag: "replace", val: withText(body, "email", tidy) };
}

function contactIn(body) {
    const contact = JSON.parse(body);
    if (contact === null || typeof contact !== "object" || Array.isArray(contact)) {
        throw new Refused("CONTACT_SHAPE", "a contact is a JSON object", "");
    }
    return contact;
}

/**
 * The body with another text for one of its members, which is a text. All else stays as it is written: a Number has 53 bits,
 * and JSON.stringify would write other digits than those that came.
 */
function withText(body, member, text) {
    let [depth, name, from, to] = [0, null, 0, 0];
    for (let at = 0; at < body.length; at++) {
        const char = body[at];
        if (char === '"') {
            const start = at;
            while (body[++at] !== '"') if (body[at] === "\\") at++;
            if (depth !== 1) continue;
            if (name === null) name = JSON.parse(body.slice(start, at + 1));
            else if (name === member) [from, to] = [start, at + 1];
        } else if (char === "{" || char === "[") depth++;
        else if (char === "}" || char === "]") depth--;
        else if (char === "," && depth === 1) name = null;
    }
    return body.slice(0, from) + JSON.stringify(text) + body.slice(to);
}

function emailOf({ email }) {
    if (typeof email !== "string") throw new Refused("EMAIL_MISSING", "a contact needs an e-mail address", "/email");
    return email;
}

/** Says that an item cannot pass, and why. */
class Refused extends Error {
    constructor(code, message, pointer) {
        super(message);
        this.problem = { code, message, pointer, details: [] };
    }
}

/** Any other error is a mistake in here: thrown on, it ends the call, and the host tells of it. */
function problemOf(error) {
    if (error instanceof Refused) return error.problem;
    throw error;
}
