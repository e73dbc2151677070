"""What the s3_*.py programs share: cases with names, clients, buckets of their own.

Each program runs its cases and prints "N passed, M failed" with the names of those that failed;
it exits with 1 if any did. A case gets a World, makes its own buckets and depends on no other.
Arguments are names of cases to run; without any, all of them run.

The environment has the key of the operator for boto3, and S3_OTHER_ACCESS_KEY and
S3_OTHER_SECRET_KEY for a second one.
"""

import itertools
import os
import sys
import traceback
import uuid

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

CASES = []
PART = 5 << 20


def case(function):
    """Makes a function a case."""
    CASES.append(function)
    return function


class World:
    """Clients, and buckets that nobody else uses."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.numbers = itertools.count(1)
        self.made = []
        self.s3 = client()
        self.other = client(
            aws_access_key_id=os.environ["S3_OTHER_ACCESS_KEY"],
            aws_secret_access_key=os.environ["S3_OTHER_SECRET_KEY"],
        )
        self.anonymous = client(config=Config(signature_version=UNSIGNED))

    def name(self):
        """A bucket's name that is not in use."""
        return f"{self.prefix}-{next(self.numbers)}"

    def bucket(self, *keys):
        """A new bucket with objects at these keys, each with its key as its content."""
        name = self.name()
        self.s3.create_bucket(Bucket=name)
        self.made.append(name)
        for key in keys:
            self.s3.put_object(Bucket=name, Key=key, Body=key.encode())
        return name

    def clean(self):
        for name in self.made:
            empty(self.s3, name)
            self.s3.delete_bucket(Bucket=name)


def client(config=None, **more):
    """A client that tries each request once."""
    once = Config(retries={"total_max_attempts": 1}, max_pool_connections=32)
    return boto3.client("s3", config=once.merge(config) if config else once, **more)


def empty(s3, bucket):
    """Removes all objects, with all versions, of a bucket."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=entry["Key"])
    if "Status" not in s3.get_bucket_versioning(Bucket=bucket):
        return
    versions = s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    for page in versions:
        for entry in page.get("Versions", []) + page.get("DeleteMarkers", []):
            s3.delete_object(Bucket=bucket, Key=entry["Key"], VersionId=entry["VersionId"])


def refused(status, code, function, **arguments):
    """Calls the function, which has to be refused like that. Returns the whole answer."""
    try:
        function(**arguments)
    except ClientError as error:
        answer = error.response
        got = (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"])
        codes = code if isinstance(code, tuple) else (code,)
        assert got[0] == status and got[1] in codes, f"{got} instead of {(status, code)}"
        return answer
    raise AssertionError(f"{function.__name__} was not refused with {status} {code}")


def body(answer):
    """The bytes of an answer to get_object."""
    return answer["Body"].read()


def header(s3, operation, name, value):
    """Has the client send a header, signed, with each request of an operation from now on."""

    def add(params, **_):
        params["headers"][name] = value

    s3.meta.events.register(f"before-call.s3.{operation}", add)


def unsigned_header(s3, operation, name, value):
    """The same after the request was signed."""

    def add(request, **_):
        if value is None:
            del request.headers[name]
        else:
            request.headers[name] = value

    s3.meta.events.register(f"before-send.s3.{operation}", add)


def upload(s3, bucket, key, parts, **more):
    """Uploads an object in these parts. Returns the answer and the upload's id."""
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key=key, **more)["UploadId"]
    done = []
    for number, part in enumerate(parts, 1):
        answer = s3.upload_part(
            Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=part
        )
        sums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
        done.append({"PartNumber": number, "ETag": answer["ETag"], **sums})
    answer = s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": done}
    )
    return answer, upload_id


def main(group):
    """Runs the cases."""
    wanted = sys.argv[1:]
    passed, failed = 0, []
    for number, function in enumerate(CASES):
        if wanted and function.__name__ not in wanted:
            continue
        world = World(f"{group}-{uuid.uuid4().hex[:8]}-{number}")
        try:
            function(world)
            world.clean()
            passed += 1
        except Exception:  # the next case is of interest all the same
            failed.append(function.__name__)
            print(f"--- {function.__name__}", file=sys.stderr)
            traceback.print_exc()
    print(f"{passed} passed, {len(failed)} failed")
    for name in failed:
        print(f"  {name}")
    sys.exit(1 if failed else 0)
