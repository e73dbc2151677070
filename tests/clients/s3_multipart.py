"""Uploads in parts: put together, read part by part, listed, aborted, repeated."""

import hashlib
import io

from s3_cases import PART, body, case, client, main, refused, upload


def begun(world, bucket, key="k", **more):
    return world.s3.create_multipart_upload(Bucket=bucket, Key=key, **more)["UploadId"]


def part(world, bucket, upload_id, number, data, key="k", **more):
    answer = world.s3.upload_part(
        Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=data, **more
    )
    return {"PartNumber": number, "ETag": answer["ETag"]}


def complete(world, bucket, upload_id, parts, key="k", **more):
    return world.s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, **more
    )


def not_completed(world, status, code, bucket, upload_id, parts, **more):
    refused(
        status,
        code,
        world.s3.complete_multipart_upload,
        Bucket=bucket,
        Key="k",
        UploadId=upload_id,
        MultipartUpload={"Parts": parts},
        **more,
    )


@case
def put_together(world):
    name = world.bucket()
    parts = [b"a" * PART, b"b" * PART, b"c"]
    answer, _ = upload(world.s3, name, "k", parts, Metadata={"m": "1"}, ContentType="text/x")
    sums = b"".join(hashlib.md5(p).digest() for p in parts)
    etag = f'"{hashlib.md5(sums).hexdigest()}-3"'
    assert answer["ETag"] == etag
    got = world.s3.get_object(Bucket=name, Key="k")
    assert body(got) == b"".join(parts)
    assert got["ETag"] == etag and got["Metadata"] == {"m": "1"} and got["ContentType"] == "text/x"


@case
def the_parts_that_are_named_in_their_order(world):
    name = world.bucket()
    upload_id = begun(world, name)
    numbers = [7, 3, 10000, 5]
    parts = {n: part(world, name, upload_id, n, bytes([n % 251]) * PART) for n in numbers}
    complete(world, name, upload_id, [parts[3], parts[7], parts[10000]])
    got = body(world.s3.get_object(Bucket=name, Key="k"))
    assert got == bytes([3]) * PART + bytes([7]) * PART + bytes([10000 % 251]) * PART
    one = world.s3.get_object(Bucket=name, Key="k", PartNumber=7)
    assert one["PartsCount"] == 3 and one["ContentRange"].startswith(f"bytes {PART}-")


@case
def a_part_sent_again_replaces_the_first(world):
    name = world.bucket()
    upload_id = begun(world, name)
    part(world, name, upload_id, 1, b"x" * PART)
    first = part(world, name, upload_id, 1, b"a" * PART)
    last = part(world, name, upload_id, 2, b"b")
    complete(world, name, upload_id, [first, last])
    assert body(world.s3.get_object(Bucket=name, Key="k")) == b"a" * PART + b"b"


@case
def completed_twice_it_says_the_same(world):
    name = world.bucket()
    upload_id = begun(world, name)
    parts = [part(world, name, upload_id, 1, b"a")]
    first = complete(world, name, upload_id, parts)
    again = complete(world, name, upload_id, parts)
    assert first["ETag"] == again["ETag"]
    assert first.get("VersionId") == again.get("VersionId")
    world.s3.put_object(Bucket=name, Key="k", Body=b"other")
    not_completed(world, 404, "NoSuchUpload", name, upload_id, parts)


@case
def parts_that_are_too_small(world):
    name = world.bucket()
    upload_id = begun(world, name)
    parts = [part(world, name, upload_id, n, b"x" * 100) for n in [1, 2]]
    not_completed(world, 400, "EntityTooSmall", name, upload_id, parts)
    refused(404, "NoSuchKey", world.s3.get_object, Bucket=name, Key="k")


@case
def what_cannot_be_completed(world):
    name = world.bucket()
    upload_id = begun(world, name)
    one = part(world, name, upload_id, 1, b"a" * PART)
    two = part(world, name, upload_id, 2, b"b")
    not_completed(world, 400, "InvalidPartOrder", name, upload_id, [two, one])
    not_completed(world, 400, "InvalidPart", name, upload_id, [{"PartNumber": 9, "ETag": "x"}])
    wrong = {"PartNumber": 1, "ETag": '"ffffffffffffffffffffffffffffffff"'}
    not_completed(world, 400, "InvalidPart", name, upload_id, [wrong])
    not_completed(world, 400, "MalformedXML", name, upload_id, [])
    complete(world, name, upload_id, [one, two])


