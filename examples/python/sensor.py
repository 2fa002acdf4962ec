"""A small service on a MaculaOS node, with the official NATS client for Python.

It asks the node for a setting, serves the procedure sensor-python.read, and follows changes of the configuration.
Run it beside a node: python3 sensor.py (NATS_URL, default nats://127.0.0.1:4222; MACULA_REALM, default io.macula)."""
import asyncio
import json
import os
import signal

import nats
from nats.micro import add_service

REALM = os.environ.get("MACULA_REALM", "io.macula")


async def call(client, procedure, **arguments):
    """Calls a procedure of the node; an error answer carries the header Nats-Service-Error."""
    answer = await client.request(f"macula.rpc.{REALM}.{procedure}", json.dumps(arguments).encode(), timeout=5)
    if answer.headers and "Nats-Service-Error" in answer.headers:
        raise RuntimeError(answer.headers["Nats-Service-Error"])
    return json.loads(answer.data)


async def main():
    client = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"), name="python-sensor")
    hostname = json.loads((await call(client, "config.get", path="hostname"))["json"])
    print(f"node {hostname}", flush=True)

    async def changed(message):
        event = json.loads(message.data)
        print(f"changed {' '.join(event.get('changed', []))} generation {event['generation']}", flush=True)

    await client.subscribe(f"macula.sub.{REALM}.config.changed", cb=changed)

    async def read(request):
        await request.respond(json.dumps({"celsius": 21.5, "node": hostname}).encode())

    service = await add_service(client, name="sensor-python", version="1.0.0", description="A thermometer in Python")
    await service.add_endpoint(name="read", subject=f"macula.rpc.{REALM}.sensor-python.read", handler=read)
    await client.flush()
    print("serving", flush=True)

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await service.stop()
    await client.drain()


asyncio.run(main())
