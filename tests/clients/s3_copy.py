"""Copies: of objects of any name, with their metadata or with other, under conditions."""

import datetime

from s3_cases import body, case, client, header, main, refused


@case
def within_a_bucket_and_between_two(world):
    one, two = world.bucket("k"), world.bucket()
    for target in [one, two]:
        answer = world.s3.copy_object(
            Bucket=target, Key="copy", CopySource={"Bucket": one, "Key": "k"}
        )
        result = answer["CopyObjectResult"]
        assert result["ETag"] and result["LastModified"].year >= 2026
        assert body(world.s3.get_object(Bucket=target, Key="copy")) == b"k"


@case
def an_empty_one(world):
    name = world.bucket()
    world.s3.put_object(Bucket=name, Key="k", Body=b"")
    world.s3.copy_object(Bucket=name, Key="c", CopySource={"Bucket": name, "Key": "k"})
    assert world.s3.head_object(Bucket=name, Key="c")["ContentLength"] == 0


@case
def the_source_as_text_in_all_its_forms(world):
    name = world.bucket("a b+c", "plain/x", "what?versionId=1")
    for source, content in [
        (f"{name}/plain/x", b"plain/x"),
        (f"/{name}/plain/x", b"plain/x"),
        (f"{name}/a%20b%2Bc", b"a b+c"),
        (f"{name}/a+b%2Bc", b"a b+c"),
        (f"{name}%2Fplain%2Fx", b"plain/x"),
        (f"{name}/what%3FversionId%3D1", b"what?versionId=1"),
    ]:
        s3 = client()
        header(s3, "CopyObject", "x-amz-copy-source", source)
        s3.copy_object(Bucket=name, Key="c", CopySource="replaced/by-the-header")
        assert body(world.s3.get_object(Bucket=name, Key="c")) == content, source


@case
def a_configured_source_of_any_name(world):
    """Names of configured buckets need not be names of S3's."""
    name = world.bucket()
    copy = world.s3.copy_object
    refused(404, "NoSuchBucket", copy, Bucket=name, Key="c", CopySource="No_Such_Bucket/key")


@case
def sources_that_are_none(world):
    name = world.bucket("k")
    copy = world.s3.copy_object
    for source in ["k", "/", f"{name}", f"{name}/"]:
        refused(400, "InvalidArgument", copy, Bucket=name, Key="c", CopySource=source)
    none = {"Bucket": name, "Key": "none"}
    refused(404, "NoSuchKey", copy, Bucket=name, Key="c", CopySource=none)
    none = {"Bucket": "no-such-bucket-here", "Key": "none"}
    refused(404, "NoSuchBucket", copy, Bucket=name, Key="c", CopySource=none)


@case
def onto_itself_only_with_a_change(world):
    name = world.bucket("k")
    source = {"Bucket": name, "Key": "k"}
    copy = world.s3.copy_object
    refused(400, "InvalidRequest", copy, Bucket=name, Key="k", CopySource=source)
    copy(
        Bucket=name,
        Key="k",
        CopySource=source,
        Metadata={"a": "b"},
        MetadataDirective="REPLACE",
        ContentType="text/x",
    )
    head = world.s3.head_object(Bucket=name, Key="k")
    assert head["Metadata"] == {"a": "b"} and head["ContentType"] == "text/x"
    copy(Bucket=name, Key="k", CopySource=source, StorageClass="STANDARD_IA")
    head = world.s3.head_object(Bucket=name, Key="k")
    assert head["StorageClass"] == "STANDARD_IA" and head["Metadata"] == {"a": "b"}
    assert body(world.s3.get_object(Bucket=name, Key="k")) == b"k"


@case
def metadata_comes_along_or_is_replaced(world):
    name = world.bucket()
    kept = {"Metadata": {"a": "1"}, "ContentType": "text/x", "CacheControl": "no-store"}
    world.s3.put_object(Bucket=name, Key="k", Body=b"x", **kept)
    source = {"Bucket": name, "Key": "k"}
    world.s3.copy_object(Bucket=name, Key="c", CopySource=source, Metadata={"ignored": "1"})
    head = world.s3.head_object(Bucket=name, Key="c")
    for field, value in kept.items():
        assert head[field] == value, field
    world.s3.copy_object(
        Bucket=name,
        Key="c",
        CopySource=source,
        Metadata={"b": "2"},
        MetadataDirective="REPLACE",
    )
    head = world.s3.head_object(Bucket=name, Key="c")
    assert head["Metadata"] == {"b": "2"} and "CacheControl" not in head
    assert head["ContentType"] == "binary/octet-stream"


@case
def checksums_come_along_or_are_made(world):
    name = world.bucket()
    put = world.s3.put_object(Bucket=name, Key="k", Body=b"x", ChecksumAlgorithm="SHA1")
    source = {"Bucket": name, "Key": "k"}
    same = world.s3.copy_object(Bucket=name, Key="c", CopySource=source)["CopyObjectResult"]
    assert same["ChecksumSHA1"] == put["ChecksumSHA1"]
    world.s3.copy_object(Bucket=name, Key="d", CopySource=source, ChecksumAlgorithm="SHA256")
    head = world.s3.head_object(Bucket=name, Key="d", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"]


@case
def conditions_on_the_source(world):
    name = world.bucket("k")
    source = {"Bucket": name, "Key": "k"}
    etag = world.s3.head_object(Bucket=name, Key="k")["ETag"]
    past = datetime.datetime(2001, 1, 1)
    future = datetime.datetime(2100, 1, 1)
    for holds, condition in [
        (True, {"CopySourceIfMatch": etag}),
        (False, {"CopySourceIfMatch": '"other"'}),
        (True, {"CopySourceIfNoneMatch": '"other"'}),
        (False, {"CopySourceIfNoneMatch": etag}),
        (True, {"CopySourceIfModifiedSince": past}),
        (False, {"CopySourceIfUnmodifiedSince": past}),
        (True, {"CopySourceIfUnmodifiedSince": future}),
        (True, {"CopySourceIfMatch": etag, "CopySourceIfUnmodifiedSince": past}),
        (False, {"CopySourceIfNoneMatch": etag, "CopySourceIfModifiedSince": past}),
    ]:
        these = {"Bucket": name, "Key": "c", "CopySource": source, **condition}
        if holds:
            world.s3.copy_object(**these)
        else:
            refused(412, "PreconditionFailed", world.s3.copy_object, **these)


@case
def conditions_on_the_target(world):
    name = world.bucket("k", "there")
    etag = world.s3.head_object(Bucket=name, Key="there")["ETag"]
    source = {"Bucket": name, "Key": "k"}

    def copying(field, value):
        s3 = client()
        header(s3, "CopyObject", field, value)
        return s3.copy_object

    these = {"Bucket": name, "CopySource": source}
    refused(412, "PreconditionFailed", copying("If-None-Match", "*"), Key="there", **these)
    refused(412, "PreconditionFailed", copying("If-Match", '"other"'), Key="there", **these)
    refused(404, "NoSuchKey", copying("If-Match", etag), Key="none", **these)
    assert body(world.s3.get_object(Bucket=name, Key="there")) == b"there"
    copying("If-Match", etag)(Key="there", **these)
    assert body(world.s3.get_object(Bucket=name, Key="there")) == b"k"
    copying("If-None-Match", "*")(Key="new", **these)


main("copy")
