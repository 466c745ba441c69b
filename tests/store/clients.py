"""What S3 clients need of `weir store`, by boto3: tests/store/run WEIR [FILTER].

Each test gets a bucket of its own on one server; tests that kill or reconfigure start servers of their own.
"""

import base64
import concurrent.futures
import hashlib
import http.client
import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse
import uuid

import boto3
import boto3.s3.transfer
import botocore.auth
import botocore.awsrequest
import botocore.client
import botocore.config
import botocore.credentials
import botocore.exceptions

KEYS = {"AK": "secret-of-weir"}


class Store:
    """A server in a directory."""

    def __init__(self, program, directory, *options, env=None, fsync=True):
        base = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "WEIR_"))}
        base |= {"WEIR_STORE_ACCESS_KEY": "AK", "WEIR_STORE_SECRET_KEY": KEYS["AK"], "RUST_LOG": "warn,s3s=off"}
        self.process = subprocess.Popen(
            [program, "store", "--dir", directory, "--listen", "127.0.0.1:0", f"--fsync={str(fsync).lower()}", *options],
            stdout=subprocess.PIPE, env=base | (env or {}), text=True)
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), line
        self.url = line.split()[-1]

    def client(self, access="AK", secret=None, **config):
        settings = {"s3": {"addressing_style": "path"}, "retries": {"max_attempts": 1},
                    "signature_version": "s3v4", "max_pool_connections": 64}
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id=access,
                            aws_secret_access_key=secret or KEYS.get(access, "unknown"),
                            config=botocore.config.Config(**(settings | config)))

    def request(self, method, url, body=None, headers=None):
        """A plain request: status, body."""
        parts = urllib.parse.urlsplit(url if "://" in url else self.url + url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=20)
        connection.request(method, parts.path + ("?" + parts.query if parts.query else ""), body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


def until(what, is_so, seconds=20):
    """Waits for what comes by itself."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def listens(parts):
    """Whether connections are taken at the address of a URL."""
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=5).close()
    except ConnectionError:
        return False
    return True


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        found = error.response["Error"]["Code"]
        assert found in ([code] if isinstance(code, str) else code), f"{found} instead of {code}"
        return error
    raise AssertionError(f"not refused with {code}")


def test_put_get_head_delete_keep_bytes_and_metadata(store, s3, bucket):
    for body in [b"", b"water", os.urandom(3_000_000)]:
        put = s3.put_object(Bucket=bucket, Key="a", Body=body, ContentType="image/tiff", CacheControl="no-store",
                            Metadata={"scene": "LC08"})
        assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
        got = s3.get_object(Bucket=bucket, Key="a")
        assert got["Body"].read() == body and got["ContentType"] == "image/tiff" and got["ETag"] == put["ETag"]
        assert got["CacheControl"] == "no-store" and got["Metadata"] == {"scene": "LC08"}
        head = s3.head_object(Bucket=bucket, Key="a")
        assert head["ContentLength"] == len(body) and head["Metadata"] == {"scene": "LC08"}
    s3.delete_object(Bucket=bucket, Key="a")
    refused("NoSuchKey", s3.get_object, Bucket=bucket, Key="a")
    refused("404", s3.head_object, Bucket=bucket, Key="a")
    s3.delete_object(Bucket=bucket, Key="a")
    refused("NoSuchBucket", s3.get_object, Bucket="missing-bucket", Key="a")
    refused("NoSuchBucket", s3.put_object, Bucket="missing-bucket", Key="a", Body=b"")


def test_ranges(store, s3, bucket):
    body = os.urandom(1_000_000)
    s3.put_object(Bucket=bucket, Key="a", Body=body)
    for text, part in [("bytes=0-0", body[:1]), ("bytes=10-19", body[10:20]), ("bytes=999990-", body[999990:]),
                       ("bytes=-7", body[-7:]), ("bytes=300000-700000", body[300000:700001]),
                       ("bytes=5-9999999", body[5:])]:
        got = s3.get_object(Bucket=bucket, Key="a", Range=text)
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206 and got["Body"].read() == part, text
        assert got["ContentRange"].endswith("/1000000")
    refused("InvalidRange", s3.get_object, Bucket=bucket, Key="a", Range="bytes=1000000-")


def test_conditional_reads(store, s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="a", Body=b"water")["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="a")["LastModified"]
    s3.get_object(Bucket=bucket, Key="a", IfMatch=etag)
    s3.get_object(Bucket=bucket, Key="a", IfNoneMatch='"other"')
    refused("304", s3.get_object, Bucket=bucket, Key="a", IfNoneMatch=etag)
    refused("304", s3.head_object, Bucket=bucket, Key="a", IfModifiedSince=modified)
    refused("PreconditionFailed", s3.get_object, Bucket=bucket, Key="a", IfMatch='"other"')


def test_conditional_writes(store, s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="a", Body=b"one", IfNoneMatch="*")["ETag"]
    refused("PreconditionFailed", s3.put_object, Bucket=bucket, Key="a", Body=b"two", IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"one"
    refused("PreconditionFailed", s3.put_object, Bucket=bucket, Key="a", Body=b"two", IfMatch='"other"')
    s3.put_object(Bucket=bucket, Key="a", Body=b"two", IfMatch=etag)
    refused("NoSuchKey", s3.put_object, Bucket=bucket, Key="b", Body=b"two", IfMatch=etag)


def test_of_fifty_writers_of_one_key_exactly_one_wins(store, s3, bucket):
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        for round in range(4):
            key = f"deep/{round}/claim"

            def claim(writer):
                try:
                    s3.put_object(Bucket=bucket, Key=key, Body=str(writer).encode(), IfNoneMatch="*")
                    return writer
                except botocore.exceptions.ClientError as error:
                    assert error.response["Error"]["Code"] == "PreconditionFailed", error
            winners = [writer for writer in pool.map(claim, range(50)) if writer is not None]
            assert len(winners) == 1, winners
            assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == str(winners[0]).encode()


def test_counting_by_if_match_loses_no_step(store, s3, bucket):
    s3.put_object(Bucket=bucket, Key="n", Body=b"0")

    def step(_):
        while True:
            got = s3.get_object(Bucket=bucket, Key="n")
            try:
                s3.put_object(Bucket=bucket, Key="n", Body=str(int(got["Body"].read()) + 1).encode(), IfMatch=got["ETag"])
                return
            except botocore.exceptions.ClientError as error:
                assert error.response["Error"]["Code"] == "PreconditionFailed", error
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(step, range(40)))
    assert s3.get_object(Bucket=bucket, Key="n")["Body"].read() == b"40"


KEYS_OF_EVERY_KIND = [
    "a", "a/b", "a/b/c", "a//b", "/a", "a/", "//", "a b+c%20d", "..", "../x", "a/../b", "./a", "wäßer/ñ/水.tif",
    "x" * 1024, "y" * 300 + "/" + "z" * 300, "é" * 512, "/" * 1000, "q?a=b&c#d", "~!*'();:@$,[]", "a\\b", "<&>\"'",
    "100%", "%2F", "+", " ", "tab\there", "new\nline", "a.o", "a.d", "a.d/b.o", ".", "CON", "emoji 🌊",
]


def test_keys_of_every_kind(store, s3, bucket):
    for key in KEYS_OF_EVERY_KIND:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for key in KEYS_OF_EVERY_KIND:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode(), key
    listed = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert listed == sorted(KEYS_OF_EVERY_KIND, key=str.encode)
    refused(["KeyTooLongError", "400"], s3.put_object, Bucket=bucket, Key="x" * 1025, Body=b"")
    assert s3.list_objects_v2(Bucket=bucket, Prefix="x" * 2000)["KeyCount"] == 0
    long = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "x" * 2000}, {"Key": "missing"}]})
    assert [item["Code"] for item in long["Errors"]] == ["InvalidArgument"] and len(long["Deleted"]) == 1
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in KEYS_OF_EVERY_KIND]})
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    s3.delete_bucket(Bucket=bucket)


def test_listing_by_pages_prefix_and_delimiter(store, s3, bucket):
    keys = sorted([f"jobs/{n % 7}/{n:04}" for n in range(60)] + ["jobs", "jobs.txt", "jobs!", "other/x"])
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    for size in [1, 2, 7, 1000]:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": size})
        assert [item["Key"] for page in pages for item in page.get("Contents", [])] == keys
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix="jobs/", Delimiter="/", PaginationConfig={"PageSize": size})
        assert [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])] == \
            [f"jobs/{n}/" for n in range(7)]
        pages = s3.get_paginator("list_objects").paginate(
            Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": size})
        pages = list(pages)
        assert [item["Key"] for page in pages for item in page.get("Contents", [])] == ["jobs", "jobs!", "jobs.txt"]
        assert [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])] == ["jobs/", "other/"]
    after = s3.list_objects_v2(Bucket=bucket, StartAfter="jobs/6/0041")["Contents"]
    assert [item["Key"] for item in after] == [key for key in keys if key > "jobs/6/0041"]
    refused("InvalidArgument", s3.list_objects_v2, Bucket=bucket, ContinuationToken="zz")


def test_copies(store, s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"water", ContentType="text/plain", Metadata={"k": "v"})
    s3.copy_object(Bucket=bucket, Key="b/c", CopySource={"Bucket": bucket, "Key": "a"})
    s3.copy_object(Bucket=bucket, Key="b/c", CopySource={"Bucket": bucket, "Key": "a"})
    s3.put_object(Bucket=bucket, Key="a", Body=b"wine")
    got = s3.get_object(Bucket=bucket, Key="b/c")
    assert got["Body"].read() == b"water" and got["Metadata"] == {"k": "v"} and got["ContentType"] == "text/plain"
    s3.copy_object(Bucket=bucket, Key="b/c", CopySource={"Bucket": bucket, "Key": "b/c"}, MetadataDirective="REPLACE",
                   Metadata={"new": "1"})
    got = s3.get_object(Bucket=bucket, Key="b/c")
    assert got["Body"].read() == b"water" and got["Metadata"] == {"new": "1"}
    refused("NoSuchKey", s3.copy_object, Bucket=bucket, Key="x", CopySource={"Bucket": bucket, "Key": "missing"})
    refused("PreconditionFailed", s3.copy_object, Bucket=bucket, Key="x", CopySource={"Bucket": bucket, "Key": "a"},
            CopySourceIfMatch='"other"')
    assert not os.listdir(os.path.join(store.directory, "staging"))


def test_multipart_by_hand(store, s3, bucket):
    parts = [os.urandom(5 << 20), os.urandom(5 << 20), b"end"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m", ContentType="image/tiff", Metadata={"a": "b"})["UploadId"]
    tags = []
    for number, body in [(2, parts[1]), (3, parts[2]), (1, b"to be replaced"), (1, parts[0])]:
        tag = s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=number, Body=body)["ETag"]
        tags = [item for item in tags if item["PartNumber"] != number] + [{"PartNumber": number, "ETag": tag}]
    listed = s3.list_parts(Bucket=bucket, Key="m", UploadId=upload)["Parts"]
    assert [(item["PartNumber"], item["Size"]) for item in listed] == [(1, 5 << 20), (2, 5 << 20), (3, 3)]
    assert [item["Key"] for item in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == ["m"]
    refused("404", s3.head_object, Bucket=bucket, Key="m")
    complete = dict(Bucket=bucket, Key="m", UploadId=upload)
    refused("InvalidPartOrder", s3.complete_multipart_upload, **complete, MultipartUpload={"Parts": tags})
    tags.sort(key=lambda item: item["PartNumber"])
    wrong = [tags[0] | {"ETag": '"0"'}] + tags[1:]
    refused("InvalidPart", s3.complete_multipart_upload, **complete, MultipartUpload={"Parts": wrong})
    done = s3.complete_multipart_upload(**complete, MultipartUpload={"Parts": tags})
    digest = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()
    assert done["ETag"] == f'"{digest}-3"'
    got = s3.get_object(Bucket=bucket, Key="m")
    assert got["Body"].read() == b"".join(parts) and got["Metadata"] == {"a": "b"}
    assert s3.complete_multipart_upload(**complete, MultipartUpload={"Parts": tags})["ETag"] == done["ETag"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    other = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    small = [s3.upload_part(Bucket=bucket, Key="m", UploadId=other, PartNumber=n, Body=b"x")["ETag"] for n in (1, 2)]
    refused("EntityTooSmall", s3.complete_multipart_upload, Bucket=bucket, Key="m", UploadId=other,
            MultipartUpload={"Parts": [{"PartNumber": n + 1, "ETag": tag} for n, tag in enumerate(small)]})
    copied = s3.upload_part_copy(Bucket=bucket, Key="m", UploadId=other, PartNumber=1,
                                 CopySource={"Bucket": bucket, "Key": "m"}, CopySourceRange="bytes=10-19")
    assert copied["CopyPartResult"]["ETag"] == f'"{hashlib.md5(parts[0][10:20]).hexdigest()}"'
    s3.abort_multipart_upload(Bucket=bucket, Key="m", UploadId=other)
    refused("NoSuchUpload", s3.upload_part, Bucket=bucket, Key="m", UploadId=other, PartNumber=1, Body=b"x")
    refused("NoSuchUpload", s3.abort_multipart_upload, Bucket=bucket, Key="m", UploadId="../../buckets")
    refused("NoSuchUpload", s3.list_parts, Bucket=bucket, Key="m", UploadId=str(uuid.uuid4()))


def test_s3transfer_uploads_and_downloads_by_parts(store, s3, bucket):
    body = os.urandom(20_000_003)
    config = boto3.s3.transfer.TransferConfig(multipart_threshold=6 << 20, multipart_chunksize=6 << 20)
    s3.upload_fileobj(io.BytesIO(body), bucket, "big", Config=config)
    back = io.BytesIO()
    s3.download_fileobj(bucket, "big", back, Config=config)
    assert back.getvalue() == body
    s3.copy({"Bucket": bucket, "Key": "big"}, bucket, "copy", Config=config)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == body


def test_checksums_are_verified_and_returned(store, s3, bucket):
    body = b"water" * 1000
    for algorithm in ["CRC32", "SHA1", "SHA256"]:
        put = s3.put_object(Bucket=bucket, Key=algorithm, Body=body, ChecksumAlgorithm=algorithm)
        got = s3.get_object(Bucket=bucket, Key=algorithm, ChecksumMode="ENABLED")
        assert got[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"] and got["Body"].read() == body
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    s3.put_object(Bucket=bucket, Key="s", Body=body, ChecksumSHA256=digest)
    refused("BadDigest", s3.put_object, Bucket=bucket, Key="bad", Body=body + b"!", ChecksumSHA256=digest)
    refused("BadDigest", s3.put_object, Bucket=bucket, Key="bad", Body=body,
            ContentMD5=base64.b64encode(hashlib.md5(b"x").digest()).decode())
    refused("404", s3.head_object, Bucket=bucket, Key="bad")


def test_presigned_urls_of_botocore(store, s3, bucket):
    def sign(method, expires=60, client=s3, **parameters):
        return client.generate_presigned_url(method, Params={"Bucket": bucket, **parameters}, ExpiresIn=expires)
    key = "a b/ü?.txt"
    assert store.request("PUT", sign("put_object", Key=key), b"water") == (200, b"")
    assert store.request("GET", sign("get_object", Key=key)) == (200, b"water")
    assert store.request("GET", sign("get_object", Key=key), headers={"Range": "bytes=1-2"}) == (206, b"at")
    assert store.request("GET", sign("get_object", Key="missing"))[0] == 404
    # For one request only.
    assert store.request("PUT", sign("get_object", Key=key), b"x")[0] == 403
    assert store.request("GET", sign("get_object", Key=key).replace("%3F", "%3E"))[0] == 403
    assert store.request("GET", sign("get_object", Key=key, client=store.client(secret="wrong-secret")))[0] == 403
    url = sign("get_object", Key=key, expires=1)
    time.sleep(2.1)
    assert store.request("GET", url)[0] == 403
    assert store.request("GET", sign("get_object", Key=key, expires=604801))[0] == 400
    # Signed headers must come as they are.
    url = sign("put_object", Key="once", IfNoneMatch="*")
    if "if-none-match" in url:
        assert store.request("PUT", url, b"1")[0] == 403
    assert store.request("PUT", url, b"1", {"If-None-Match": "*"})[0] == 200
    assert store.request("PUT", url, b"2", {"If-None-Match": "*"})[0] == 412
    digest = base64.b64encode(hashlib.sha256(b"water").digest()).decode()
    url = sign("put_object", Key="sum", ChecksumSHA256=digest)
    if "x-amz-checksum-sha256=" not in url.lower():
        headers = {"x-amz-checksum-sha256": digest}
        assert store.request("PUT", url, b"wine!", headers)[0] == 400
        assert store.request("PUT", url, b"water")[0] == 403
        assert store.request("PUT", url, b"water", headers)[0] == 200
    # What is not signed cannot turn a PUT into a copy.
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    headers = {"x-amz-copy-source": f"/{bucket}/secret"}
    assert store.request("PUT", sign("put_object", Key="stolen"), b"", headers)[0] == 403


def test_anonymous_and_unknown_requests_are_refused(store, s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"")
    for method, path in [("GET", "/"), ("GET", f"/{bucket}"), ("GET", f"/{bucket}/a"), ("PUT", f"/{bucket}/a"),
                         ("DELETE", f"/{bucket}/a"), ("POST", f"/{bucket}?delete"), ("GET", "/healthz/x")]:
        status, body = store.request(method, path, b"" if method in ("PUT", "POST") else None)
        assert status in (400, 403), (method, path, status, body)
    refused("SignatureDoesNotMatch", store.client(secret="wrong-secret").list_buckets)
    refused("InvalidAccessKeyId", store.client("nobody").list_buckets)
    refused("NotImplemented", s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    refused("NotImplemented", s3.put_object_acl, Bucket=bucket, Key="a", ACL="public-read")
    for spelling in ["multipart/form-data", "Multipart/Form-Data"]:
        form = {"Content-Type": f"{spelling}; boundary=x"}
        assert store.request("POST", f"/{bucket}", b"--x--", form)[0] == 501
    assert store.request("GET", "/healthz") == (200, b"ok\n")


def test_buckets(store, s3, bucket):
    assert bucket in [item["Name"] for item in s3.list_buckets()["Buckets"]]
    s3.head_bucket(Bucket=bucket)
    refused("404", s3.head_bucket, Bucket="missing-bucket")
    refused("BucketAlreadyOwnedByYou", s3.create_bucket, Bucket=bucket)
    s3.get_bucket_location(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"")
    refused("BucketNotEmpty", s3.delete_bucket, Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="a/b")
    s3.delete_bucket(Bucket=bucket)
    refused("404", s3.head_bucket, Bucket=bucket)


def test_unsigned_and_chunked_payloads(store, s3, bucket):
    """rclone and others send UNSIGNED-PAYLOAD or signed chunks."""
    client = store.client(s3={"addressing_style": "path", "payload_signing_enabled": False},
                          request_checksum_calculation="when_required", response_checksum_validation="when_required")
    client.put_object(Bucket=bucket, Key="u", Body=b"water")
    assert client.get_object(Bucket=bucket, Key="u")["Body"].read() == b"water"
    signed = store.client(s3={"addressing_style": "path", "payload_signing_enabled": True})
    signed.put_object(Bucket=bucket, Key="u", Body=b"wine")
    assert client.get_object(Bucket=bucket, Key="u")["Body"].read() == b"wine"
    # A body that is not the signed one leaves nothing.
    request = botocore.awsrequest.AWSRequest("PUT", f"{store.url}/{bucket}/forged", data=b"water")
    botocore.auth.S3SigV4Auth(botocore.credentials.Credentials("AK", KEYS["AK"]), "s3", "us-east-1").add_auth(request)
    status, _ = store.request("PUT", f"/{bucket}/forged", b"wine!", dict(request.headers))
    assert status == 400, status
    refused("404", s3.head_object, Bucket=bucket, Key="forged")


def test_half_a_body_leaves_nothing(store, s3, bucket):
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "half"}, ExpiresIn=60)
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)
    connection.putrequest("PUT", parts.path + "?" + parts.query)
    connection.putheader("Content-Length", "5000000")
    connection.endheaders()
    connection.send(b"x" * 3_000_000)
    connection.close()
    deadline = time.time() + 10
    while os.listdir(os.path.join(store.directory, "staging")) and time.time() < deadline:
        time.sleep(0.05)
    assert not os.listdir(os.path.join(store.directory, "staging"))
    refused("404", s3.head_object, Bucket=bucket, Key="half")


def test_rclone(store, s3, bucket):
    settings = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": store.url, "ACCESS_KEY_ID": "AK",
                "SECRET_ACCESS_KEY": KEYS["AK"]}
    env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    env |= {f"RCLONE_CONFIG_W_{name}": value for name, value in settings.items()} | {"RCLONE_CONFIG": "/dev/null"}

    def rclone(*arguments):
        done = subprocess.run(["rclone", *arguments], env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout
    with tempfile.TemporaryDirectory() as directory:
        source, back = os.path.join(directory, "source"), os.path.join(directory, "back")
        files = {"big": os.urandom(13_000_000), "empty": b"", "sub/ü/a b.txt": b"hi"} | {
            f"sub/{n}": str(n).encode() for n in range(20)}
        for name, body in files.items():
            os.makedirs(os.path.dirname(os.path.join(source, name)), exist_ok=True)
            with open(os.path.join(source, name), "wb") as file:
                file.write(body)
        rclone("copy", source, f"w:{bucket}/x", "--s3-upload-cutoff", "6M", "--s3-chunk-size", "6M")
        rclone("check", source, f"w:{bucket}/x")
        rclone("sync", f"w:{bucket}/x", f"w:{bucket}/y")
        rclone("copy", f"w:{bucket}/y", back)
        for name, body in files.items():
            with open(os.path.join(back, name), "rb") as file:
                assert file.read() == body, name
        rclone("purge", f"w:{bucket}/x")
        assert sorted(rclone("lsf", "-R", "--files-only", f"w:{bucket}").split("\n")[:-1]) == sorted(f"y/{name}" for name in files)


def own_test_scoped_keys_and_reload(program):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "credentials.json")

        def write(*more):
            keys = [{"accessKey": "AK", "secretKey": KEYS["AK"]}, *more]
            with open(path + ".new", "w") as file:
                json.dump({"keys": keys}, file)
            os.rename(path + ".new", path)
        reader = {"accessKey": "RO", "secretKey": "reader-secret", "access": "readOnly", "bucket": "results",
                  "prefix": "acme/"}
        write()
        store = Store(program, os.path.join(directory, "store"), "--credentials-file", path, "--bucket", "results",
                      "--bucket", "weir")
        try:
            s3, tenant = store.client(), store.client("RO", "reader-secret")
            for bucket, key in [("results", "acme/x"), ("results", "acme2/x"), ("weir", "acme/x")]:
                s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
            refused("InvalidAccessKeyId", tenant.get_object, Bucket="results", Key="acme/x")
            write(reader)
            deadline = time.time() + 15
            while True:
                try:
                    assert tenant.get_object(Bucket="results", Key="acme/x")["Body"].read() == b"acme/x"
                    break
                except botocore.exceptions.ClientError:
                    assert time.time() < deadline, "the credentials are not read again"
                    time.sleep(0.2)
            assert [item["Key"] for item in tenant.list_objects_v2(Bucket="results", Prefix="acme/")["Contents"]] == ["acme/x"]
            assert [item["Name"] for item in tenant.list_buckets()["Buckets"]] == ["results"]
            denied = lambda call, **arguments: refused(["AccessDenied", "403"], call, **arguments)
            denied(tenant.list_objects_v2, Bucket="results")
            denied(tenant.list_objects, Bucket="results", Prefix="acme")
            denied(tenant.get_object, Bucket="results", Key="acme2/x")
            denied(tenant.head_object, Bucket="weir", Key="acme/x")
            denied(tenant.put_object, Bucket="results", Key="acme/y", Body=b"")
            denied(tenant.delete_object, Bucket="results", Key="acme/x")
            denied(tenant.delete_objects, Bucket="results", Delete={"Objects": [{"Key": "acme/x"}]})
            denied(tenant.copy_object, Bucket="results", Key="acme/y", CopySource="weir/acme/x")
            denied(tenant.create_bucket, Bucket="mine")
            denied(tenant.create_multipart_upload, Bucket="results", Key="acme/y")
            writer = {"accessKey": "RW", "secretKey": "writer-secret", "bucket": "results", "prefix": "acme/"}
            write(reader, writer)
            deadline = time.time() + 15
            client = store.client("RW", "writer-secret")
            while True:
                try:
                    client.put_object(Bucket="results", Key="acme/y", Body=b"")
                    break
                except botocore.exceptions.ClientError:
                    assert time.time() < deadline
                    time.sleep(0.2)
            denied(client.copy_object, Bucket="results", Key="acme/z", CopySource="weir/acme/x")
            denied(client.delete_objects, Bucket="results",
                   Delete={"Objects": [{"Key": "acme/y"}, {"Key": "acme2/x"}]})
            client.copy_object(Bucket="results", Key="acme/z", CopySource="results/acme/x")
        finally:
            store.kill()


def own_test_kill_9_under_load_shows_no_half_object_and_loses_no_answered_one(program):
    sizes = [0, 10, 1000, 100_000, 3_000_000]
    with tempfile.TemporaryDirectory() as directory:
        answered, tried, lock = {}, {}, threading.Lock()
        for round in range(6):
            store = Store(program, directory, "--bucket", "weir")
            stop = threading.Event()

            def load(worker):
                s3 = store.client(retries={"max_attempts": 0})
                number = 0
                while not stop.is_set():
                    number += 1
                    key = f"r{round}/w{worker}/{number % 5}/k{number}"
                    if number % 4 == 0:
                        key = f"shared/{worker}"
                    body = os.urandom(random.choice(sizes))
                    digest = hashlib.sha256(body).digest()
                    with lock:
                        tried.setdefault(key, set()).add(digest)
                    try:
                        s3.put_object(Bucket="weir", Key=key, Body=body)
                        with lock:
                            answered[key] = digest
                            if key.startswith("shared"):
                                tried[key] = {digest}
                    except botocore.exceptions.BotoCoreError:
                        return
                    except botocore.exceptions.ClientError:
                        return
            workers = [threading.Thread(target=load, args=(worker,)) for worker in range(6)]
            [worker.start() for worker in workers]
            time.sleep(random.uniform(0.3, 1.2))
            store.kill()
            stop.set()
            [worker.join() for worker in workers]
        store = Store(program, directory)
        try:
            assert not os.listdir(os.path.join(directory, "staging")), "leftovers were not swept"
            s3 = store.client()
            seen = set()
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket="weir"):
                for item in page.get("Contents", []):
                    body = s3.get_object(Bucket="weir", Key=item["Key"])["Body"].read()
                    digest = hashlib.sha256(body).digest()
                    assert digest in tried[item["Key"]], f"{item['Key']} holds what nobody wrote"
                    assert len(body) == item["Size"]
                    if not item["Key"].startswith("shared"):
                        assert answered.get(item["Key"], digest) == digest
                    seen.add(item["Key"])
            lost = set(answered) - seen
            assert not lost, f"answered and lost: {lost}"
            assert len(answered) > 50, f"too little load: {len(answered)}"
            print(f"    {len(answered)} answered, {len(seen)} seen")
        finally:
            store.kill()


def own_test_a_multipart_upload_survives_kill_9(program):
    with tempfile.TemporaryDirectory() as directory:
        store = Store(program, directory, "--bucket", "weir")
        s3 = store.client()
        upload = s3.create_multipart_upload(Bucket="weir", Key="m")["UploadId"]
        body = os.urandom(5 << 20)
        one = s3.upload_part(Bucket="weir", Key="m", UploadId=upload, PartNumber=1, Body=body)["ETag"]
        store.kill()
        store = Store(program, directory)
        try:
            s3 = store.client()
            two = s3.upload_part(Bucket="weir", Key="m", UploadId=upload, PartNumber=2, Body=b"end")["ETag"]
            parts = [{"PartNumber": 1, "ETag": one}, {"PartNumber": 2, "ETag": two}]
            s3.complete_multipart_upload(Bucket="weir", Key="m", UploadId=upload, MultipartUpload={"Parts": parts})
            assert s3.get_object(Bucket="weir", Key="m")["Body"].read() == body + b"end"
        finally:
            store.kill()


def own_test_sigterm_lets_a_request_end_and_a_second_server_is_refused(program):
    with tempfile.TemporaryDirectory() as directory:
        store = Store(program, directory, "--bucket", "weir")
        second = subprocess.run([program, "store", "--dir", directory, "--listen", "127.0.0.1:0"], capture_output=True,
                                env=os.environ | {"WEIR_STORE_ACCESS_KEY": "a", "WEIR_STORE_SECRET_KEY": "12345678"})
        assert second.returncode == 1 and b"another process" in second.stderr, second.stderr
        url = store.client().generate_presigned_url("put_object", Params={"Bucket": "weir", "Key": "slow"}, ExpiresIn=60)
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=20)
        connection.putrequest("PUT", parts.path + "?" + parts.query)
        connection.putheader("Content-Length", "10")
        connection.putheader("Expect", "100-continue")
        connection.endheaders()
        # The server has read the head and asks for the body: the request is under way.
        going_on = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert connection.sock.recv(len(going_on), socket.MSG_WAITALL) == going_on
        connection.send(b"12345")
        store.process.send_signal(signal.SIGTERM)
        until("the server to take no more connections", lambda: not listens(parts))
        connection.send(b"67890")
        assert connection.getresponse().status == 200
        connection.close()
        assert store.process.wait(timeout=10) == 0
        missing = subprocess.run([program, "store", "--dir", directory], capture_output=True,
                                 env={k: v for k, v in os.environ.items() if not k.startswith("WEIR_STORE")})
        assert missing.returncode == 1 and b"no key pair" in missing.stderr, missing.stderr


def main():
    program, wanted = os.path.abspath(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    failed, done = [], 0

    def run(name, test, *arguments):
        nonlocal done
        begun = time.time()
        try:
            test(*arguments)
            print(f"ok    {name} ({time.time() - begun:.1f} s)", flush=True)
        except Exception:
            failed.append(name)
            print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)
        done += 1
    tests = [(name, test) for name, test in globals().items() if wanted in name]
    with tempfile.TemporaryDirectory() as directory:
        store = Store(program, directory)
        store.directory = directory
        try:
            for name, test in tests:
                if name.startswith("test_"):
                    s3, bucket = store.client(), f"b-{uuid.uuid4()}"
                    s3.create_bucket(Bucket=bucket)
                    run(name, test, store, s3, bucket)
        finally:
            store.kill()
    for name, test in tests:
        if name.startswith("own_test_"):
            run(name, test, program)
    print(f"{done - len(failed)} of {done} passed")
    sys.exit(bool(failed) or not done)


if __name__ == "__main__":
    main()
