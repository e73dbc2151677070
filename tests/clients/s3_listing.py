"""Listings of objects: prefixes, delimiters, pages, and what is told of each object."""

from s3_cases import case, client, main, refused


def keys(page):
    return [entry["Key"] for entry in page.get("Contents", [])]


def folders(page):
    return [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]


def both(world, bucket, **more):
    """A page of each version of the listing."""
    one = world.s3.list_objects(Bucket=bucket, **more)
    two = world.s3.list_objects_v2(Bucket=bucket, **more)
    assert keys(one) == keys(two) and folders(one) == folders(two)
    assert one["IsTruncated"] == two["IsTruncated"]
    assert two["KeyCount"] == len(keys(two)) + len(folders(two))
    return one, two


@case
def empty_and_apart(world):
    one, other = world.bucket("asdf"), world.bucket()
    both_empty = both(world, other)
    assert keys(both_empty[0]) == [] and not both_empty[0]["IsTruncated"]
    assert keys(both(world, one)[0]) == ["asdf"]


@case
def with_a_delimiter(world):
    name = world.bucket("foo/bar", "foo/baz/xyzzy", "quux/thud", "asdf")
    one, two = both(world, name, Delimiter="/")
    assert keys(one) == ["asdf"] and folders(one) == ["foo/", "quux/"]
    assert one["Delimiter"] == two["Delimiter"] == "/"


@case
def with_other_delimiters(world):
    name = world.bucket("bar", "b ar", "b.az", "b%c", "foo", "xay", "grüße")
    for delimiter, expect_keys, expect_folders in [
        ("a", ["b%c", "foo", "grüße"], ["b a", "b.a", "ba", "xa"]),
        (" ", ["b%c", "b.az", "bar", "foo", "grüße", "xay"], ["b "]),
        ("%", ["b ar", "b.az", "bar", "foo", "grüße", "xay"], ["b%"]),
        ("ü", ["b ar", "b%c", "b.az", "bar", "foo", "xay"], ["grü"]),
        ("\n", ["b ar", "b%c", "b.az", "bar", "foo", "grüße", "xay"], []),
        ("ar", ["b%c", "b.az", "foo", "grüße", "xay"], ["b ar", "bar"]),
    ]:
        one, _ = both(world, name, Delimiter=delimiter)
        assert keys(one) == expect_keys, delimiter
        assert folders(one) == expect_folders, delimiter
        assert one["Delimiter"] == delimiter


@case
def an_empty_delimiter_is_none(world):
    name = world.bucket("a/b", "c")
    one, _ = both(world, name, Delimiter="")
    assert keys(one) == ["a/b", "c"] and "Delimiter" not in one


@case
def with_a_prefix(world):
    name = world.bucket("foo/bar", "foo/baz", "quux", "fo", "foo/bar/deep")
    assert keys(both(world, name, Prefix="foo/")[0]) == ["foo/bar", "foo/bar/deep", "foo/baz"]
    one, two = both(world, name, Prefix="foo/", Delimiter="/")
    assert keys(one) == ["foo/bar", "foo/baz"] and folders(one) == ["foo/bar/"]
    assert one["Prefix"] == two["Prefix"] == "foo/"
    assert keys(both(world, name, Prefix="d")[0]) == []
    assert keys(both(world, name, Prefix="\n")[0]) == []
    assert len(keys(both(world, name, Prefix="")[0])) == 5


@case
def a_prefix_that_ends_with_the_delimiter(world):
    name = world.bucket("asdf/")
    one, _ = both(world, name, Prefix="asdf/", Delimiter="/")
    assert keys(one) == ["asdf/"] and folders(one) == []


@case
def pages_of_version_1(world):
    name = world.bucket("asdf", "boo/bar", "boo/baz/xyzzy", "cquux/thud", "cquux/bla")

    def page(prefix, size, marker, truncated, expect_keys, expect_folders, following):
        one = world.s3.list_objects(
            Bucket=name, Prefix=prefix, Delimiter="/", MaxKeys=size, Marker=marker
        )
        assert one["IsTruncated"] == truncated
        assert keys(one) == expect_keys and folders(one) == expect_folders
        assert one.get("NextMarker") == following
        return following

    marker = page("", 1, "", True, ["asdf"], [], "asdf")
    marker = page("", 1, marker, True, [], ["boo/"], "boo/")
    page("", 1, marker, False, [], ["cquux/"], None)
    marker = page("", 2, "", True, ["asdf"], ["boo/"], "boo/")
    page("", 2, marker, False, [], ["cquux/"], None)
    marker = page("boo/", 1, "", True, ["boo/bar"], [], "boo/bar")
    page("boo/", 1, marker, False, [], ["boo/baz/"], None)
    page("boo/", 2, "", False, ["boo/bar"], ["boo/baz/"], None)


