// Does what its items say, with all that the contract has, for tests of languages.
import * as config from "atlas:batch/config@0.1.0";
import * as context from "atlas:batch/context@0.1.0";
import * as log from "atlas:batch/log@0.1.0";
import { learned, read } from "./reads.js";
import { whole } from "./whole.js";

/** The collection beside the run's own. */
const OTHER = "other";

export const validator = {
    /** `refuse N` breaks N rules. */
    validate(items) {
        return items.map(({ body }) => {
            const [word, count] = words(body);
            if (word !== "refuse") return { tag: "accept" };
            const rule = (_, n) => problem("PROBE_RULE", `${n}`, "/", [["rule", `${n}`]]);
            return { tag: "reject", val: Array.from({ length: Number(count) }, rule) };
        });
    },
};

export const operation = {
    apply(items) {
        return items.map(outcome);
    },
};

function words(body) {
    return body.slice(1, -1).split(" ");
}

function outcome({ ordinal, id, body }) {
    const [word, ...rest] = words(body);
    switch (word) {
        case "keep":
        case "drop":
            return { tag: word };
        case "replace":
            return { tag: "replace", val: '["replaced"]' };
        case "emit":
            return {
                tag: "emit",
                val: [
                    { tag: "put", val: { collection: OTHER, id: `${id}-other`, body } },
                    { tag: "put", val: { collection: undefined, id: `${id}-own`, body: '{"emitted":true}' } },
                    { tag: "delete", val: { collection: OTHER, id: "gone" } },
                    { tag: "delete", val: { id: "gone" } },
                ],
            };
        case "nothing":
            return { tag: "emit", val: [] };
        case "retry":
            if (context.attempt() === 1) return retry(Number(rest[0]));
            return { tag: "replace", val: `{"attempt":${context.attempt()}}` };
        case "never":
            return retry(undefined);
        case "reject":
            return { tag: "reject", val: problem("PROBE_REJECT", "asked to refuse", "/a~1b/0", [["k", ""], ["", "v"]]) };
        case "bare":
            return { tag: "reject", val: problem("", "", "", []) };
        case "log":
            log.write(rest[0], rest.slice(1).join(" "));
            return { tag: "keep" };
        case "config": {
            const value = config.get(rest[0]);
            return value == null ? learned("none", []) : learned("some", [[rest[0], value]]);
        }
        case "configs":
            return learned("all", config.getAll());
        case "context":
            return learned("context", told(ordinal));
        default:
            return read(word, rest);
    }
}

function told(ordinal) {
    const fixed = context.nowMs() === context.nowMs() && context.nowMs() > 1_700_000_000_000;
    return [
        ["run", `${context.run().length}`],
        ["batch", `${context.batch()}`],
        ["attempt", `${context.attempt()}`],
        ["deadline", `${context.deadlineMs()}`],
        ["now", fixed ? "fixed" : "moves"],
        ["seed", `${context.seed(ordinal)}`],
        ["other-seed", `${context.seed(whole(Number.MAX_SAFE_INTEGER))}`],
    ];
}

function retry(delayMs) {
    const what = problem("PROBE_RETRY", "asked to fail for now", "/retry", [["why", "asked"]]);
    return { tag: "retry", val: { problem: what, delayMs } };
}

function problem(code, message, pointer, details) {
    return { code, message, pointer, details };
}
