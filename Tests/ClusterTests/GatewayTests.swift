// The gateway as people run it: made and started by commands, used by clients that know nothing of this store, while a
// server of the cluster is gone.

import Foundation
import Glibc
import QuorumProtocol
import Testing

extension Clusters {
    @Suite("The gateway", .serialized) struct Gateways {
        private func withOwnCluster(_ body: (TestGateway, String) async throws -> Void) async throws {
            try await withCluster { cluster in
                try await withGateway(cluster) { try await body($0, cluster.directory) }
            }
        }

        private static let script = """
            import boto3, hashlib, io, os, sys, urllib.request
            from boto3.s3.transfer import TransferConfig
            from botocore.config import Config
            from botocore.exceptions import ClientError
            s3 = boto3.client('s3', config=Config(signature_version='s3v4', retries={'max_attempts': 1}))
            def code(call):
                try: call()
                except ClientError as e: return e.response['Error']['Code']
            bucket = 'boto'
            s3.create_bucket(Bucket=bucket)
            assert [b['Name'] for b in s3.list_buckets()['Buckets']] == [bucket]
            s3.put_object(Bucket=bucket, Key='a b/ü+%.txt', Body=b'hello', ContentType='text/plain', Metadata={'Foo': 'Bar'})
            got = s3.get_object(Bucket=bucket, Key='a b/ü+%.txt')
            assert got['Body'].read() == b'hello' and got['Metadata'] == {'foo': 'Bar'} and got['ContentType'] == 'text/plain'
            big = os.urandom(20 << 20)
            s3.upload_fileobj(io.BytesIO(big), bucket, 'big',
                Config=TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=8 << 20))
            head = s3.head_object(Bucket=bucket, Key='big', ChecksumMode='ENABLED')
            assert head['ETag'].endswith('-3"') and head['ChecksumType'] == 'COMPOSITE', head
            target = io.BytesIO()
            s3.download_fileobj(bucket, 'big', target)
            assert target.getvalue() == big
            part = s3.get_object(Bucket=bucket, Key='big', PartNumber=2)
            assert part['Body'].read() == big[8 << 20:16 << 20] and part['PartsCount'] == 3
            assert s3.get_object(Bucket=bucket, Key='big', Range='bytes=-20')['Body'].read() == big[-20:]
            s3.copy_object(Bucket=bucket, Key='copy', CopySource={'Bucket': bucket, 'Key': 'big'})
            assert s3.head_object(Bucket=bucket, Key='copy')['ETag'] == '"%s"' % hashlib.md5(big).hexdigest()
            assert code(lambda: s3.put_object(Bucket=bucket, Key='copy', Body=b'', IfNoneMatch='*')) == 'PreconditionFailed'
            for number in range(25): s3.put_object(Bucket=bucket, Key='list/%03d' % number, Body=b'x')
            pages = s3.get_paginator('list_objects_v2').paginate(Bucket=bucket, Prefix='list/', PaginationConfig={'PageSize': 10})
            assert [o['Key'] for p in pages for o in p['Contents']] == ['list/%03d' % n for n in range(25)]
            url = s3.generate_presigned_url('put_object', Params={'Bucket': bucket, 'Key': 'signed'}, ExpiresIn=60)
            urllib.request.urlopen(urllib.request.Request(url, data=b'presigned', method='PUT')).read()
            url = s3.generate_presigned_url('get_object', Params={'Bucket': bucket, 'Key': 'signed'}, ExpiresIn=60)
            assert urllib.request.urlopen(url).read() == b'presigned'
            assert code(lambda: s3.get_object(Bucket=bucket, Key='none')) == 'NoSuchKey'
            assert code(lambda: s3.get_bucket_cors(Bucket=bucket)) == 'NoSuchCORSConfiguration'
            keys = [o['Key'] for o in s3.list_objects_v2(Bucket=bucket)['Contents']]
            assert code(lambda: s3.delete_bucket(Bucket=bucket)) == 'BucketNotEmpty'
            s3.delete_objects(Bucket=bucket, Delete={'Objects': [{'Key': k} for k in keys]})
            s3.delete_bucket(Bucket=bucket)
            print('done')
            """

