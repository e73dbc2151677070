"""The part of AWS Lambda's API that Daybook uses, on a free port. Each request's signature is
computed again by botocore, and what differs is refused as AWS refuses it. An object `busy` is
throttled once, `boom` fails in the function, `late` is what Lambda says of its own time-out."""

import base64
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ACCESS_KEY, SECRET_KEY = sys.argv[1:]
REPORT = (
    "hello\nREPORT RequestId: 1\tDuration: 7.01 ms\tBilled Duration: 8 ms\tMemory Size: 128 MB\t"
    "Max Memory Used: 64 MB\tInit Duration: 99.5 ms\t\n"
)
throttled = set()


def signature_of(handler, body):
    """The signature that the request should have, by what it says it signed."""
    fields = dict(
        part.strip().split("=", 1)
        for part in handler.headers["Authorization"].split(" ", 1)[1].split(",")
    )
    _, _, region, service, _ = fields["Credential"].split("/")
    signed = {name: handler.headers[name] for name in fields["SignedHeaders"].split(";")}
    request = AWSRequest(handler.command, f"http://{handler.headers['Host']}{handler.path}", signed, body)
    request.context["timestamp"] = handler.headers["X-Amz-Date"]
    auth = SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), service, region)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    return auth.signature(text, request), fields["Signature"]


class Lambda(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body, **headers):
        body = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, name, message):
        self.answer(status, {"message": message}, X_Amzn_ErrorType=f"{name}:http://internal/")

    def is_signed(self, body):
        expected, given = signature_of(self, body)
        if expected != given:
            self.refuse(403, "InvalidSignatureException", "the signature does not match")
        return expected == given

    def do_GET(self):
        if self.is_signed(b""):
            self.refuse(403, "AccessDeniedException", "not authorized to GetFunctionConfiguration")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.is_signed(body):
            return
        key = json.loads(body)["Records"][0]["s3"]["object"]["key"]
        if key == "busy" and key not in throttled:
            throttled.add(key)
            self.refuse(429, "TooManyRequestsException", "Rate Exceeded.")
            return
        document = {
            "boom": {"errorType": "OutOfInk", "errorMessage": "no ink left"},
            "late": {"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out after 3.00 seconds"},
        }.get(key)
        headers = {
            "X_Amz_Log_Result": base64.b64encode(REPORT.encode()).decode(),
            "X_Amz_Executed_Version": "$LATEST",
        }
        if document:
            headers["X_Amz_Function_Error"] = "Unhandled"
        self.answer(200, document or {"key": key}, **headers)

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Lambda)
print(f"listening http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
