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

function judge(body) {
    const email = emailOf(contactIn(body));
    if (!/^[^@]+@[^@]+$/.test(email.trim())) {
        throw new Refused("EMAIL_FORM", `"${email}" is no e-mail address`, "/email");
    }
}

function contactIn(body) {
    const contact = JSON.parse(body);
    if (contact === null || typeof contact !== "object" || Array.isArray(contact)) {
        throw new Refused("CONTACT_SHAPE", "a contact is a JSON object", "");
    }
    return contact;
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
