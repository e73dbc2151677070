"""Who is let in: signatures of both versions, in headers and in URLs, and their faults."""

import urllib.error
import urllib.request

from botocore.config import Config

from s3_cases import body, case, client, header, main, refused, unsigned_header

V2 = Config(signature_version="s3")
V4 = Config(signature_version="s3v4")


def fetched(url, data=None, method=None, headers=None):
    """The status and the body of a plain request."""
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@case
def nobody_gets_nothing(world):
    name = world.bucket("k")
    nobody = world.anonymous
    refused(403, "AccessDenied", nobody.get_object, Bucket=name, Key="k")
    refused(403, "AccessDenied", nobody.put_object, Bucket=name, Key="k", Body=b"")
    refused(403, "AccessDenied", nobody.list_objects, Bucket=name)
    refused(403, "AccessDenied", nobody.list_objects_v2, Bucket=name)
    refused(403, "AccessDenied", nobody.delete_object, Bucket=name, Key="k")
    refused(403, "403", nobody.head_object, Bucket=name, Key="k")
    assert body(world.s3.get_object(Bucket=name, Key="k")) == b"k"


@case
def a_key_that_is_not_known(world):
    stranger = client(aws_access_key_id="AKNOBODY", aws_secret_access_key="x")
    refused(403, "InvalidAccessKeyId", stranger.list_buckets)


@case
def a_secret_that_is_wrong(world):
    wrong = client(aws_secret_access_key="wrong", aws_access_key_id="AKOTHER")
    refused(403, "SignatureDoesNotMatch", wrong.list_buckets)
    wrong = client(V2, aws_secret_access_key="wrong", aws_access_key_id="AKOTHER")
    refused(403, "SignatureDoesNotMatch", wrong.list_buckets)


@case
def a_header_changed_on_the_way(world):
    name = world.bucket()
    s3 = client()
    unsigned_header(s3, "PutObject", "x-amz-meta-a", "changed")
    these = {"Bucket": name, "Key": "k", "Body": b"x"}
    refused(403, "SignatureDoesNotMatch", s3.put_object, Metadata={"a": "b"}, **these)


@case
def a_header_added_on_the_way(world):
    name = world.bucket("secret")
    s3 = client()
    unsigned_header(s3, "PutObject", "x-amz-copy-source", f"{name}/secret")
    refused(403, "AccessDenied", s3.put_object, Bucket=name, Key="k", Body=b"")


@case
def a_body_changed_on_the_way(world):
    name = world.bucket()
    s3 = client()

    def change(request, **_):
        request.body = b"changed"
        request.headers["Content-Length"] = "7"

    s3.meta.events.register("before-send.s3.PutObject", change)
    config = Config(request_checksum_calculation="when_required")
    plain = client(config)
    plain.meta.events.register("before-send.s3.PutObject", change)
    code = ("XAmzContentSHA256Mismatch", "BadDigest")
    refused(400, code, plain.put_object, Bucket=name, Key="k", Body=b"content")
    refused(404, "NoSuchKey", world.s3.get_object, Bucket=name, Key="k")


@case
def dates_that_are_wrong(world):
    for date, codes in [
        ("20100707T215304Z", ("RequestTimeTooSkewed", "SignatureDoesNotMatch")),
        ("20990707T215304Z", ("RequestTimeTooSkewed", "SignatureDoesNotMatch")),
        ("Bad Date", "AccessDenied"),
        ("", "AccessDenied"),
        (None, "AccessDenied"),
    ]:
        s3 = client()
        unsigned_header(s3, "ListBuckets", "X-Amz-Date", date)
        refused(403, codes, s3.list_buckets)


@case
def authorizations_that_are_none(world):
    for text, status, codes in [
        ("", 403, "AccessDenied"),
        (None, 403, "AccessDenied"),
        ("Basic YTpi", 400, "InvalidArgument"),
        ("AWS4 HAHAHA", 400, "InvalidArgument"),
        ("AWS HAHAHA", 400, "InvalidArgument"),
        ("AWS4-HMAC-SHA256 Credential=HAHAHA", 400, "AuthorizationHeaderMalformed"),
        ("AWS nobody:FWeDfwojDSdS2Ztmpfeubhd9isU=", 403, ("AccessDenied", "InvalidAccessKeyId")),
    ]:
        s3 = client()
        unsigned_header(s3, "ListBuckets", "Authorization", text)
        refused(status, codes, s3.list_buckets)


@case
def version_2_in_the_header(world):
    name = world.bucket()
    old = client(V2)
    old.put_object(Bucket=name, Key="a/ü b", Body=b"x", Metadata={"a": "b"})
    assert body(old.get_object(Bucket=name, Key="a/ü b")) == b"x"
    assert len(old.list_objects(Bucket=name, Prefix="a/")["Contents"]) == 1
    got = old.get_object(Bucket=name, Key="a/ü b", ResponseContentType="text/x")
    assert got["ContentType"] == "text/x"