@case
def pages_of_version_2(world):
    wanted = [f"{n:02}" for n in range(25)] + ["x/1", "x/2", "y/1"]
    name = world.bucket(*wanted)
    for size in [1, 2, 7, 1000]:
        got, token = [], {}
        while True:
            page = world.s3.list_objects_v2(Bucket=name, MaxKeys=size, Delimiter="/", **token)
            assert page["MaxKeys"] == size and page["KeyCount"] <= size
            got += keys(page) + folders(page)
            if not page["IsTruncated"]:
                assert "NextContinuationToken" not in page
                break
            token = {"ContinuationToken": page["NextContinuationToken"]}
        assert got == wanted[:25] + ["x/", "y/"], size


@case
def no_keys_at_all(world):
    name = world.bucket("a", "b")
    one, two = both(world, name, MaxKeys=0)
    assert not one["IsTruncated"] and keys(one) == [] and two["KeyCount"] == 0


@case
def bounds_that_are_wrong(world):
    name = world.bucket("a")
    for wrong in ["blah", "-1"]:
        s3 = client()

        def add(params, wrong=wrong, **_):
            params["url"] += f"&max-keys={wrong}"

        s3.meta.events.register("before-call.s3.ListObjects", add)
        s3.meta.events.register("before-call.s3.ListObjectsV2", add)
        refused(400, "InvalidArgument", s3.list_objects, Bucket=name)
        refused(400, "InvalidArgument", s3.list_objects_v2, Bucket=name)
    assert world.s3.list_objects_v2(Bucket=name, MaxKeys=5000)["MaxKeys"] in (1000, 5000)


@case
def beginning_after_a_key(world):
    name = world.bucket("bar", "baz", "foo", "quxx")
    for after, expect in [
        ("", ["bar", "baz", "foo", "quxx"]),
        ("baz", ["foo", "quxx"]),
        ("blah", ["foo", "quxx"]),
        ("zzz", []),
        ("\n", ["bar", "baz", "foo", "quxx"]),
    ]:
        one = world.s3.list_objects(Bucket=name, Marker=after)
        assert keys(one) == expect and one["Marker"] == after
        two = world.s3.list_objects_v2(Bucket=name, StartAfter=after)
        assert keys(two) == expect and two.get("StartAfter", "") == after
        assert not one["IsTruncated"]


@case
def tokens(world):
    name = world.bucket("bar", "baz", "foo", "quxx")
    first = world.s3.list_objects_v2(Bucket=name, StartAfter="bar", MaxKeys=1)
    token = first["NextContinuationToken"]
    assert keys(first) == ["baz"]
    rest = world.s3.list_objects_v2(Bucket=name, StartAfter="bar", ContinuationToken=token)
    assert keys(rest) == ["foo", "quxx"]
    assert rest["ContinuationToken"] == token and rest["StartAfter"] == "bar"
    wrong = world.s3.list_objects_v2
    refused(400, "InvalidArgument", wrong, Bucket=name, ContinuationToken="no token")


@case
def what_is_told_of_each(world):
    name = world.bucket("bar", "baz", "foo")
    owner = world.s3.get_object_acl(Bucket=name, Key="bar")["Owner"]
    one = world.s3.list_objects(Bucket=name)
    two = world.s3.list_objects_v2(Bucket=name, FetchOwner=True)
    for entry in one["Contents"] + two["Contents"]:
        head = world.s3.head_object(Bucket=name, Key=entry["Key"])
        assert entry["ETag"] == head["ETag"] and entry["Size"] == head["ContentLength"]
        assert entry["LastModified"].replace(microsecond=0) == head["LastModified"]
        assert entry["StorageClass"] == "STANDARD"
        assert entry["Owner"] == owner
    plain = world.s3.list_objects_v2(Bucket=name)
    assert all("Owner" not in entry for entry in plain["Contents"])


@case
def in_the_order_of_bytes(world):
    wanted = ["a", "a\x01", "a/", "a0", "aB", "aa", "ab", "é", "ﬀ", "🎈"]
    name = world.bucket(*reversed(wanted))
    assert keys(both(world, name)[0]) == sorted(wanted, key=str.encode)


@case
def what_was_written_is_listed_at_once(world):
    name = world.bucket()
    for number in range(20):
        key = f"k/{number}"
        world.s3.put_object(Bucket=name, Key=key, Body=b"")
        assert key in keys(world.s3.list_objects_v2(Bucket=name))
        if number % 2:
            world.s3.delete_object(Bucket=name, Key=key)
            assert key not in keys(world.s3.list_objects_v2(Bucket=name))


@case
def of_no_bucket(world):
    refused(404, "NoSuchBucket", world.s3.list_objects, Bucket="no-such-bucket-here")
    refused(404, "NoSuchBucket", world.s3.list_objects_v2, Bucket="no-such-bucket-here")


main("listing")
