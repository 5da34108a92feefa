// Who may do what, and what is answered to who may not.

import Foundation
import QuorumClient
import Testing

@testable import S3Gateway

extension GatewayTests {
    @Suite("access") struct AccessTests {
        private func bucket(_ name: String) async throws -> S3Caller {
            let caller = try OneGateway.current.caller
            #expect(try await caller.call("PUT", "/\(name)").status == 200)
            return caller
        }

        @Test("is by the rights of the access key")
        func rights() async throws {
            let s3 = try await bucket("rights")
            try await s3.put("/rights/k", "x")
            let reader = try await OneGateway.current.caller("rights:read")
            let lister = try await OneGateway.current.caller("rights:list")
            let writer = try await OneGateway.current.caller("rights:write,read,list", "other:read")
            #expect(try await reader.call("GET", "/rights/k").text == "x")
            // Who may not list is not told what is there.
            #expect(try await reader.call("GET", "/rights/none").code == "AccessDenied")
            #expect(try await writer.call("GET", "/rights/none").code == "NoSuchKey")
            for (method, target) in [
                ("PUT", "/rights/k"), ("DELETE", "/rights/k"), ("GET", "/rights"), ("DELETE", "/rights"),
                ("POST", "/rights/k?uploads"), ("PUT", "/other"), ("GET", "/forbidden/k"), ("PUT", "/rights?cors"),
            ] {
                let answer = try await reader.call(method, target)
                #expect(answer.status == 403 && answer.code == "AccessDenied", "\(method) \(target) \(answer)")
            }
            #expect(try await lister.call("GET", "/rights?list-type=2").element("Key") == "k")
            #expect(try await lister.call("GET", "/rights/k").status == 403)
            #expect(try await lister.call("HEAD", "/rights").status == 200)
            #expect(try await lister.call("HEAD", "/forbidden").status == 403)
            #expect(try await writer.put("/rights/new", "y").status == 200)
            // A copy takes the right to read its source.
            #expect(try await writer.call("PUT", "/rights/c", [("x-amz-copy-source", "forbidden/k")]).status == 403)
            let buckets = try await reader.call("GET", "/")
            #expect(buckets.elements("Name") == ["rights"] && buckets.text.contains("<Owner>"))
            try await OneGateway.current.remove(reader)
        }

        @Test("is nobody's without a signature, but where a bucket says so")
        func anonymous() async throws {
            let s3 = try await bucket("open")
            try await s3.put("/open/k", "x")
            for (method, target) in [
                ("GET", "/"), ("GET", "/open"), ("GET", "/open/k"), ("PUT", "/open/k"), ("GET", "/none"),
            ] {
                let answer = try await s3.anonymous(method, target)
                #expect(answer.status == 403 && answer.code == "AccessDenied", "\(method) \(target)")
            }
            _ = try await bucket("readable")
            try await s3.put("/readable/k", "x")
            try await OneGateway.current.setAnonymous("read", on: "readable")
            #expect(try await s3.anonymous("GET", "/readable/k").text == "x")
            #expect(try await s3.anonymous("GET", "/readable/none").code == "AccessDenied")
            #expect(try await s3.anonymous("GET", "/readable").status == 403)
            #expect(try await s3.anonymous("DELETE", "/readable/k").status == 403)
            #expect(try await s3.anonymous("GET", "/readable/k?response-content-type=a").code == "InvalidRequest")
            _ = try await bucket("listable")
            try await s3.put("/listable/k", "x")
            try await OneGateway.current.setAnonymous("read,list", on: "listable")
            #expect(try await s3.anonymous("GET", "/listable").element("Key") == "k")
            #expect(try await s3.anonymous("GET", "/listable/none").code == "NoSuchKey")
            // A key that there is none of is nobody, also there.
            let unknown = S3Caller(port: s3.port, credential: try OneGateway.current.unknown())
            let answer = try await unknown.call("GET", "/listable/k")
            #expect(answer.status == 403 && answer.code == "InvalidAccessKeyId")
        }

