// The official client of the front end that plays. Loaded from its folder, so that stories do not say which.
import { createRequire } from "node:module";

export const load = createRequire(`${process.env.FRONT_END}/package.json`);

export const { ConvexClient, ConvexHttpClient } = load("convex/browser");
export const { anyApi: api } = load("convex/server");
export const { version } = load("convex");

/** The error of a call that fails; null when it does not. */
export const error = (call) => call.then(() => null, (failed) => failed);
