"""The tags of objects."""

from s3_cases import PART, body, case, main, refused, upload


def tags(pairs):
    return {"TagSet": [{"Key": key, "Value": value} for key, value in pairs]}


def many(count, size=1):
    return [(f"{n:02}" + "k" * (size - 2 if size > 2 else 0), "v") for n in range(count)]


@case
def put_read_and_removed(world):
    name = world.bucket("k")
    s3 = world.s3
    assert s3.get_object_tagging(Bucket=name, Key="k")["TagSet"] == []
    wanted = tags([("a", "1"), ("b", ""), ("ü +&=", "ß/:@")])
    answer = s3.put_object_tagging(Bucket=name, Key="k", Tagging=wanted)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert s3.get_object_tagging(Bucket=name, Key="k")["TagSet"] == wanted["TagSet"]
    assert s3.get_object(Bucket=name, Key="k")["TagCount"] == 3
    head = s3.head_object(Bucket=name, Key="k")["ResponseMetadata"]["HTTPHeaders"]
    assert head["x-amz-tagging-count"] == "3"
    other = tags([("c", "2")])
    s3.put_object_tagging(Bucket=name, Key="k", Tagging=other)
    assert s3.get_object_tagging(Bucket=name, Key="k")["TagSet"] == other["TagSet"]
    answer = s3.delete_object_tagging(Bucket=name, Key="k")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert s3.get_object_tagging(Bucket=name, Key="k")["TagSet"] == []
    assert "TagCount" not in s3.get_object(Bucket=name, Key="k")


@case
def the_object_stays_what_it_is(world):
    name = world.bucket("k")
    before = world.s3.head_object(Bucket=name, Key="k")
    world.s3.put_object_tagging(Bucket=name, Key="k", Tagging=tags(many(10)))
    after = world.s3.get_object(Bucket=name, Key="k")
    for field in ["ETag", "LastModified", "VersionId", "ContentLength"]:
        assert before.get(field) == after.get(field), field
    assert body(after) == b"k"


@case
def the_largest_tags(world):
    name = world.bucket("k")
    wanted = tags([(f"{n}" + "k" * 127, "v" * 256) for n in range(10)])
    world.s3.put_object_tagging(Bucket=name, Key="k", Tagging=wanted)
    assert world.s3.get_object_tagging(Bucket=name, Key="k")["TagSet"] == wanted["TagSet"]
    assert body(world.s3.get_object(Bucket=name, Key="k")) == b"k"


@case
def tags_of_many_bytes_and_back_to_few(world):
    """Ten times 384 characters of four bytes fit into no attribute of an ordinary file system."""
    name = world.bucket("k")
    large = tags([(f"{n}" + "🎈" * 127, "🎈" * 256) for n in range(10)])
    for wanted in [tags([("a", "1")]), large, tags([("b", "2")]), large, tags([])]:
        world.s3.put_object_tagging(Bucket=name, Key="k", Tagging=wanted)
        assert world.s3.get_object_tagging(Bucket=name, Key="k")["TagSet"] == wanted["TagSet"]
    assert body(world.s3.get_object(Bucket=name, Key="k")) == b"k"


@case
def what_is_too_much(world):
    name = world.bucket("k")
    put = world.s3.put_object_tagging
    for wrong in [
        many(11),
        [("k" * 129, "v")],
        [("k", "v" * 257)],
        [("k", "v"), ("k", "w")],
    ]:
        refused(400, "InvalidTag", put, Bucket=name, Key="k", Tagging=tags(wrong))
    assert world.s3.get_object_tagging(Bucket=name, Key="k")["TagSet"] == []


@case
def of_what_is_not_there(world):
    name = world.bucket()
    s3 = world.s3
    refused(404, "NoSuchKey", s3.get_object_tagging, Bucket=name, Key="k")
    refused(404, "NoSuchKey", s3.delete_object_tagging, Bucket=name, Key="k")
    put = s3.put_object_tagging
    refused(404, "NoSuchKey", put, Bucket=name, Key="k", Tagging=tags([("a", "b")]))


@case
def with_a_put(world):
    name = world.bucket()
    s3 = world.s3
    s3.put_object(Bucket=name, Key="k", Body=b"x", Tagging="foo=bar&bar&%C3%BC+x=a%3Db")
    told = s3.get_object_tagging(Bucket=name, Key="k")["TagSet"]
    assert told == tags([("bar", ""), ("foo", "bar"), ("ü x", "a=b")])["TagSet"]
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    assert s3.get_object_tagging(Bucket=name, Key="k")["TagSet"] == []
    put = s3.put_object
    refused(400, "InvalidTag", put, Bucket=name, Key="k", Body=b"y", Tagging="a=1&a=2")
    eleven = "&".join(f"k{n}=v" for n in range(11))
    refused(400, "InvalidTag", put, Bucket=name, Key="k", Body=b"y", Tagging=eleven)
    assert body(s3.get_object(Bucket=name, Key="k")) == b"x"


@case
def with_an_upload_in_parts(world):
    name = world.bucket()
    upload(world.s3, name, "k", [b"a" * PART, b"b"], Tagging="a=1&b=2")
    told = world.s3.get_object_tagging(Bucket=name, Key="k")["TagSet"]
    assert told == tags([("a", "1"), ("b", "2")])["TagSet"]


@case
def with_a_copy(world):
    name = world.bucket()
    s3 = world.s3
    s3.put_object(Bucket=name, Key="k", Body=b"x", Tagging="a=1")
    source = {"Bucket": name, "Key": "k"}
    s3.copy_object(Bucket=name, Key="same", CopySource=source)
    assert s3.get_object_tagging(Bucket=name, Key="same")["TagSet"] == tags([("a", "1")])["TagSet"]
    s3.copy_object(
        Bucket=name, Key="new", CopySource=source, TaggingDirective="REPLACE", Tagging="b=2"
    )
    assert s3.get_object_tagging(Bucket=name, Key="new")["TagSet"] == tags([("b", "2")])["TagSet"]
    s3.copy_object(Bucket=name, Key="none", CopySource=source, TaggingDirective="REPLACE")
    assert s3.get_object_tagging(Bucket=name, Key="none")["TagSet"] == []


main("tagging")
