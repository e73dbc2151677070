"""Buckets: made, removed, listed, and what is said about settings that they have not."""

import io

from botocore.config import Config
from botocore.handlers import validate_bucket_name

from s3_cases import PART, body, case, client, main, refused, upload


@case
def made_and_removed(world):
    name = world.bucket()
    assert world.s3.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert world.s3.list_objects_v2(Bucket=name)["KeyCount"] == 0
    world.made.remove(name)
    answer = world.s3.delete_bucket(Bucket=name)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    refused(404, "NoSuchBucket", world.s3.delete_bucket, Bucket=name)
    refused(404, "NoSuchBucket", world.s3.list_objects, Bucket=name)
    refused(404, "NoSuchBucket", world.s3.put_object, Bucket=name, Key="x", Body=b"")
    refused(404, "404", world.s3.head_bucket, Bucket=name)


@case
def made_again_after_removal_it_is_another(world):
    name = world.bucket("a")
    world.s3.delete_object(Bucket=name, Key="a")
    world.s3.delete_bucket(Bucket=name)
    world.s3.create_bucket(Bucket=name)
    assert "Contents" not in world.s3.list_objects_v2(Bucket=name)
    world.s3.put_object(Bucket=name, Key="b", Body=b"b")
    assert body(world.s3.get_object(Bucket=name, Key="b")) == b"b"


@case
def making_ones_own_again_changes_nothing(world):
    name = world.bucket("a")
    world.s3.create_bucket(Bucket=name)
    assert body(world.s3.get_object(Bucket=name, Key="a")) == b"a"


@case
def one_of_another_key_is_taken(world):
    name = world.bucket()
    refused(409, "BucketAlreadyExists", world.other.create_bucket, Bucket=name)


@case
def a_configured_one_is_there_already(world):
    refused(409, "BucketAlreadyOwnedByYou", world.s3.create_bucket, Bucket="inbox")


@case
def a_configured_one_cannot_be_removed(world):
    answer = refused(403, "AccessDenied", world.s3.delete_bucket, Bucket="inbox")
    assert "[buckets.inbox]" in answer["Error"]["Message"]


@case
def another_key_has_no_part_in_it(world):
    name = world.bucket("a")
    refused(403, "AccessDenied", world.other.delete_bucket, Bucket=name)
    refused(403, "AccessDenied", world.other.list_objects_v2, Bucket=name)
    refused(403, "AccessDenied", world.other.get_object, Bucket=name, Key="a")
    refused(403, "AccessDenied", world.other.put_object, Bucket=name, Key="b", Body=b"")
    mine = world.name()
    world.other.create_bucket(Bucket=mine)
    source = {"Bucket": name, "Key": "a"}
    copy = world.other.copy_object
    refused(403, "AccessDenied", copy, Bucket=mine, Key="a", CopySource=source)
    names = [entry["Name"] for entry in world.other.list_buckets()["Buckets"]]
    assert mine in names and name not in names
    names = [entry["Name"] for entry in world.s3.list_buckets()["Buckets"]]
    assert mine not in names and name in names
    world.other.delete_bucket(Bucket=mine)


@case
def removed_only_when_empty(world):
    name = world.bucket("a/b/c", "../hidden")
    refused(409, "BucketNotEmpty", world.s3.delete_bucket, Bucket=name)
    world.s3.delete_object(Bucket=name, Key="a/b/c")
    refused(409, "BucketNotEmpty", world.s3.delete_bucket, Bucket=name)
    world.s3.delete_object(Bucket=name, Key="../hidden")
    world.made.remove(name)
    world.s3.delete_bucket(Bucket=name)


@case
def uploads_that_are_not_over_do_not_keep_it(world):
    name = world.bucket()
    world.s3.create_multipart_upload(Bucket=name, Key="big")
    world.made.remove(name)
    world.s3.delete_bucket(Bucket=name)


@case
def names_that_are_none(world):
    bad = ["ab", "a" * 64, "Upper", "under_score", "-first", "last-", "two..dots", "dot.-dash"]
    bad += ["dash-.dot", "192.168.5.123", "xn--puny", "some-s3alias"]
    for name in bad:
        s3 = client()
        # The library has an opinion of its own.
        s3.meta.events.unregister("before-parameter-build.s3", validate_bucket_name)
        refused(400, "InvalidBucketName", s3.create_bucket, Bucket=name)


@case
def names_that_are_good(world):
    for name in ["a.b.c", "1-2-3", "x" * 40]:
        name = f"{world.name()}.{name}"[:63].strip("-.")
        world.s3.create_bucket(Bucket=name)
        world.s3.put_object(Bucket=name, Key="k", Body=b"v")
        source = {"Bucket": name, "Key": "k"}
        world.s3.copy_object(Bucket=name, Key="k2", CopySource=source)
        for key in ["k", "k2"]:
            world.s3.delete_object(Bucket=name, Key=key)
        world.s3.delete_bucket(Bucket=name)


@case
def listed_in_order_and_by_pages(world):
    names = sorted(world.bucket() for _ in range(5))
    prefix = world.prefix
    every = [entry["Name"] for entry in world.s3.list_buckets(Prefix=prefix)["Buckets"]]
    assert every == names, every
    paged, token = [], {}
    for _ in range(5):
        page = world.s3.list_buckets(Prefix=prefix, MaxBuckets=2, **token)
        assert page["Prefix"] == prefix
        paged += [entry["Name"] for entry in page["Buckets"]]
        if "ContinuationToken" not in page:
            break
        token = {"ContinuationToken": page["ContinuationToken"]}
    assert paged == names, paged


@case
def listed_with_time_and_owner(world):
    name = world.bucket()
    answer = world.s3.list_buckets(Prefix=name)
    assert answer["Buckets"][0]["CreationDate"].year >= 2026
    assert answer["Owner"]["ID"]