@case
def uploads_that_are_not_there(world):
    name = world.bucket()
    gone = "00000000000000000000000000000000"
    s3 = world.s3
    for upload_id in [gone, "../../x", "56788"]:
        these = {"Bucket": name, "Key": "k", "UploadId": upload_id}
        refused(404, "NoSuchUpload", s3.upload_part, PartNumber=1, Body=b"x", **these)
        refused(404, "NoSuchUpload", s3.abort_multipart_upload, **these)
        refused(404, "NoSuchUpload", s3.list_parts, **these)
    upload_id = begun(world, name)
    refused(404, "NoSuchUpload", s3.list_parts, Bucket=name, Key="other", UploadId=upload_id)


@case
def part_numbers_have_bounds(world):
    name = world.bucket()
    upload_id = begun(world, name)
    for number in [0, 10001, -1]:
        refused(
            400,
            "InvalidArgument",
            world.s3.upload_part,
            Bucket=name,
            Key="k",
            UploadId=upload_id,
            PartNumber=number,
            Body=b"x",
        )


@case
def aborted(world):
    name = world.bucket()
    upload_id = begun(world, name)
    one = part(world, name, upload_id, 1, b"a")
    these = {"Bucket": name, "Key": "k", "UploadId": upload_id}
    answer = world.s3.abort_multipart_upload(**these)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    refused(404, "NoSuchUpload", world.s3.abort_multipart_upload, **these)
    not_completed(world, 404, "NoSuchUpload", name, upload_id, [one])
    assert "Uploads" not in world.s3.list_multipart_uploads(Bucket=name)


@case
def parts_are_listed_by_pages(world):
    name = world.bucket()
    upload_id = begun(world, name)
    these = {"Bucket": name, "Key": "k", "UploadId": upload_id}
    for number in range(1, 6):
        part(world, name, upload_id, number, b"x" * number)
    page = world.s3.list_parts(MaxParts=2, **these)
    assert [p["PartNumber"] for p in page["Parts"]] == [1, 2]
    assert page["IsTruncated"] and page["NextPartNumberMarker"] == 2
    assert page["StorageClass"] == "STANDARD" and page["Owner"]["ID"]
    rest = world.s3.list_parts(PartNumberMarker=2, **these)
    assert [p["Size"] for p in rest["Parts"]] == [3, 4, 5] and not rest["IsTruncated"]
    world.s3.abort_multipart_upload(**these)


@case
def uploads_are_listed(world):
    name = world.bucket()
    first = begun(world, name, "a/1")
    second = begun(world, name, "a/1")
    third = begun(world, name, "b")
    fourth = begun(world, name, "a/2", StorageClass="STANDARD_IA")
    listed = world.s3.list_multipart_uploads(Bucket=name)
    assert [(u["Key"], u["UploadId"]) for u in listed["Uploads"]] == [
        ("a/1", first),
        ("a/1", second),
        ("a/2", fourth),
        ("b", third),
    ]
    assert not listed["IsTruncated"]
    one = listed["Uploads"][2]
    assert one["StorageClass"] == "STANDARD_IA" and one["Initiated"].year >= 2026
    assert one["Owner"]["ID"] and one["Initiator"]["ID"]
    below = world.s3.list_multipart_uploads(Bucket=name, Prefix="b")
    assert [u["UploadId"] for u in below["Uploads"]] == [third]
    folders = world.s3.list_multipart_uploads(Bucket=name, Delimiter="/")
    assert [p["Prefix"] for p in folders["CommonPrefixes"]] == ["a/"]
    assert [u["Key"] for u in folders["Uploads"]] == ["b"]


@case
def uploads_are_listed_by_pages(world):
    name = world.bucket()
    wanted = sorted((key, begun(world, name, key)) for key in ["a", "a", "b", "ü x", "c"])
    seen, marker = [], {}
    for _ in range(5):
        page = world.s3.list_multipart_uploads(Bucket=name, MaxUploads=2, **marker)
        seen += [(u["Key"], u["UploadId"]) for u in page["Uploads"]]
        assert page["MaxUploads"] == 2
        if not page["IsTruncated"]:
            break
        marker = {
            "KeyMarker": page["NextKeyMarker"],
            "UploadIdMarker": page["NextUploadIdMarker"],
        }
    assert seen == sorted(wanted, key=lambda u: (u[0].encode(), u[1])), seen


