// Plays one story: `node play.js live twoClients '{"url": "http://…"}'`. The story tells of itself in lines of JSON.
import { createInterface } from "node:readline";

const [file, name, args] = process.argv.slice(2);

// Standard output is for what stories say; what clients log goes to the console, and that to standard error.
console.log = console.info = console.debug = console.error;

const shown = (key, value) => {
  if (typeof value === "bigint") return `${value}n`;
  if (value instanceof ArrayBuffer) return { bytes: [...new Uint8Array(value)] };
  if (value instanceof Error) return { name: value.name, message: value.message, data: value.data };
  if (typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0))) {
    return Object.is(value, -0) ? "-0" : String(value);
  }
  return value;
};
const say = (value) => process.stdout.write(`${JSON.stringify(value, shown) ?? null}\n`);

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const told = async () => JSON.parse((await lines.next()).value);

process.on("unhandledRejection", (error) => {
  console.error(error);
  process.exit(1);
});
const story = (await import(`./${file}.js`))[name];
await story({ ...JSON.parse(args), say, told });
process.exit(0);
