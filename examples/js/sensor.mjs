// A small service on a MaculaOS node, with the official NATS client for JavaScript.
//
// It asks the node for a setting, serves the procedure sensor-js.read, and follows changes of the configuration.
// Run it beside a node: node sensor.mjs (NATS_URL, default nats://127.0.0.1:4222; MACULA_REALM, default io.macula).
import { connect } from "nats";

const realm = process.env.MACULA_REALM ?? "io.macula";
const client = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222", name: "js-sensor" });

// Calls a procedure of the node; an error answer carries the header Nats-Service-Error.
async function call(procedure, body = {}) {
  const answer = await client.request(`macula.rpc.${realm}.${procedure}`, JSON.stringify(body), { timeout: 5000 });
  const error = answer.headers?.get("Nats-Service-Error");
  if (error) throw new Error(error);
  return answer.json();
}

const hostname = JSON.parse((await call("config.get", { path: "hostname" })).json);
console.log(`node ${hostname}`);

client.subscribe(`macula.sub.${realm}.config.changed`, {
  callback: (_, message) => {
    const event = message.json();
    console.log(`changed ${(event.changed ?? []).join(" ")} generation ${event.generation}`);
  },
});

const service = await client.services.add({
  name: "sensor-js",
  version: "1.0.0",
  description: "A thermometer in JavaScript",
});
service.addEndpoint("read", {
  subject: `macula.rpc.${realm}.sensor-js.read`,
  handler: (_, request) => request.respond(JSON.stringify({ celsius: 21.5, node: hostname })),
});
await client.flush();
console.log("serving");

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => service.stop().then(() => client.drain()));
