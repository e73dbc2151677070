"""A CloudEvent function under functions-framework, on a free port. What it is given it prints, a
line each."""

import json

import functions_framework
from werkzeug.serving import make_server


@functions_framework.cloud_event
def f(event):
    attributes = {**event.get_attributes(), "data": event.get_data()}
    print("got " + json.dumps(attributes), flush=True)
    if event["subject"] == "boom":
        raise RuntimeError("no ink left")


if __name__ == "__main__":
    app = functions_framework.create_app("f", __file__, "cloudevent")
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"listening http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
