// Judges benchmark tickets: what the contract asks of a validator.
import { readTicket, shapeProblem } from "../../ticket/ticket.js";
import { brokenRules } from "./rules.js";

export const validator = {
    validate(items) {
        return items.map(({ body }) => {
            const problems = judge(body);
            return problems.length === 0 ? { tag: "accept" } : { tag: "reject", val: problems };
        });
    },
};

function judge(body) {
    try {
        return brokenRules(readTicket(body, "a list of strings"));
    } catch (error) {
        return [shapeProblem(error)];
    }
}
