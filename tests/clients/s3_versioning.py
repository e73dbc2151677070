"""Versions: made, listed, read, copied and removed one by one, and markers."""

from s3_cases import body, case, main, refused


def versioned(world, *keys):
    """A new bucket with versioning, with objects at these keys."""
    name = world.bucket()
    enable(world, name)
    for key in keys:
        world.s3.put_object(Bucket=name, Key=key, Body=key.encode())
    return name


def enable(world, name, status="Enabled"):
    setting = {"Status": status}
    world.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=setting)
    assert world.s3.get_bucket_versioning(Bucket=name)["Status"] == status


def put(world, name, content, key="k"):
    return world.s3.put_object(Bucket=name, Key=key, Body=content)["VersionId"]


@case
def each_write_is_a_version(world):
    name = versioned(world)
    ids = [put(world, name, bytes([n])) for n in range(5)]
    assert len(set(ids)) == 5
    for n, version in enumerate(ids):
        got = world.s3.get_object(Bucket=name, Key="k", VersionId=version)
        assert body(got) == bytes([n]) and got["VersionId"] == version
    listed = world.s3.list_object_versions(Bucket=name)["Versions"]
    assert [entry["VersionId"] for entry in listed] == ids[::-1]
    assert [entry["IsLatest"] for entry in listed] == [True] + [False] * 4
    world.s3.delete_object(Bucket=name, Key="k", VersionId=ids[4])
    assert body(world.s3.get_object(Bucket=name, Key="k")) == bytes([3])


@case
def removing_leaves_a_marker(world):
    name = versioned(world)
    version = put(world, name, b"1")
    answer = world.s3.delete_object(Bucket=name, Key="k")
    assert answer["DeleteMarker"] and answer["VersionId"] != version
    refused(404, "NoSuchKey", world.s3.get_object, Bucket=name, Key="k")
    assert body(world.s3.get_object(Bucket=name, Key="k", VersionId=version)) == b"1"
    listed = world.s3.list_object_versions(Bucket=name)
    assert listed["DeleteMarkers"][0]["IsLatest"]
    gone = {"Bucket": name, "Key": "k", "VersionId": answer["VersionId"]}
    assert world.s3.delete_object(**gone)["DeleteMarker"]
    assert body(world.s3.get_object(Bucket=name, Key="k")) == b"1"


@case
def what_was_there_before_is_the_null_version(world):
    name = world.bucket("k")
    enable(world, name)
    version = put(world, name, b"2")
    got = world.s3.get_object(Bucket=name, Key="k", VersionId="null")
    assert body(got) == b"k" and got["VersionId"] == "null"
    world.s3.delete_object(Bucket=name, Key="k", VersionId=version)
    assert body(world.s3.get_object(Bucket=name, Key="k")) == b"k"


@case
def suspended_there_is_one_null_version(world):
    name = versioned(world)
    kept = put(world, name, b"1")
    enable(world, name, "Suspended")
    put(world, name, b"2")
    put(world, name, b"3")
    listed = world.s3.list_object_versions(Bucket=name)["Versions"]
    assert [entry["VersionId"] for entry in listed] == ["null", kept]
    assert body(world.s3.get_object(Bucket=name, Key="k", VersionId="null")) == b"3"
    assert body(world.s3.get_object(Bucket=name, Key="k", VersionId=kept)) == b"1"


@case
def a_bucket_with_versions_or_markers_is_not_empty(world):
    name = versioned(world)
    version = put(world, name, b"1")
    marker = world.s3.delete_object(Bucket=name, Key="k")["VersionId"]
    refused(409, "BucketNotEmpty", world.s3.delete_bucket, Bucket=name)
    world.s3.delete_object(Bucket=name, Key="k", VersionId=version)
    refused(409, "BucketNotEmpty", world.s3.delete_bucket, Bucket=name)
    world.s3.delete_object(Bucket=name, Key="k", VersionId=marker)
    world.made.remove(name)
    world.s3.delete_bucket(Bucket=name)


@case
def tags_are_of_a_version(world):
    name = versioned(world)
    first, second = put(world, name, b"1"), put(world, name, b"2")
    tags = {"TagSet": [{"Key": "a", "Value": "1"}]}
    these = {"Bucket": name, "Key": "k"}
    answer = world.s3.put_object_tagging(VersionId=first, Tagging=tags, **these)
    assert answer["VersionId"] == first
    assert world.s3.get_object_tagging(VersionId=first, **these)["TagSet"] == tags["TagSet"]
    assert world.s3.get_object_tagging(**these)["TagSet"] == []
    assert world.s3.get_object_tagging(**these)["VersionId"] == second


@case
def attributes_are_of_a_version(world):
    name = versioned(world)
    first = put(world, name, b"1")
    put(world, name, b"22")
    these = {"Bucket": name, "Key": "k", "ObjectAttributes": ["ObjectSize"]}
    told = world.s3.get_object_attributes(VersionId=first, **these)
    assert told["ObjectSize"] == 1 and told["VersionId"] == first
    assert world.s3.get_object_attributes(**these)["ObjectSize"] == 2


@case
def versions_that_are_not_there(world):
    name = versioned(world, "k")
    get = world.s3.get_object
    code = ("NoSuchVersion", "InvalidArgument")
    for wrong in ["1234", "../x", "0" * 32]:
        try:
            get(Bucket=name, Key="k", VersionId=wrong)
            raise AssertionError(wrong)
        except world.s3.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] in code, error


@case
def a_version_is_copied(world):
    name = world.bucket()
    world.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    first = world.s3.put_object(Bucket=name, Key="k", Body=b"1")["VersionId"]
    world.s3.put_object(Bucket=name, Key="k", Body=b"2")
    source = {"Bucket": name, "Key": "k", "VersionId": first}
    answer = world.s3.copy_object(Bucket=name, Key="c", CopySource=source)
    assert answer["CopySourceVersionId"] == first
    assert body(world.s3.get_object(Bucket=name, Key="c")) == b"1"
    world.s3.copy_object(Bucket=name, Key="k", CopySource=source)
    assert body(world.s3.get_object(Bucket=name, Key="k")) == b"1"


main("versioning")
