/** For `node --import`: whoever imports "electron" gets the stand-in beside this file. */
import { register } from "node:module";

const standIn = JSON.stringify(new URL("stand-in.js", import.meta.url).href);
const hooks = `export const resolve = (name, context, next) =>
  name === "electron" ? { url: ${standIn}, shortCircuit: true } : next(name, context);`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
