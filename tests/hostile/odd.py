#!/usr/bin/env python3
"""A handler for tests, without any client library: what it does depends on the object's key."""

import json
import os
import sys
import time
import urllib.error
import urllib.request

API = "http://%s/2018-06-01/runtime/invocation/" % os.environ["AWS_LAMBDA_RUNTIME_API"]


def post(path, body):
    try:
        urllib.request.urlopen(urllib.request.Request(API + path, data=body)).read()
    except urllib.error.HTTPError as error:
        print("refused:", error.code, flush=True)


def answer(request, value):
    post(request + "/response", json.dumps(value).encode())


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.02)


def handle(request, key):
    if key == "throw.txt":
        error = {"errorType": "ValueError", "errorMessage": "no good", "stackTrace": []}
        post(request + "/error", json.dumps(error).encode())
    elif key == "exit.txt":
        sys.exit(7)
    elif key == "hang.txt":
        time.sleep(3600)
    elif key == "shout.txt":
        for _ in range(16_384):
            print("x" * 63)
        print("the last line", flush=True)
        answer(request, "hoarse")
    elif key == "words.txt":
        post(request + "/response", b"these are words, not JSON")
    elif key == "huge.txt":
        answer(request, "x" * (7 << 20))
    elif key == "flaky.txt":
        with open(os.environ["TRIES"], "a") as tries:
            tries.write("x")
        if os.path.getsize(os.environ["TRIES"]) < 3:
            error = {"errorType": "Flaky", "errorMessage": "not yet"}
            post(request + "/error", json.dumps(error).encode())
        else:
            answer(request, "at last")
    elif key == "wait.txt":
        wait_for(os.environ["RELEASE"])
        answer(request, "released")
    else:
        answer(request, {"key": key})


while True:
    with urllib.request.urlopen(API + "next") as invocation:
        request = invocation.headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.load(invocation)
    handle(request, event["Records"][0]["s3"]["object"]["key"])
