#!/usr/bin/env python3
"""A handler for tests, without any client library: it does to the storage what the object that
triggered it says, as a list of steps in JSON, and answers with what each step gave.

["put", KEY, TEXT]  ["puts", PREFIX, COUNT]  ["get", KEY]  ["delete", KEY]  ["list"]
["fail once"]       fails, unless it did so before (which the file that ONCE names remembers)
["fail"]            fails
All of it in the bucket `results`.
"""

import datetime
import hashlib
import hmac
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request

API = "http://%s/2018-06-01/runtime/invocation/" % os.environ["AWS_LAMBDA_RUNTIME_API"]


def s3(method, path, query="", body=b""):
    """One request, signed with Signature Version 4: its status and its body."""
    host = os.environ["AWS_ENDPOINT_URL"].split("//")[1]
    region = os.environ["AWS_REGION"]
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    path = urllib.parse.quote(path)
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": now}
    named = ";".join(headers)
    lines = "".join("%s:%s\n" % pair for pair in headers.items())
    canonical = "\n".join([method, path, query, lines, named, digest])
    scope = "%s/%s/s3/aws4_request" % (now[:8], region)
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashed])
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in [now[:8], region, "s3", "aws4_request", text]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    headers["authorization"] = (
        "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s"
        % (os.environ["AWS_ACCESS_KEY_ID"], scope, named, key.hex())
    )
    url = "http://%s%s?%s" % (host, path, query)
    request = urllib.request.Request(url, data=body or None, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def do(step):
    kind, *rest = step
    if kind == "put":
        return s3("PUT", "/results/" + rest[0], body=rest[1].encode())[0]
    if kind == "puts":
        codes = {s3("PUT", "/results/%s%03d" % (rest[0], n), body=b"x")[0] for n in range(rest[1])}
        return sorted(codes)
    if kind == "get":
        status, text = s3("GET", "/results/" + rest[0])
        return text if status == 200 else status
    if kind == "delete":
        return s3("DELETE", "/results/" + rest[0])[0]
    if kind == "list":
        return re.findall("<Key>(.*?)</Key>", s3("GET", "/results", "list-type=2")[1])
    if kind == "fail once" and os.path.exists(os.environ["ONCE"]):
        return "not again"
    if kind == "fail once":
        open(os.environ["ONCE"], "w").close()
    raise RuntimeError("told to fail")


def post(path, value):
    body = json.dumps(value).encode()
    urllib.request.urlopen(urllib.request.Request(API + path, data=body)).read()


while True:
    with urllib.request.urlopen(API + "next") as invocation:
        request = invocation.headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.load(invocation)
    trigger = event["Records"][0]["s3"]
    path = "/%s/%s" % (trigger["bucket"]["name"], trigger["object"]["key"])
    try:
        answer = [do(step) for step in json.loads(s3("GET", path)[1])]
    except RuntimeError as error:
        post(request + "/error", {"errorType": "RuntimeError", "errorMessage": str(error)})
    else:
        post(request + "/response", answer)
