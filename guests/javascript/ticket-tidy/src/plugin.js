// Tidies benchmark tickets: what the contract asks of an operation.
import { readTicket, shapeProblem } from "../../ticket/ticket.js";
import { tidied } from "./tidy.js";

export const operation = {
    apply(items) {
        return items.map(({ body }) => {
            try {
                return { tag: "replace", val: tidied(readTicket(body, "a sequence")) };
            } catch (error) {
                return { tag: "reject", val: shapeProblem(error) };
            }
        });
    },
};
