// The plugin of ../../../javascript, with the other engine.
export { validator } from "../../../javascript/ticket-rules/src/plugin.js";
