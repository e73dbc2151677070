"""Uses a bucket as programs with boto3 do, and says as JSON what came of it.

usage: boto3_story.py BUCKET FILE

FILE has more than 8 MiB, so that upload_file sends it in parts.
"""

import hashlib
import json
import sys

import boto3
from botocore.exceptions import ClientError

HOSTILE_KEYS = [
    "plain.bin",
    "a",
    "a/b",
    "a//b",
    "/leading",
    "trailing/",
    "two  spaces",
    "plus+plus",
    "per%20cent%",
    "question?mark&and#hash",
    "quote\"'<>",
    "back\\slash",
    "..",
    "up/../and/./down",
    "../../../../etc/passwd",
    "tilde~*()!",
    "new\nline",
    "grüße/ümlaut",
    "party 🎈",
    "l" * 200 + "/" + "o" * 200 + "/" + "n" * 200 + "/" + "g" * 421,
]


def main():
    bucket, file = sys.argv[1:]
    s3 = boto3.client("s3")
    said = {}

    s3.upload_file(
        file, bucket, "big.bin", ExtraArgs={"Metadata": {"origin": "boto3", "note": "a b"}}
    )
    head = s3.head_object(Bucket=bucket, Key="big.bin")
    said["metadata"] = head["Metadata"]
    said["size"] = head["ContentLength"]
    said["parts"] = int(head["ETag"].strip('"').partition("-")[2])
    body = s3.get_object(Bucket=bucket, Key="big.bin")["Body"].read()
    said["sha256"] = hashlib.sha256(body).hexdigest()
    part = s3.get_object(Bucket=bucket, Key="big.bin", Range="bytes=8388607-8388608")
    said["range"] = [part["ContentRange"], part["Body"].read() == body[8388607:8388609]]
    s3.delete_object(Bucket=bucket, Key="big.bin")

    for key in HOSTILE_KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    said["bodies"] = all(
        s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
        for key in HOSTILE_KEYS
    )
    said["listed"] = listed(s3, bucket, 3) == in_order(HOSTILE_KEYS)
    said["below_a"] = listed(s3, bucket, 1, Prefix="a/")
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    said["folders"] = [folder["Prefix"] for folder in page["CommonPrefixes"]]

    try:
        s3.get_object(Bucket=bucket, Key="nothing")
    except ClientError as error:
        said["missing"] = error.response["Error"]["Code"]
    try:
        s3.put_object(Bucket="elsewhere", Key="x", Body=b"")
    except ClientError as error:
        said["elsewhere"] = error.response["Error"]["Code"]

    objects = [{"Key": key} for key in HOSTILE_KEYS]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    said["deleted"] = len(answer.get("Deleted", []))
    said["left"] = listed(s3, bucket)
    json.dump(said, sys.stdout)


def listed(s3, bucket, page_size=1000, **arguments):
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": page_size}, **arguments
    )
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def in_order(keys):
    return sorted(keys, key=lambda key: key.encode())


main()