@case
def parts_are_read_by_number(world):
    name = world.bucket()
    parts = [b"a" * PART, b"b" * PART, b"c"]
    answer, _ = upload(world.s3, name, "k", parts)
    start = 0
    for number, data in enumerate(parts, 1):
        got = world.s3.get_object(Bucket=name, Key="k", PartNumber=number)
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["PartsCount"] == 3 and got["ETag"] == answer["ETag"]
        assert got["ContentLength"] == len(data) and body(got) == data
        end = start + len(data)
        assert got["ContentRange"] == f"bytes {start}-{end - 1}/{2 * PART + 1}"
        head = world.s3.head_object(Bucket=name, Key="k", PartNumber=number)
        assert head["ContentLength"] == len(data) and head["PartsCount"] == 3
        start = end
    refused(400, "InvalidPart", world.s3.get_object, Bucket=name, Key="k", PartNumber=4)


@case
def one_written_whole_is_its_own_first_part(world):
    name = world.bucket("key")
    got = world.s3.get_object(Bucket=name, Key="key", PartNumber=1)
    assert "PartsCount" not in got and body(got) == b"key"
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    refused(400, "InvalidPart", world.s3.get_object, Bucket=name, Key="key", PartNumber=2)


EVERY = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]


@case
def attributes_of_one_written_whole(world):
    name = world.bucket()
    put = world.s3.put_object(Bucket=name, Key="k", Body=b"bar", ChecksumAlgorithm="SHA256")
    told = world.s3.get_object_attributes(Bucket=name, Key="k", ObjectAttributes=EVERY)
    assert told["ETag"] == put["ETag"].strip('"'), told["ETag"]
    assert told["ObjectSize"] == 3 and told["StorageClass"] == "STANDARD"
    assert told["Checksum"]["ChecksumSHA256"] == put["ChecksumSHA256"]
    assert told["Checksum"]["ChecksumType"] == "FULL_OBJECT"
    assert "ObjectParts" not in told
    size = world.s3.get_object_attributes(Bucket=name, Key="k", ObjectAttributes=["ObjectSize"])
    assert size["ObjectSize"] == 3 and "ETag" not in size and "Checksum" not in size
    ask = world.s3.get_object_attributes
    refused(404, "NoSuchKey", ask, Bucket=name, Key="none", ObjectAttributes=EVERY)


@case
def attributes_of_one_in_parts(world):
    name = world.bucket()
    parts = [b"a" * PART, b"b" * PART, b"c"]
    upload_id = begun(world, name, ChecksumAlgorithm="SHA256")
    done = []
    for number, data in enumerate(parts, 1):
        answer = world.s3.upload_part(
            Bucket=name,
            Key="k",
            UploadId=upload_id,
            PartNumber=number,
            Body=data,
            ChecksumAlgorithm="SHA256",
        )
        sums = {"ETag": answer["ETag"], "ChecksumSHA256": answer["ChecksumSHA256"]}
        done.append({"PartNumber": number, **sums})
    whole = complete(world, name, upload_id, done)
    told = world.s3.get_object_attributes(Bucket=name, Key="k", ObjectAttributes=EVERY)
    assert told["ObjectSize"] == 2 * PART + 1
    assert told["Checksum"]["ChecksumSHA256"] == whole["ChecksumSHA256"]
    assert told["Checksum"]["ChecksumType"] == "COMPOSITE"
    every = told["ObjectParts"]
    assert every["TotalPartsCount"] == 3 and not every["IsTruncated"]
    assert [(p["PartNumber"], p["Size"]) for p in every["Parts"]] == [(1, PART), (2, PART), (3, 1)]
    assert [p["ChecksumSHA256"] for p in every["Parts"]] == [d["ChecksumSHA256"] for d in done]
    one = {"Bucket": name, "Key": "k", "ObjectAttributes": ["ObjectParts"], "MaxParts": 1}
    page = world.s3.get_object_attributes(**one)["ObjectParts"]
    assert page["IsTruncated"] and page["NextPartNumberMarker"] == 1 and page["MaxParts"] == 1
    page = world.s3.get_object_attributes(PartNumberMarker=2, **one)["ObjectParts"]
    assert [p["PartNumber"] for p in page["Parts"]] == [3] and not page["IsTruncated"]