@case
def pages_have_bounds(world):
    refused(400, "InvalidArgument", world.s3.list_buckets, MaxBuckets=10001)
    refused(400, "InvalidArgument", world.s3.list_buckets, ContinuationToken="?")


@case
def the_region(world):
    name = world.bucket()
    assert world.s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    head = world.s3.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPHeaders"]
    assert head["x-amz-bucket-region"] == "us-east-1"


@case
def another_region_is_refused(world):
    refused(
        400,
        "IllegalLocationConstraintException",
        world.s3.create_bucket,
        Bucket=world.name(),
        CreateBucketConfiguration={"LocationConstraint": "eu-west-1"},
    )


@case
def nobody_makes_none(world):
    refused(403, "AccessDenied", world.anonymous.create_bucket, Bucket=world.name())
    refused(403, "AccessDenied", world.anonymous.list_buckets)


@case
def settings_that_it_has_not(world):
    name = world.bucket()
    s3 = world.s3
    for code, ask in [
        ("NoSuchBucketPolicy", s3.get_bucket_policy),
        ("NoSuchBucketPolicy", s3.get_bucket_policy_status),
        ("NoSuchCORSConfiguration", s3.get_bucket_cors),
        ("NoSuchTagSet", s3.get_bucket_tagging),
        ("NoSuchLifecycleConfiguration", s3.get_bucket_lifecycle_configuration),
        ("ServerSideEncryptionConfigurationNotFoundError", s3.get_bucket_encryption),
        ("NoSuchPublicAccessBlockConfiguration", s3.get_public_access_block),
        ("ObjectLockConfigurationNotFoundError", s3.get_object_lock_configuration),
        ("OwnershipControlsNotFoundError", s3.get_bucket_ownership_controls),
        ("NoSuchWebsiteConfiguration", s3.get_bucket_website),
        ("ReplicationConfigurationNotFoundError", s3.get_bucket_replication),
    ]:
        refused(404, code, ask, Bucket=name)
        refused(404, "NoSuchBucket", ask, Bucket="no-such-bucket-here")


@case
def settings_as_they_are_everywhere(world):
    name = world.bucket()
    s3 = world.s3
    assert s3.get_bucket_request_payment(Bucket=name)["Payer"] == "BucketOwner"
    assert "Status" not in s3.get_bucket_versioning(Bucket=name)
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=name)
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket=name)
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket=name)


@case
def settings_that_cannot_be_made_are_refused(world):
    name = world.bucket()
    rule = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}
    put = world.s3.put_bucket_cors
    refused(501, "NotImplemented", put, Bucket=name, CORSConfiguration=rule)


@case
def the_access_list_says_who_owns_it(world):
    name = world.bucket("a")
    for acl in [
        world.s3.get_bucket_acl(Bucket=name),
        world.s3.get_object_acl(Bucket=name, Key="a"),
    ]:
        assert [grant["Permission"] for grant in acl["Grants"]] == ["FULL_CONTROL"]
        assert acl["Grants"][0]["Grantee"]["ID"] == acl["Owner"]["ID"]
        assert acl["Grants"][0]["Grantee"]["Type"] == "CanonicalUser"
    refused(404, "NoSuchKey", world.s3.get_object_acl, Bucket=name, Key="none")


@case
def access_lists_that_say_nothing_are_taken(world):
    name = world.name()
    world.s3.create_bucket(Bucket=name, ACL="private")
    world.made.append(name)
    world.s3.put_object(Bucket=name, Key="a", ACL="bucket-owner-full-control")
    world.s3.put_bucket_acl(Bucket=name, ACL="private")
    world.s3.put_object_acl(Bucket=name, Key="a", ACL="private")
    acl = world.s3.get_object_acl(Bucket=name, Key="a")
    again = {"Grants": acl["Grants"], "Owner": acl["Owner"]}
    world.s3.put_object_acl(Bucket=name, Key="a", AccessControlPolicy=again)


@case
def access_lists_that_say_something_are_refused(world):
    name = world.bucket("a")
    code = "AccessControlListNotSupported"
    refused(400, code, world.s3.put_bucket_acl, Bucket=name, ACL="public-read")
    refused(400, code, world.s3.put_object_acl, Bucket=name, Key="a", ACL="public-read")
    refused(400, code, world.s3.put_object, Bucket=name, Key="b", ACL="public-read")
    refused(400, code, world.s3.put_object, Bucket=name, Key="b", GrantRead="id=x")
    refused(400, code, world.s3.create_bucket, Bucket=world.name(), ACL="public-read")
    refused(404, "404", world.s3.head_object, Bucket=name, Key="b")


@case
def parts_are_uploaded_to_a_made_one(world):
    name = world.bucket()
    upload(world.s3, name, "big", [b"a" * PART, b"b"])
    assert world.s3.head_object(Bucket=name, Key="big")["ContentLength"] == PART + 1


@case
def one_that_goes_in_the_middle_of_a_write(world):
    name = world.bucket()
    s3 = world.s3

    class Body(io.BytesIO):
        """Takes the bucket away when the first half was read."""

        def read(self, size=-1):
            if self.tell() == 0 and size != 0:
                half = super().read(len(self.getvalue()) // 2)
                return half
            if name in world.made and sending:
                world.made.remove(name)
                s3.delete_bucket(Bucket=name)
            return super().read(size)

    sending = []
    slow = client(Config(request_checksum_calculation="when_required"))
    slow.meta.events.register("before-send.s3.PutObject", lambda **_: sending.append(1))
    content = Body(b"x" * (1 << 20))
    refused(404, "NoSuchBucket", slow.put_object, Bucket=name, Key="k", Body=content)


main("buckets")
