"""What the tests of the gateway ask of boto3 and minio, as if each were a command line:

    sdk.py boto3|minio VERB ARGUMENT...

Both are used as they come; keys and addresses are in the environment.
"""

import datetime
import os
import sys
from urllib.parse import urlsplit

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]


class Boto3:
    def __init__(self):
        import boto3
        from botocore.config import Config

        self.s3 = boto3.client("s3")
        # By default boto3 presigns with signature version 2.
        self.presigner = boto3.client("s3", config=Config(signature_version="s3v4"))

    def make_bucket(self, bucket):
        self.s3.create_bucket(Bucket=bucket)

    def put(self, file, bucket, key):
        self.s3.upload_file(file, bucket, key)

    def get(self, bucket, key, file):
        self.s3.download_file(bucket, key, file)

    def keys(self, bucket, prefix=""):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def copy(self, bucket, source, target):
        self.s3.copy({"Bucket": bucket, "Key": source}, bucket, target)

    def delete(self, bucket, keys):
        for start in range(0, len(keys), 1000):
            objects = [{"Key": key} for key in keys[start:start + 1000]]
            answer = self.s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
            assert not answer.get("Errors"), answer

    def presign(self, bucket, key):
        return self.presigner.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=60)

    def remove_bucket(self, bucket):
        self.s3.delete_bucket(Bucket=bucket)


class MinIO:
    def __init__(self):
        from minio import Minio

        address = urlsplit(ENDPOINT)
        self.s3 = Minio(
            address.netloc, access_key=os.environ["AWS_ACCESS_KEY_ID"], secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
            secure=address.scheme == "https")

    def make_bucket(self, bucket):
        assert not self.s3.bucket_exists(bucket)
        self.s3.make_bucket(bucket)

    def put(self, file, bucket, key):
        self.s3.fput_object(bucket, key, file)

    def get(self, bucket, key, file):
        self.s3.fget_object(bucket, key, file)

    def keys(self, bucket, prefix=""):
        return [found.object_name for found in self.s3.list_objects(bucket, prefix=prefix, recursive=True)]

    def copy(self, bucket, source, target):
        from minio.commonconfig import CopySource

        self.s3.copy_object(bucket, target, CopySource(bucket, source))

    def delete(self, bucket, keys):
        from minio.deleteobjects import DeleteObject

        errors = list(self.s3.remove_objects(bucket, [DeleteObject(key) for key in keys]))
        assert not errors, errors

    def presign(self, bucket, key):
        return self.s3.presigned_get_object(bucket, key, expires=datetime.timedelta(minutes=1))

    def remove_bucket(self, bucket):
        self.s3.remove_bucket(bucket)


def put_folder(client, folder, bucket, prefix):
    for directory, _, names in os.walk(folder):
        for name in names:
            file = os.path.join(directory, name)
            client.put(file, bucket, prefix + "/" + os.path.relpath(file, folder))


def get_folder(client, bucket, prefix, folder):
    for key in client.keys(bucket, prefix + "/"):
        file = os.path.join(folder, key.removeprefix(prefix + "/"))
        os.makedirs(os.path.dirname(file), exist_ok=True)
        client.get(bucket, key, file)


def move(client, bucket, source, target):
    client.copy(bucket, source, target)
    client.delete(bucket, [source])


def clear(client, bucket):
    client.delete(bucket, client.keys(bucket))


def main(kind, verb, *arguments):
    client = {"boto3": Boto3, "minio": MinIO}[kind]()
    own = {"put-folder": put_folder, "get-folder": get_folder, "move": move, "clear": clear}
    if verb in own:
        own[verb](client, *arguments)
    elif verb == "list":
        print("\n".join(client.keys(*arguments)))
    elif verb == "presign":
        print(client.presign(*arguments))
    else:
        getattr(client, verb.replace("-", "_"))(*arguments)


main(*sys.argv[1:])
