// Subscriptions that a story can wait for.
import { load } from "./official.js";

/** What a query shows: `values` so far, `last` of them, and `until` one holds. Errors count as values. */
export function watch(client, query, args = {}) {
  const values = [];
  let waiting = [];
  const note = (value) => {
    values.push(value);
    waiting = waiting.filter(({ holds, found }) => !holds(value) || found(value));
  };
  const stop = client.onUpdate(query, args, note, note);
  return {
    values,
    stop,
    get last() {
      return values.at(-1);
    },
    until: (holds) =>
      values.length && holds(values.at(-1))
        ? Promise.resolve(values.at(-1))
        : new Promise((resolve) => waiting.push({ holds, found: (value) => void resolve(value) })),
  };
}

/** A WebSocket that notes the types of the messages it gets and how often the server pinged it. */
export function noting(heard) {
  const { WebSocket } = load("ws");
  return class extends WebSocket {
    constructor(...args) {
      super(...args);
      this.on("message", (data) => heard.push(JSON.parse(data).type));
      this.on("ping", () => heard.push("ping"));
    }
  };
}