        @Test("is refused to requests that were changed, in a header, the target or the body")
        func changed() async throws {
            let s3 = try await bucket("changed")
            try await s3.put("/changed/k", "before")
            let request = try s3.request("PUT", "/changed/k", [("x-amz-meta-a", "b")], .signed(Array("after".utf8)))
            let text = String(decoding: request, as: UTF8.self)
            for (part, other) in [
                ("/changed/k", "/changed/l"), ("x-amz-meta-a: b", "x-amz-meta-a: c"), ("after", "aftex"),
                ("us-east-1", "us-east-2"), ("Signature=", "Signature=0"), ("SignedHeaders=host;", "SignedHeaders="),
                ("x-amz-meta-a: b\r\n", ""), ("host: ", "host: x"),
                ("x-amz-content-sha256: ", "x-amz-content-sha256: 0"),
                ("Credential=", "Credential=X"), ("PUT ", "POST "),
                ("x-amz-meta-a: b", "x-amz-meta-a: b\r\nx-amz-meta-c: d"),
                ("x-amz-meta-a: b", "x-amz-meta-a: b\r\nx-amz-copy-source: changed/k"),
                ("x-amz-meta-a: b", "x-amz-meta-a: b\r\nx-amz-meta-a: c"),
            ] {
                #expect(text.contains(part), "\(part)")
                let answer = try await s3.send(Array(text.replacing(part, with: other, maxReplacements: 1).utf8))
                #expect((400..<500).contains(answer.status), "\(part) -> \(other): \(answer)")
            }
            #expect(try await s3.call("GET", "/changed/k").text == "before")
            #expect(try await s3.call("GET", "/changed/l").status == 404)
            #expect(try await s3.send(request).status == 200)
            let bare = try await s3.send(
                Array(text.replacing("x-amz-content-sha256", with: "x-other", maxReplacements: 1).utf8))
            #expect(bare.status == 400 || bare.status == 403)
        }

        @Test("by presigned requests is for what they name, until they expire")
        func presigned() async throws {
            let s3 = try await bucket("presigned")
            try await s3.put("/presigned/a%20b", "x")
            let target = try s3.presigned("GET", "/presigned/a%20b?response-content-type=a%2Fb")
            let got = try await s3.anonymous("GET", target)
            #expect(got.text == "x" && got["content-type"] == "a/b", "\(got)")
            #expect(try await s3.anonymous("HEAD", target).status == 403)
            #expect(try await s3.anonymous("GET", target, [("x-amz-meta-a", "b")]).code == "AccessDenied")
            let old = try s3.presigned("GET", "/presigned/a%20b", expires: "1", date: Dates.basic(Dates.now() - 60))
            let expired = try await s3.anonymous("GET", old)
            #expect(expired.status == 403 && expired.element("Expires") != nil && expired.element("ServerTime") != nil)
            let put = try s3.presigned("PUT", "/presigned/put", signedHeaders: [("content-type", "c/d")])
            #expect(try await s3.anonymous("PUT", put, [("content-length", "0")]).code == "SignatureDoesNotMatch")
            let stored = try await s3.anonymous("PUT", put, [("content-length", "0"), ("content-type", "c/d")])
            #expect(stored.status == 200)
            #expect(try await s3.call("HEAD", "/presigned/put")["content-type"] == "c/d")
        }

        @Test("by keys that nobody made is refused without a look-up")
        func madeUp() throws {
            let keys = AccessKeys(sharedKey: Array(0..<32))
            let key = keys.make()
            #expect(keys.isGenuine(key) && key.utf8.count == AccessKeys.sizeBytes)
            #expect(!AccessKeys(sharedKey: Array(1..<33)).isGenuine(key))
            for place in 0..<AccessKeys.sizeBytes {
                var other = Array(key.utf8)
                other[place] = other[place] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
                #expect(!keys.isGenuine(String(decoding: other, as: UTF8.self)), "\(place)")
            }
            for text in ["", "SOL", key + "A", String(key.dropLast()), key.lowercased(), "SOL/../../../../keys"] {
                #expect(!keys.isGenuine(text), "\(text)")
            }
        }

