"""Conditional requests, also by many at once."""

import datetime
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import ClientError

from s3_cases import body, case, client, header, main, refused, upload


@case
def reading(world):
    name = world.bucket("k")
    head = world.s3.head_object(Bucket=name, Key="k")
    etag, modified = head["ETag"], head["LastModified"]
    past = modified - datetime.timedelta(hours=1)
    later = modified + datetime.timedelta(hours=1)
    for status, condition in [
        (200, {"IfMatch": etag}),
        (200, {"IfMatch": "*"}),
        (412, {"IfMatch": '"other"'}),
        (304, {"IfNoneMatch": etag}),
        (304, {"IfNoneMatch": "*"}),
        (200, {"IfNoneMatch": '"other"'}),
        (200, {"IfNoneMatch": "ABCORZ"}),
        (200, {"IfModifiedSince": past}),
        (304, {"IfModifiedSince": modified}),
        (304, {"IfModifiedSince": later}),
        (200, {"IfUnmodifiedSince": modified}),
        (412, {"IfUnmodifiedSince": past}),
        (200, {"IfMatch": etag, "IfUnmodifiedSince": past}),
        (412, {"IfMatch": '"other"', "IfUnmodifiedSince": later}),
        (304, {"IfNoneMatch": etag, "IfModifiedSince": past}),
        (200, {"IfNoneMatch": '"other"', "IfModifiedSince": later}),
        (304, {"IfMatch": etag, "IfNoneMatch": etag}),
    ]:
        for ask, code in [
            (world.s3.get_object, {304: "304", 412: "PreconditionFailed"}),
            (world.s3.head_object, {304: "304", 412: "412"}),
        ]:
            these = {"Bucket": name, "Key": "k", **condition}
            if status == 200:
                assert ask(**these)["ResponseMetadata"]["HTTPStatusCode"] == 200, condition
            else:
                answer = refused(status, code[status], ask, **these)
                headers = answer["ResponseMetadata"]["HTTPHeaders"]
                if status == 304:
                    assert answer["Error"]["Message"] == "Not Modified"
                    assert headers["etag"] == etag


@case
def dates_that_are_none_are_not_there(world):
    name = world.bucket("k")
    for field in ["If-Modified-Since", "If-Unmodified-Since"]:
        s3 = client()
        header(s3, "GetObject", field, "the day before yesterday")
        assert body(s3.get_object(Bucket=name, Key="k")) == b"k"


