// Answers cases, one in each line of the input, with what Node's own Fetch classes make of them.
import { createInterface } from "node:readline";

const PARTS = ["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"];
const parts = (url) => Object.fromEntries(PARTS.map((part) => [part, url[part]]));
const base64 = (buffer) => Buffer.from(buffer).toString("base64");
const bytes = (text) => Buffer.from(text, "base64");

async function fields(form) {
  return Promise.all(
    [...form].map(async ([name, value]) =>
      typeof value === "string" ? [name, value] : [name, [value.name, base64(await value.arrayBuffer())]],
    ),
  );
}

const answers = {
  url: (text, base) => parts(base === null ? new URL(text) : new URL(text, base)),
  set(text, changes) {
    const url = new URL(text);
    const params = url.searchParams;
    return changes.map(([part, value]) => {
      url[part] = value;
      return [url.href, [...params]];
    });
  },
  params(init, calls) {
    const params = new URLSearchParams(init);
    const results = calls.map(([name, ...values]) => params[name](...values) ?? null);
    return [results, [...params], String(params), params.size];
  },
  live(text, calls) {
    const url = new URL(text);
    return calls.map(([name, ...values]) => {
      url.searchParams[name](...values);
      return url.href;
    });
  },
  headers(init, calls) {
    const headers = new Headers(init);
    const results = calls.map(([name, ...values]) => headers[name](...values) ?? null);
    return [results, [...headers]];
  },
  response(body, init) {
    const response = new Response(body, init);
    return [response.status, response.ok, response.statusText, [...response.headers], response.body !== null];
  },
  request(text, init) {
    const request = new Request(text, init);
    return [request.method, request.url, [...request.headers], request.body !== null];
  },
  async blob(text, type, bounds) {
    const blob = new Blob([bytes(text)], { type });
    const part = bounds === null ? blob : blob.slice(...bounds);
    return [part.size, part.type, base64(await part.arrayBuffer()), await part.text()];
  },
  form: async (body, type) => fields(await new Response(bytes(body), { headers: { "content-type": type } }).formData()),
  async sent(entries) {
    const form = new FormData();
    for (const [name, value, filename, type] of entries) {
      if (filename === undefined) form.append(name, value);
      else form.append(name, new Blob([value], { type }), filename);
    }
    const response = new Response(form);
    const boundary = response.headers.get("content-type").split("boundary=")[1];
    return (await response.text()).replaceAll(boundary, "BOUNDARY");
  },
  text: (body) => new Response(bytes(body)).text(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [kind, ...args] = JSON.parse(line);
  let answer;
  try {
    answer = { result: await answers[kind](...args) };
  } catch (error) {
    answer = { error: error.name };
  }
  console.log(JSON.stringify(answer));
}