@case
def checksums_of_parts_are_asked_for(world):
    name = world.bucket()
    upload_id = begun(world, name, ChecksumAlgorithm="SHA256")
    answer = world.s3.upload_part(
        Bucket=name,
        Key="k",
        UploadId=upload_id,
        PartNumber=1,
        Body=b"x",
        ChecksumAlgorithm="SHA256",
    )
    plain = {"PartNumber": 1, "ETag": answer["ETag"]}
    full = {**plain, "ChecksumSHA256": answer["ChecksumSHA256"]}
    not_completed(world, 400, "InvalidRequest", name, upload_id, [plain])
    bad = {**plain, "ChecksumSHA256": "bad"}
    not_completed(world, 400, "InvalidPart", name, upload_id, [bad])
    not_completed(world, 400, "BadDigest", name, upload_id, [full], ChecksumSHA256="bad")
    assert complete(world, name, upload_id, [full])["ChecksumSHA256"].endswith("-1")


@case
def a_checksum_over_the_whole(world):
    name = world.bucket()
    upload_id = begun(world, name, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    parts = [part(world, name, upload_id, 1, b"a" * PART), part(world, name, upload_id, 2, b"b")]
    whole = complete(world, name, upload_id, parts)
    put = world.s3.put_object
    same = put(Bucket=name, Key="same", Body=b"a" * PART + b"b", ChecksumAlgorithm="CRC32")
    assert whole["ChecksumCRC32"] == same["ChecksumCRC32"]
    assert whole["ChecksumType"] == "FULL_OBJECT"


@case
def parts_are_copied(world):
    data = bytes(range(256)) * 40000
    name = world.bucket()
    source = "src/ü %+?&=#.bin"
    world.s3.put_object(Bucket=name, Key=source, Body=data)
    upload_id = begun(world, name)
    these = {"Bucket": name, "Key": "k", "UploadId": upload_id}
    copy = {"CopySource": {"Bucket": name, "Key": source}}
    done = []
    for number, (first, last) in enumerate([(0, PART - 1), (PART, PART)], 1):
        answer = world.s3.upload_part_copy(
            PartNumber=number, CopySourceRange=f"bytes={first}-{last}", **these, **copy
        )
        done.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
    last = world.s3.upload_part_copy(PartNumber=3, **these, **copy)
    assert last["CopyPartResult"]["LastModified"].year >= 2026
    wrong = [f"bytes=0-{len(data)}", f"bytes={len(data)}-{len(data) + 5}"]
    for asked in wrong + ["bytes=0", "bytes=a-b", "0-1", "bytes=2-1", "bytes=0-1,3-4", "bytes=0-"]:
        refused(
            400,
            "InvalidArgument",
            world.s3.upload_part_copy,
            PartNumber=3,
            CopySourceRange=asked,
            **these,
            **copy,
        )
    complete(world, name, upload_id, done)
    assert body(world.s3.get_object(Bucket=name, Key="k")) == data[: PART + 1]


@case
def sums_of_parts_are_checked(world):
    name = world.bucket()
    upload_id = begun(world, name)
    refused(
        400,
        "BadDigest",
        world.s3.upload_part,
        Bucket=name,
        Key="k",
        UploadId=upload_id,
        PartNumber=1,
        Body=b"x",
        ContentMD5="rL0Y20xC+Fzt72VPzMSk2A==",
    )
    listed = world.s3.list_parts(Bucket=name, Key="k", UploadId=upload_id)
    assert "Parts" not in listed


@case
def the_library_uploads_and_downloads_by_itself(world):
    name = world.bucket()
    data = bytes(range(256)) * 80000
    s3 = client()
    s3.upload_fileobj(io.BytesIO(data), name, "k", ExtraArgs={"Metadata": {"a": "b"}})
    into = io.BytesIO()
    s3.download_fileobj(name, "k", into)
    assert into.getvalue() == data
    s3.copy({"Bucket": name, "Key": "k"}, name, "copy")
    assert s3.head_object(Bucket=name, Key="k")["Metadata"] == {"a": "b"}
    assert body(s3.get_object(Bucket=name, Key="copy")) == data


main("multipart")