@case
def writing(world):
    name = world.bucket()
    put = world.s3.put_object
    refused(404, "NoSuchKey", put, Bucket=name, Key="k", Body=b"0", IfMatch='"x"')
    refused(404, "NoSuchKey", world.s3.get_object, Bucket=name, Key="k")
    etag = put(Bucket=name, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    refused(412, "PreconditionFailed", put, Bucket=name, Key="k", Body=b"2", IfNoneMatch="*")
    refused(412, "PreconditionFailed", put, Bucket=name, Key="k", Body=b"2", IfMatch='"x"')
    refused(412, "PreconditionFailed", put, Bucket=name, Key="k", Body=b"2", IfNoneMatch=etag)
    assert body(world.s3.get_object(Bucket=name, Key="k")) == b"1"
    put(Bucket=name, Key="k", Body=b"2", IfMatch=etag)
    refused(412, "PreconditionFailed", put, Bucket=name, Key="k", Body=b"3", IfMatch=etag)
    put(Bucket=name, Key="k", Body=b"3", IfMatch="*")
    put(Bucket=name, Key="k", Body=b"4", IfNoneMatch="ABCORZ")
    assert body(world.s3.get_object(Bucket=name, Key="k")) == b"4"


@case
def completing(world):
    name = world.bucket("k")
    s3 = world.s3
    etag = s3.head_object(Bucket=name, Key="k")["ETag"]

    def completing(**condition):
        upload_id = s3.create_multipart_upload(Bucket=name, Key="k")["UploadId"]
        these = {"Bucket": name, "Key": "k", "UploadId": upload_id}
        part = s3.upload_part(PartNumber=1, Body=b"new", **these)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        return {"MultipartUpload": parts, **these, **condition}

    complete = s3.complete_multipart_upload
    refused(412, "PreconditionFailed", complete, **completing(IfNoneMatch="*"))
    refused(412, "PreconditionFailed", complete, **completing(IfMatch='"other"'))
    assert body(s3.get_object(Bucket=name, Key="k")) == b"k"
    complete(**completing(IfMatch=etag))
    assert body(s3.get_object(Bucket=name, Key="k")) == b"new"


def winners(count, work):
    """Runs the work at once in many threads. Returns the results of those that were let."""

    def tried(number):
        try:
            return number, work(number)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "PreconditionFailed", error
            return None

    with ThreadPoolExecutor(count) as pool:
        return [done for done in pool.map(tried, range(count)) if done]


@case
def of_many_that_create_one_does(world):
    name = world.bucket()
    for round_ in range(5):
        key = f"k{round_}"

        def create(number, key=key):
            content = str(number).encode()
            return world.s3.put_object(Bucket=name, Key=key, Body=content, IfNoneMatch="*")

        won = winners(16, create)
        assert len(won) == 1, won
        assert body(world.s3.get_object(Bucket=name, Key=key)) == str(won[0][0]).encode()


@case
def of_many_that_replace_one_does(world):
    name = world.bucket("k")
    for _ in range(5):
        etag = world.s3.head_object(Bucket=name, Key="k")["ETag"]

        def replace(number, etag=etag):
            content = f"{etag}{number}".encode()
            return world.s3.put_object(Bucket=name, Key="k", Body=content, IfMatch=etag)

        assert len(winners(16, replace)) == 1


@case
def a_counter_counts_every_step(world):
    """Read, add one, write if nobody else did: nothing is lost."""
    name = world.bucket()
    world.s3.put_object(Bucket=name, Key="count", Body=b"0")

    def add(_):
        while True:
            got = world.s3.get_object(Bucket=name, Key="count")
            more = str(int(body(got)) + 1).encode()
            try:
                these = {"Bucket": name, "Key": "count", "IfMatch": got["ETag"]}
                return world.s3.put_object(Body=more, **these)
            except ClientError as error:
                assert error.response["Error"]["Code"] == "PreconditionFailed", error

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    assert body(world.s3.get_object(Bucket=name, Key="count")) == b"40"


@case
def removing(world):
    name = world.bucket("k")
    etag = world.s3.head_object(Bucket=name, Key="k")["ETag"]
    delete = world.s3.delete_object
    refused(412, "PreconditionFailed", delete, Bucket=name, Key="k", IfMatch='"other"')
    assert body(world.s3.get_object(Bucket=name, Key="k")) == b"k"
    delete(Bucket=name, Key="k", IfMatch=etag)
    refused(404, "NoSuchKey", world.s3.get_object, Bucket=name, Key="k")


@case
def one_upload_completed_by_many_is_one_object(world):
    name = world.bucket()
    s3 = world.s3
    upload_id = s3.create_multipart_upload(Bucket=name, Key="k")["UploadId"]
    these = {"Bucket": name, "Key": "k", "UploadId": upload_id}
    part = s3.upload_part(PartNumber=1, Body=b"x", **these)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}

    def complete(_):
        return s3.complete_multipart_upload(MultipartUpload=parts, **these)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(complete, range(8)))
    assert len({(a["ETag"], a.get("VersionId")) for a in answers}) == 1


@case
def reads_beside_writes_see_one_or_the_other(world):
    name = world.bucket()
    contents = {bytes([n]) * 100_000 for n in range(4)}
    world.s3.put_object(Bucket=name, Key="k", Body=next(iter(contents)))

    def write(content):
        for _ in range(5):
            world.s3.put_object(Bucket=name, Key="k", Body=content)

    def read(_):
        for _ in range(10):
            assert body(world.s3.get_object(Bucket=name, Key="k")) in contents

    with ThreadPoolExecutor(8) as pool:
        work = [pool.submit(write, content) for content in contents]
        work += [pool.submit(read, n) for n in range(4)]
        for one in work:
            one.result()


main("conditional")