@case
def version_2_with_dates_that_are_wrong(world):
    for date, code in [
        ("Tue, 07 Jul 2010 21:53:04 GMT", "RequestTimeTooSkewed"),
        ("Tue, 07 Jul 9999 21:53:04 GMT", "RequestTimeTooSkewed"),
        ("Tue, 07 Jul 1950 21:53:04 GMT", "AccessDenied"),
        ("Bad Date", "AccessDenied"),
        ("", "AccessDenied"),
    ]:
        old = client(V2)
        header(old, "CreateBucket", "x-amz-date", date)
        refused(403, code, old.create_bucket, Bucket=world.name())


@case
def urls_for_reading_and_writing(world):
    name = world.bucket("k")
    for s3 in [client(V4), client(V2)]:
        these = {"Bucket": name, "Key": "k"}
        assert fetched(s3.generate_presigned_url("get_object", Params=these)) == (200, b"k")
        these["Key"] = "ü +&%.txt"
        url = s3.generate_presigned_url("put_object", Params=these)
        assert fetched(url, b"put", "PUT", {"Content-Type": ""})[0] == 200
        assert body(world.s3.get_object(**these)) == b"put"


@case
def a_url_with_other_headers_for_the_answer(world):
    name = world.bucket("k")
    these = {"Bucket": name, "Key": "k", "ResponseContentType": "text/x"}
    url = client(V4).generate_presigned_url("get_object", Params=these)
    with urllib.request.urlopen(url) as answer:
        assert answer.headers["content-type"] == "text/x"


@case
def a_url_with_a_range_that_makes_no_sense(world):
    name = world.bucket("k")
    url = client(V4).generate_presigned_url("get_object", Params={"Bucket": name, "Key": "k"})
    assert fetched(url, headers={"Range": "bytes=5-2"}) == (200, b"k")


@case
def urls_that_are_not_good_any_more(world):
    name = world.bucket("k")
    these = {"Bucket": name, "Key": "k"}
    for s3 in [client(V4), client(V2)]:
        url = s3.generate_presigned_url("get_object", Params=these, ExpiresIn=-10)
        status, said = fetched(url)
        assert status == 403, said
    status, said = fetched(f"{url}x")
    assert status in (400, 403), said


@case
def urls_that_were_changed(world):
    name = world.bucket("k", "other")
    these = {"Bucket": name, "Key": "k"}
    url = client(V4).generate_presigned_url("get_object", Params=these)
    for changed in [url.replace("/k?", "/other?"), url + "&versionId=x", url[:-1] + "0" * 2]:
        status, said = fetched(changed)
        assert status == 403 and b"SignatureDoesNotMatch" in said or status == 400, said
    status, said = fetched(url, method="DELETE")
    assert status == 403 and b"SignatureDoesNotMatch" in said
    status, said = fetched(url, headers={"x-amz-tagging": "a=b"})
    assert status == 403 and b"AccessDenied" in said
    status, said = fetched(url.replace("X-Amz-Expires=3600", "X-Amz-Expires=604801"))
    assert status == 403 and b"AccessDenied" in said
    status, said = fetched(url.replace("&X-Amz-Expires=3600", ""))
    assert status == 403 and b"AccessDenied" in said


def sent(form, content, **more):
    """Sends a form as a browser does."""
    lines = []
    for field, value in [*form["fields"].items(), *more.items()]:
        lines += ["--xx", f'Content-Disposition: form-data; name="{field}"', "", value]
    file = 'Content-Disposition: form-data; name="file"; filename="f.txt"'
    lines += ["--xx", file, "Content-Type: text/plain", "", content, "--xx--", ""]
    data = "\r\n".join(lines).encode()
    kind = {"Content-Type": "multipart/form-data; boundary=xx"}
    return fetched(form["url"], data, "POST", kind)


@case
def a_form_of_a_browser(world):
    name = world.bucket()
    conditions = [["starts-with", "$key", "up/"], ["content-length-range", 0, 10]]
    for s3 in [client(V4), client(V2)]:
        form = s3.generate_presigned_post(Bucket=name, Key="up/k", Conditions=conditions)
        status, said = sent(form, "hello")
        assert status == 204, (status, said)
        assert body(world.s3.get_object(Bucket=name, Key="up/k")) == b"hello"
        status, said = sent(form, "much too long")
        assert status == 400 and b"EntityTooLarge" in said, (status, said)
        form["fields"]["key"] = "other/k"
        status, said = sent(form, "hello")
        assert status == 403 and b"AccessDenied" in said, (status, said)


main("auth")
