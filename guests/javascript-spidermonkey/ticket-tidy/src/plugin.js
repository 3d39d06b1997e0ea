// The plugin of ../../../javascript, with the other engine.
export { operation } from "../../../javascript/ticket-tidy/src/plugin.js";