        @Test(
            "serves boto3 while a server is gone", .timeLimit(.minutes(5)),
            .installed(S3Client.boto3))
        func boto3() async throws {
            try await withOwnCluster { gateway, directory in
                gateway.cluster.kill(NodeID(0))
                let result = try await gateway.run(
                    [try #require(S3Client.find("python3")), "-c", Self.script], in: directory)
                #expect(result.end == .exit(0) && result.output.contains("done"), "\(result)")
                let log = try File.text(gateway.accessLog)
                let lines = try log.split(separator: "\n").map {
                    try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
                }
                #expect(lines.count > 50 && lines.contains { $0?["error"] as? String == "PreconditionFailed" })
                #expect(!log.contains(gateway.secretKey) && !log.contains("X-Amz-Signature=0"))
                let metrics = try HTTPAnswer.ask(
                    gateway.metricsPort, "GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
                let uploads = "solidus_s3_requests_total{operation=\"UploadPart\",status=\"200\"} 3"
                #expect(metrics?.body.contains(uploads) ?? false, "\(metrics?.body ?? "")")
            }
        }

        @Test(
            "serves the AWS command line, which finds its files again after a server's death", .timeLimit(.minutes(5)),
            .installed(S3Client.aws))
        func awscli() async throws {
            try await withOwnCluster { gateway, directory in
                let aws = try #require(S3Client.find("aws"))
                func run(_ words: String...) async throws -> CommandResult {
                    let result = try await gateway.run([aws, "s3"] + words, in: directory)
                    #expect(result.end == .exit(0), "\(words): \(result)")
                    return result
                }
                let (source, target) = (directory + "/source", directory + "/target")
                try FileManager.default.createDirectory(atPath: source + "/d", withIntermediateDirectories: true)
                try File.write(source + "/big", SeededBytes.make("aws", 20 << 20).array)
                try File.write(source + "/d/a b+c", Array("small".utf8))
                try File.write(source + "/empty", [])
                _ = try await run("mb", "s3://files")
                _ = try await run("sync", source, "s3://files/pre", "--no-progress")
                gateway.cluster.kill(NodeID(2))
                #expect(try await run("ls", "s3://files", "--recursive").output.contains("20971520 pre/big"))
                _ = try await run("sync", "s3://files/pre", target, "--no-progress")
                for name in ["big", "d/a b+c", "empty"] {
                    #expect(try File.read("\(target)/\(name)") == File.read("\(source)/\(name)"), "\(name)")
                }
                // What is there is not sent again.
                #expect(try await run("sync", source, "s3://files/pre", "--no-progress").output.isEmpty)
                _ = try await run("mv", "s3://files/pre/big", "s3://files/moved", "--no-progress")
                _ = try await run("rm", "s3://files", "--recursive", "--quiet")
                _ = try await run("rb", "s3://files")
            }
        }

        @Test("is made, gets keys and loses them by commands", .timeLimit(.minutes(3)))
        func commands() async throws {
            try await withCluster { cluster in
                let directory = cluster.directory
                func run(_ words: String...) async throws -> CommandResult {
                    try await cluster.run(["gateway"] + words + ["--cluster", directory])
                }
                let without = try await run("key", "list")
                #expect(without.end == .exit(6) && without.output.contains("gateway init"), "\(without)")
                #expect(try await cluster.run(["gateway", "init", directory, "one"]).end == .exit(0))
                let added = try await run("key", "add", "backup", "--bucket", "photos:read,list", "--json")
                let key = try #require(
                    try JSONSerialization.jsonObject(with: Data(added.output.utf8)) as? [String: Any])
                let accessKey = try #require(key["access_key"] as? String)
                let secret = try #require(key["secret_key"] as? String)
                let list = try await run("key", "list")
                #expect(list.output.contains("\(accessKey)  backup  photos:read,list") && !list.output.contains(secret))
                // Nothing of it is on a disk as it is.
                for server in cluster.servers {
                    let store = "\(cluster.home(server))/store"
                    for case let name as String in FileManager.default.enumerator(atPath: store)! {
                        guard let bytes = try? File.read("\(store)/\(name)") else { continue }
                        #expect(!String(decoding: bytes, as: UTF8.self).contains(secret), "\(name)")
                    }
                }
                // A second gateway has the first one's key.
                let second = try await cluster.run(["gateway", "init", directory, "two"])
                #expect(
                    second.end == .exit(0) && second.output.contains("conditional writes have to be off"), "\(second)")
                #expect(try await run("key", "list").end == .exit(6), "which of two was not said")
                #expect(try await run("key", "list", "--name", "two").output == list.output)
                // Who is no administrator of every bucket sees nothing.
                #expect(
                    try await cluster.run([
                        "gateway", "bucket", "photos", "--anonymous", "read", "--cluster", directory, "--name", "one",
                    ]).end == .exit(3))
                try await cluster.makeBucket("photos")
                #expect(try await run("bucket", "photos", "--anonymous", "read", "--name", "one").end == .exit(0))
                #expect(try await run("key", "remove", accessKey, "--name", "two").end == .exit(0))
                #expect(try await run("key", "remove", accessKey, "--name", "one").end == .exit(3))
                #expect(try await run("key", "list", "--name", "one").output == "no access keys\n")
                #expect(try await run("key", "add", "a b", "--name", "one").end != .exit(0))
                // Whoever may read or change the shared key may read every secret.
                chmod("\(directory)/clients/one/gateway-key", 0o644)
                let open = try await run("key", "list", "--name", "one")
                #expect(open.end == .exit(6) && open.output.contains("chmod"), "\(open)")
            }
        }
    }
}
