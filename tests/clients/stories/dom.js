// A page of jsdom around React. Import it before anything that looks for a `document`.
import { load } from "./official.js";

const { JSDOM } = load("jsdom");
const { window } = new JSDOM("<!doctype html><body></body>", { url: "http://localhost/", pretendToBeVisual: true });
const define = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
for (const name of Object.getOwnPropertyNames(window)) if (!(name in globalThis)) define(name, window[name]);
for (const name of ["window", "document", "navigator", "Event", "WebSocket"]) define(name, window[name]);

const { configure } = load("@testing-library/react");
configure({ asyncUtilTimeout: 20_000 });
