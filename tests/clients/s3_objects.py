"""Objects: written, read whole and in ranges, with their headers and metadata."""

import base64
import datetime
import hashlib
import io
from xml.etree import ElementTree

from botocore.config import Config

from s3_cases import body, case, client, header, main, refused, unsigned_header


def reflected(polynomial, bits):
    """A CRC over bytes, with all bits of the register set before and inverted after."""
    mask = (1 << bits) - 1

    def sum_of(data):
        register = mask
        for byte in data:
            register ^= byte
            for _ in range(8):
                register = register >> 1 ^ (polynomial if register & 1 else 0)
        return (register ^ mask).to_bytes(bits // 8, "big")

    return sum_of


HASHES = {
    "CRC32": reflected(0xEDB88320, 32),
    "CRC32C": reflected(0x82F63B78, 32),
    "CRC64NVME": reflected(0x9A6C9329AC4BC9B5, 64),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}
SUMS = {
    name: tuple(base64.b64encode(hash_of(data)).decode() for data in [b"bar", b"other"])
    for name, hash_of in HASHES.items()
}


@case
def written_read_and_overwritten(world):
    name = world.bucket()
    put = world.s3.put_object(Bucket=name, Key="foo", Body=b"bar")
    assert put["ETag"] == '"37b51d194a7513e45b56f6524f2d51f2"'
    got = world.s3.get_object(Bucket=name, Key="foo")
    assert body(got) == b"bar" and got["ETag"] == put["ETag"]
    world.s3.put_object(Bucket=name, Key="foo", Body=b"soup")
    got = world.s3.get_object(Bucket=name, Key="foo")
    assert body(got) == b"soup" and got["ContentLength"] == 4
    world.s3.delete_object(Bucket=name, Key="foo")
    refused(404, "NoSuchKey", world.s3.get_object, Bucket=name, Key="foo")
    refused(404, "404", world.s3.head_object, Bucket=name, Key="foo")


@case
def nothing_is_an_object_too(world):
    name = world.bucket()
    world.s3.put_object(Bucket=name, Key="foo", Body=b"")
    head = world.s3.head_object(Bucket=name, Key="foo")
    assert head["ContentLength"] == 0
    assert head["ETag"] == '"d41d8cd98f00b204e9800998ecf8427e"'
    assert body(world.s3.get_object(Bucket=name, Key="foo")) == b""
    refused(416, "InvalidRange", world.s3.get_object, Bucket=name, Key="foo", Range="bytes=0-1")


@case
def a_megabyte_comes_back(world):
    name = world.bucket()
    data = bytes(range(256)) * 4096
    world.s3.put_object(Bucket=name, Key="big", Body=data)
    got = body(world.s3.get_object(Bucket=name, Key="big"))
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


@case
def ranges(world):
    name = world.bucket()
    data = b"testcontent"
    world.s3.put_object(Bucket=name, Key="k", Body=data)
    for asked, start, end in [
        ("bytes=4-7", 4, 8),
        ("bytes=4-", 4, 11),
        ("bytes=-7", 4, 11),
        ("bytes=0-0", 0, 1),
        ("bytes=0-100", 0, 11),
        ("bytes=-100", 0, 11),
        ("bytes=10-10", 10, 11),
    ]:
        got = world.s3.get_object(Bucket=name, Key="k", Range=asked)
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206, asked
        assert got["ContentRange"] == f"bytes {start}-{end - 1}/11", asked
        assert body(got) == data[start:end], asked
        head = world.s3.head_object(Bucket=name, Key="k", Range=asked)
        assert head["ContentLength"] == end - start


@case
def ranges_beyond_the_end(world):
    name = world.bucket("key")
    for asked in ["bytes=3-", "bytes=40-50", "bytes=-0"]:
        refused(416, "InvalidRange", world.s3.get_object, Bucket=name, Key="key", Range=asked)


@case
def ranges_that_make_no_sense_are_not_there(world):
    name = world.bucket("key")
    for asked in ["bytes=5-2", "bytes=a-b", "items=0-1", "bytes=0-1,2-2", "bytes", "bytes=--1"]:
        got = world.s3.get_object(Bucket=name, Key="key", Range=asked)
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 200, asked
        assert body(got) == b"key", asked
        assert world.s3.head_object(Bucket=name, Key="key", Range=asked)["ContentLength"] == 3


@case
def an_if_range_decides_whether_the_range_counts(world):
    name = world.bucket("key")
    etag = world.s3.head_object(Bucket=name, Key="key")["ETag"]
    for condition, status in [(etag, 206), ('"other"', 200)]:
        s3 = client()
        header(s3, "GetObject", "If-Range", condition)
        got = s3.get_object(Bucket=name, Key="key", Range="bytes=0-0")
        assert got["ResponseMetadata"]["HTTPStatusCode"] == status


@case
def the_standard_headers_are_kept(world):
    name = world.bucket()
    expires = datetime.datetime(2031, 5, 6, 7, 8, 9, tzinfo=datetime.timezone.utc)
    kept = {
        "CacheControl": "public, max-age=14400",
        "ContentDisposition": 'attachment; filename="a b.txt"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de, en",
        "ContentType": "text/x-test; charset=utf-8",
        "WebsiteRedirectLocation": "/elsewhere",
    }
    world.s3.put_object(Bucket=name, Key="k", Body=b"x", Expires=expires, **kept)
    for answer in [
        world.s3.get_object(Bucket=name, Key="k"),
        world.s3.head_object(Bucket=name, Key="k"),
    ]:
        for field, value in kept.items():
            assert answer[field] == value, field
        assert answer["Expires"] == expires


@case
def without_a_type_it_is_just_bytes(world):
    name = world.bucket("k")
    assert world.s3.head_object(Bucket=name, Key="k")["ContentType"] == "binary/octet-stream"
    world.s3.put_object(Bucket=name, Key="e", Body=b"x", ContentType="")
    assert world.s3.head_object(Bucket=name, Key="e")["ContentType"] == "binary/octet-stream"


@case
def an_expires_that_is_no_date_is_kept_as_it_came(world):
    name = world.bucket()
    s3 = client()
    header(s3, "PutObject", "Expires", "never")
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    assert world.s3.head_object(Bucket=name, Key="k")["ExpiresString"] == "never"


@case
def aws_chunked_is_no_encoding_of_the_object(world):
    name = world.bucket()
    world.s3.put_object(Bucket=name, Key="k", Body=b"x", ChecksumAlgorithm="CRC32")
    assert "ContentEncoding" not in world.s3.head_object(Bucket=name, Key="k")
    for given, kept in [
        ("gzip", "gzip"),
        ("deflate, gzip", "deflate, gzip"),
        ("deflate,gzip", "deflate,gzip"),
        ("gzip, aws-chunked", "gzip"),
        ("aws-chunked, gzip", "gzip"),
        ("aws-chunked", None),
        ("aws-chunked, aws-chunked", None),
    ]:
        world.s3.put_object(Bucket=name, Key="z", Body=b"x", ContentEncoding=given)
        assert world.s3.head_object(Bucket=name, Key="z").get("ContentEncoding") == kept, given


@case
def a_reader_may_ask_for_other_headers(world):
    name = world.bucket("k")
    asked = {
        "ResponseCacheControl": "no-cache",
        "ResponseContentDisposition": "bla",
        "ResponseContentEncoding": "aaa",
        "ResponseContentLanguage": "esperanto",
        "ResponseContentType": "foo/bar",
    }
    for answer in [
        world.s3.get_object(Bucket=name, Key="k", ResponseExpires="123", **asked),
        world.s3.head_object(Bucket=name, Key="k", ResponseExpires="123", **asked),
    ]:
        for field, value in asked.items():
            assert answer[field.removeprefix("Response")] == value, field
        assert answer["ResponseMetadata"]["HTTPHeaders"]["expires"].endswith("00:02:03 GMT")


@case
def metadata_is_kept(world):
    name = world.bucket()
    kept = {"meta1": "mymeta", "empty": "", "with-dash": "a  b", "numbers": "1 2 3"}
    world.s3.put_object(Bucket=name, Key="k", Body=b"x", Metadata=kept)
    assert world.s3.head_object(Bucket=name, Key="k")["Metadata"] == kept
    assert world.s3.get_object(Bucket=name, Key="k")["Metadata"] == kept


@case
def metadata_goes_with_the_object(world):
    name = world.bucket()
    world.s3.put_object(Bucket=name, Key="k", Body=b"x", Metadata={"meta1": "bar"})
    world.s3.put_object(Bucket=name, Key="k", Body=b"x")
    assert world.s3.head_object(Bucket=name, Key="k")["Metadata"] == {}


@case
def metadata_with_more_than_ascii(world):
    name = world.bucket()
    s3 = client()
    header(s3, "PutObject", "x-amz-meta-text", "=?UTF-8?B?R3LDvMOfZQ==?=")
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    headers = world.s3.head_object(Bucket=name, Key="k")["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-meta-text"].startswith("=?UTF-8?"), headers


@case
def metadata_has_a_limit(world):
    name = world.bucket()
    put = world.s3.put_object
    put(Bucket=name, Key="k", Body=b"x", Metadata={"a": "b" * 2047})
    refused(400, "MetadataTooLarge", put, Bucket=name, Key="k", Metadata={"a": "b" * 2048})


@case
def odd_keys(world):
    keys = ["a//b", "/", "//", ".", "..", "../x", "a b", "a+b", "a%2Fb", "%", "ä/ö", "🎈"]
    keys += ["a?b=c&d", "#", "'\"<>&", "\\", "~*()!", "x" * 1024, ":", ";", "=", "@", "[]{}|^`"]
    keys += ["\x01", "\n", "\t", "trailing/", "_", "-", "$", ",", "C:\\x", ".daybook/keys/x"]
    name = world.bucket(*keys)
    for key in keys:
        assert body(world.s3.get_object(Bucket=name, Key=key)) == key.encode(), key
        copy = {"Bucket": name, "Key": key}
        world.s3.copy_object(Bucket=name, Key="copy", CopySource=copy)
        assert body(world.s3.get_object(Bucket=name, Key="copy")) == key.encode(), key
    listed = world.s3.list_objects_v2(Bucket=name)["Contents"]
    assert [entry["Key"] for entry in listed] == sorted(keys + ["copy"], key=str.encode)


@case
def keys_that_are_too_long(world):
    name = world.bucket()
    put = world.s3.put_object
    refused(400, "KeyTooLongError", put, Bucket=name, Key="x" * 1025, Body=b"")


@case
def many_are_deleted_at_once(world):
    keys = ["key0", "key1", "key 2", "<3>"]
    name = world.bucket(*keys)
    every = {"Objects": [{"Key": key} for key in keys]}
    for _ in range(2):
        answer = world.s3.delete_objects(Bucket=name, Delete=every)
        assert sorted(entry["Key"] for entry in answer["Deleted"]) == sorted(keys)
        assert "Errors" not in answer
    assert "Contents" not in world.s3.list_objects(Bucket=name)
    answer = world.s3.delete_objects(Bucket=name, Delete={**every, "Quiet": True})
    assert "Deleted" not in answer
    many = {"Objects": [{"Key": f"k{n}"} for n in range(1001)]}
    refused(400, "MalformedXML", world.s3.delete_objects, Bucket=name, Delete=many)


@case
def an_md5_is_checked(world):
    name = world.bucket()
    put = world.s3.put_object
    right = "N7UdGUp1E+RbVvZSTy1R8g=="
    put(Bucket=name, Key="k", Body=b"bar", ContentMD5=right)
    wrong = "rL0Y20xC+Fzt72VPzMSk2A=="
    refused(400, "BadDigest", put, Bucket=name, Key="k", Body=b"baz", ContentMD5=wrong)
    for none in ["YWJyYWNhZGFicmE=", "AWS HAHAHA", ""]:
        s3 = client()
        header(s3, "PutObject", "Content-MD5", none)
        refused(400, "InvalidDigest", s3.put_object, Bucket=name, Key="k", Body=b"baz")
    assert body(world.s3.get_object(Bucket=name, Key="k")) == b"bar"


@case
def checksums_are_checked_kept_and_told_when_asked(world):
    name = world.bucket()
    put = world.s3.put_object
    for algorithm, (right, other) in SUMS.items():
        field = f"Checksum{algorithm}"
        told = put(Bucket=name, Key=algorithm, Body=b"bar", **{field: right})
        assert told[field] == right and told["ChecksumType"] == "FULL_OBJECT"
        head = world.s3.head_object(Bucket=name, Key=algorithm, ChecksumMode="ENABLED")
        assert head[field] == right and head["ChecksumType"] == "FULL_OBJECT"
        assert field not in world.s3.head_object(Bucket=name, Key=algorithm)
        raw = client(Config(response_checksum_validation="when_required"))
        header(raw, "GetObject", "x-amz-checksum-mode", "ENABLED")
        got = raw.get_object(Bucket=name, Key=algorithm)
        assert got[field] == right and body(got) == b"bar"
        wrong, none = {field: other}, {field: "bad"}
        refused(400, "BadDigest", put, Bucket=name, Key="again", Body=b"bar", **wrong)
        refused(400, "InvalidRequest", put, Bucket=name, Key="again", Body=b"bar", **none)


@case
def checksums_that_come_after_the_body(world):
    name = world.bucket()
    data = b"x" * 100_000
    for algorithm in ["CRC32", "SHA1", "SHA256"]:
        # A body without a length that is known beforehand goes out in chunks.
        told = world.s3.put_object(
            Bucket=name, Key="k", Body=io.BytesIO(data), ChecksumAlgorithm=algorithm
        )
        assert told[f"Checksum{algorithm}"]
        assert body(world.s3.get_object(Bucket=name, Key="k")) == data


@case
def a_storage_class_is_kept(world):
    name = world.bucket()
    world.s3.put_object(Bucket=name, Key="k", Body=b"x", StorageClass="STANDARD_IA")
    assert world.s3.head_object(Bucket=name, Key="k")["StorageClass"] == "STANDARD_IA"
    world.s3.put_object(Bucket=name, Key="s", Body=b"x", StorageClass="STANDARD")
    assert "StorageClass" not in world.s3.head_object(Bucket=name, Key="s")
    for wrong in ["NONE_SUCH", "DEEP_ARCHIVE"]:
        put = world.s3.put_object
        refused(400, "InvalidStorageClass", put, Bucket=name, Key="k", StorageClass=wrong)


@case
def encryption_by_the_store_is_told_back_and_other_refused(world):
    name = world.bucket()
    put = world.s3.put_object
    told = put(Bucket=name, Key="k", Body=b"x", ServerSideEncryption="AES256")
    assert told["ServerSideEncryption"] == "AES256"
    assert world.s3.get_object(Bucket=name, Key="k")["ServerSideEncryption"] == "AES256"
    kms = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "some"}
    refused(501, "NotImplemented", put, Bucket=name, Key="k", **kms)
    header_only = client()
    header(header_only, "PutObject", "x-amz-server-side-encryption-customer-algorithm", "AES256")
    refused(501, "NotImplemented", header_only.put_object, Bucket=name, Key="k")


@case
def errors_carry_ids(world):
    name = world.bucket()
    s3 = client()
    said = []
    keep = lambda http_response, **_: said.append(http_response.content)
    s3.meta.events.register("after-call.s3.GetObject", keep)
    for answer in [
        refused(404, "NoSuchKey", s3.get_object, Bucket=name, Key="a <b>&c"),
        refused(404, "NoSuchBucket", s3.get_object, Bucket="none-of-that-name", Key="k"),
    ]:
        document = ElementTree.fromstring(said.pop(0))
        told = answer["ResponseMetadata"]
        assert document.find("RequestId").text == told["RequestId"]
        assert document.find("HostId").text == told["HostId"]
        assert document.find("Resource").text.startswith("/")


@case
def headers_that_do_not_matter(world):
    name = world.bucket()
    for field, value in [("Expect", "200"), ("Expect", ""), ("Content-Type", "text/plain")]:
        s3 = client()
        header(s3, "PutObject", field, value)
        s3.put_object(Bucket=name, Key="k", Body=b"bar")
    s3 = client()
    unsigned_header(s3, "PutObject", "User-Agent", "other")
    s3.put_object(Bucket=name, Key="k", Body=b"bar")


main("objects")