        @Test("of everybody ends with the bucket, and is not the next one's of that name")
        func anew() async throws {
            let s3 = try await bucket("anew")
            let gateway = try OneGateway.current
            try await gateway.setAnonymous("read,list", on: "anew")
            #expect(try await s3.anonymous("GET", "/anew").status == 200)
            // Beside the gateway, which does not see it.
            try await gateway.withClient { try await $0.deleteBucket("anew") }
            _ = try await bucket("anew")
            #expect(try await s3.anonymous("GET", "/anew").status == 403)

            // Through it.
            _ = try await bucket("anew-too")
            try await gateway.setAnonymous("read,list", on: "anew-too")
            #expect(try await s3.anonymous("GET", "/anew-too").status == 200)
            #expect(try await s3.call("DELETE", "/anew-too").status == 204)
            _ = try await bucket("anew-too")
            #expect(try await s3.anonymous("GET", "/anew-too").status == 403)
            await #expect(throws: ClientError.self) { try await gateway.setAnonymous("read", on: "nowhere") }
        }

        @Test("is asked for by browsers under a bucket's rules")
        func cors() async throws {
            let s3 = try await bucket("cors")
            try await s3.put("/cors/k", "x")
            #expect(try await s3.call("GET", "/cors?cors").code == "NoSuchCORSConfiguration")
            let preflight = [
                ("Origin", "http://a.example.com"), ("Access-Control-Request-Method", "PUT"),
                ("Access-Control-Request-Headers", "X-Amz-Date, content-type"),
            ]
            #expect(try await s3.anonymous("OPTIONS", "/cors/k", preflight).status == 403)
            let rules =
                "<CORSConfiguration><CORSRule><AllowedOrigin>http://*.example.com</AllowedOrigin>"
                + "<AllowedMethod>PUT</AllowedMethod><AllowedMethod>GET</AllowedMethod><AllowedHeader>*</AllowedHeader>"
                + "<ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>60</MaxAgeSeconds></CORSRule></CORSConfiguration>"
            #expect(try await s3.call("PUT", "/cors?cors", [], .signed(Array(rules.utf8))).status == 200)
            let allowed = try await s3.anonymous("OPTIONS", "/cors/k", preflight)
            #expect(
                allowed.status == 200 && allowed["access-control-allow-origin"] == "http://a.example.com", "\(allowed)")
            #expect(allowed["access-control-allow-methods"] == "PUT, GET" && allowed["access-control-max-age"] == "60")
            #expect(allowed["access-control-allow-headers"] == "X-Amz-Date, content-type" && allowed["vary"] != nil)
            #expect(
                try await s3.anonymous("OPTIONS", "/cors/k", [("Origin", "http://x.com"), preflight[1]]).status == 403)
            #expect(try await s3.anonymous("OPTIONS", "/cors/k").status == 400)
            for (target, status) in [("/cors/k", 200), ("/cors/none", 404)] {
                let got = try await s3.call("GET", target, [], unsigned: [preflight[0]])
                #expect(got.status == status && got["access-control-allow-origin"] == "http://a.example.com")
                #expect(got["access-control-expose-headers"] == "ETag" && got["vary"]?.contains("Origin") ?? false)
            }
            // Rules are of methods, also where a browser asked nothing before.
            let other = try await s3.call("DELETE", "/cors/none", [], unsigned: [preflight[0]])
            #expect(other.status == 204 && other["access-control-allow-origin"] == nil)
            let told = try await s3.call("GET", "/cors?cors")
            #expect(told.element("AllowedOrigin") == "http://*.example.com")
            for document in [
                "<CORSConfiguration/>", "x", rules.replacing(">PUT<", with: ">PATCH<"),
                rules.replacing("http://*", with: "*http://*"),
            ] {
                #expect(
                    try await s3.call("PUT", "/cors?cors", [], .signed(Array(document.utf8))).status == 400,
                    "\(document)")
            }
            #expect(try await s3.call("DELETE", "/cors?cors").status == 204)
            #expect(try await s3.call("GET", "/cors?cors").code == "NoSuchCORSConfiguration")
        }

        @Test("to buckets is as S3 has it, and what is not there is said not to be")
        func buckets() async throws {
            let s3 = try await bucket("buckets")
            #expect(try await s3.call("PUT", "/buckets").code == "BucketAlreadyOwnedByYou")
            for name in ["ab", "Abc", "a_b", "192.168.5.4", String(repeating: "a", count: 64)] {
                #expect(try await s3.call("PUT", "/\(name)").code == "InvalidBucketName", "\(name)")
            }
            func create(_ name: String, _ place: String) async throws -> WireResponse {
                let text =
                    "<CreateBucketConfiguration><LocationConstraint>\(place)</LocationConstraint></CreateBucketConfiguration>"
                return try await s3.call("PUT", "/\(name)", [], .signed(Array(text.utf8)))
            }
            #expect(try await create("here", "us-east-1").status == 200)
            #expect(try await create("there", "eu-west-1").code == "IllegalLocationConstraintException")
            let nowhere = try await create("there", "Nowhere")
            #expect(nowhere.code == "InvalidLocationConstraint" && nowhere.element("LocationConstraint") == "Nowhere")
            #expect(try await s3.call("GET", "/buckets?location").text.contains("<LocationConstraint"))
            #expect(try await s3.call("GET", "/").elements("Name").contains("buckets"))
            #expect(try await s3.call("GET", "/?max-buckets=-1").code == "InvalidArgument")
            let first = try await s3.call("GET", "/?max-buckets=1")
            let token = try #require(first.element("ContinuationToken"))
            let next = try await s3.call("GET", "/?max-buckets=1&continuation-token=\(token)")
            #expect(first.elements("Name") == [token] && next.elements("Name").count == 1)
            #expect(next.element("Name") ?? "" > token)
            #expect(try await s3.call("GET", "/?prefix=bucket").elements("Name") == ["buckets"])
            #expect(try await s3.call("HEAD", "/nobucket").status == 404)
            try await s3.put("/buckets/k", "x")
            #expect(try await s3.call("DELETE", "/buckets").code == "BucketNotEmpty")
            for (setting, code) in [
                ("policy", "NoSuchBucketPolicy"), ("policyStatus", "NoSuchBucketPolicy"),
                ("lifecycle", "NoSuchLifecycleConfiguration"),
                ("tagging", "NoSuchTagSet"), ("website", "NoSuchWebsiteConfiguration"),
                ("replication", "ReplicationConfigurationNotFoundError"),
                ("encryption", "ServerSideEncryptionConfigurationNotFoundError"),
                ("object-lock", "ObjectLockConfigurationNotFoundError"),
                ("ownershipControls", "OwnershipControlsNotFoundError"),
                ("publicAccessBlock", "NoSuchPublicAccessBlockConfiguration"),
                ("analytics", "NotImplemented"),
            ] {
                #expect(try await s3.call("GET", "/buckets?\(setting)").code == code, "\(setting)")
            }
            for (setting, root) in [
                ("acl", "AccessControlPolicy"), ("versioning", "VersioningConfiguration"),
                ("logging", "BucketLoggingStatus"),
                ("notification", "NotificationConfiguration"), ("accelerate", "AccelerateConfiguration"),
                ("requestPayment", "RequestPaymentConfiguration"),
            ] {
                let answer = try await s3.call("GET", "/buckets?\(setting)")
                #expect(answer.status == 200 && answer.text.contains("<\(root)"), "\(setting)")
            }
            for setting in ["versioning", "policy", "lifecycle", "tagging", "encryption", "website"] {
                let answer = try await s3.call("PUT", "/buckets?\(setting)", [], .signed(Array("<X/>".utf8)))
                #expect(answer.status == 501 && answer.code == "NotImplemented", "\(setting)")
            }
            #expect(try await s3.call("GET", "/buckets/k?tagging").text.contains("<TagSet></TagSet>"))
            #expect(try await s3.call("GET", "/buckets/k?acl").element("Permission") == "FULL_CONTROL")
            #expect(try await s3.call("GET", "/buckets/k?torrent").status == 501)
            #expect(try await s3.call("PUT", "/buckets?acl", [("x-amz-acl", "private")]).status == 200)
            #expect(try await s3.call("PUT", "/buckets?acl", [("x-amz-acl", "public-read")]).status == 501)
            #expect(try await s3.call("POST", "/buckets/k?select").status == 501)
            #expect(try await s3.call("POST", "/buckets/k").code == "MethodNotAllowed")
            _ = try await s3.call("DELETE", "/buckets/k")
            #expect(try await s3.call("DELETE", "/buckets").status == 204)
            #expect(try await s3.call("GET", "/buckets").code == "NoSuchBucket")
        }
    }
}
