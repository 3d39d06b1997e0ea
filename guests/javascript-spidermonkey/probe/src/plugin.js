// The plugin of ../../../javascript, with the other engine.
export { operation, validator } from "../../../javascript/probe/src/plugin.js";
