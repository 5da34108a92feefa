// What is encoded is decoded to the same, and two encodings are pinned byte by byte.

import Crypto
import ErasureCode
import Fingerprint
import NIOCore
import QuorumProtocol
import QuorumWire
import Testing

@Suite("A message's encoding")
struct RoundTripTests {
    @Test("decodes to the message and the number that were encoded", arguments: Sample.messages, [1, 2, UInt64.max])
    func roundTrip(message: Message, number: UInt64) throws {
        let frame = message.frame(number: number)
        let (decodedNumber, decoded) = try message.direction.decode(frame)
        #expect(decodedNumber == number)
        #expect(decoded == message)
        #expect(decoded.frame(number: number) == frame)
        // Sealed descriptors are equal when their digests are: their contents are compared here.
        #expect(decoded.descriptors.map(\.descriptor) == message.descriptors.map(\.descriptor))
    }

    @Test("decodes from the middle of a larger buffer without touching what is around it", arguments: Sample.messages)
    func insideLargerBuffer(message: Message) throws {
        let frame = message.frame(number: 1)
        var buffer = ByteBuffer(bytes: [0xff, 0xfe] + frame + [0xfd, 0xfc])
        buffer.moveReaderIndex(forwardBy: 2)
        buffer.moveWriterIndex(to: 2 + frame.count)
        #expect(try message.direction.decode(buffer).message == message)
    }

    @Test("has samples of exactly the cases that they stand for")
    func samplesAreOfTheirKind() {
        for kind in RequestKind.allCases {
            #expect(!kind.samples.isEmpty && kind.samples.allSatisfy { RequestKind($0) == kind })
        }
        for kind in ReplyKind.allCases {
            #expect(!kind.samples.isEmpty && kind.samples.allSatisfy { ReplyKind($0) == kind })
        }
        for kind in RefusalKind.allCases {
            #expect(!kind.samples.isEmpty && kind.samples.allSatisfy { $0.kind == kind })
        }
        for kind in PrincipalKind.allCases { #expect(PrincipalKind(kind.sample) == kind) }
        for kind in FragmentErrorKind.allCases { #expect(FragmentErrorKind(kind.sample) == kind) }
        for kind in CertificateErrorKind.allCases { #expect(CertificateErrorKind(kind.sample) == kind) }
    }

    @Test("differs between any two messages")
    func injective() {
        #expect(Set(Sample.messages.map { $0.frame(number: 1) }).count == Sample.messages.count)
    }

    @Test("of one READ is these bytes")
    func knownRead() {
        let read = Message.request(.read(Read(key: Sample.objectKey("b/k"), portion: .fragments)))
        #expect(
            hexadecimal(read.frame(number: 0x0102_0304_0506_0708)) == "04010203040506070800000015"
                + "000000000000000300000007" + "00000003622f6b0002")
    }

    @Test("of one PREPARE has route, key, timestamp and position in this order")
    func knownPrepare() {
        let timestamp = Timestamp(counter: 5, writer: Sample.writer, digest: Digest256.sha256(Array("abc".utf8)))
        let prepare = Prepare(
            key: Sample.objectKey("b/k"), timestamp: timestamp, position: 2, descriptor: Sample.tombstone,
            fragments: [])
        let frame = Message.request(.prepare(prepare), to: Route(epoch: 1, group: GroupID(0x0102_0304)))
            .frame(number: 1)
        let head =
            "0000000000000001" + "01020304" + "00000003622f6b" + "0000000000000005"
            + "0102030405060708090a0b0c0d0e0f10"
            + "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" + "02"
        #expect(hexadecimal(Array(frame.dropFirst(WireLimits.preambleSizeBytes))).hasPrefix(head))
        let descriptor = Sample.tombstone.bytes
        let rest = encoded { $0.append(counted: descriptor) } + [0, 0, 0]
        #expect(Array(frame.suffix(rest.count)) == rest)
        #expect(frame.count == WireLimits.preambleSizeBytes + head.utf8.count / 2 + rest.count)
    }

    @Test("of one VERSION names the position of what is held after its timestamp")
    func knownVersion() {
        let parts = HeldParts(
            timestamp: Timestamp(counter: 5, writer: Sample.writer, digest: Digest256.sha256(Array("abc".utf8))),
            position: 3, descriptor: Sample.tombstone, fragments: nil)
        let frame = Message.reply(.version(CommittedClaim(certificate: nil), parts)).frame(number: 1)
        let head =
            "00" + "00" + "01" + "0000000000000005" + "0102030405060708090a0b0c0d0e0f10"
            + "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" + "03"
        #expect(hexadecimal(Array(frame.dropFirst(WireLimits.preambleSizeBytes))).hasPrefix(head))
    }

    @Test(
        "of one refusal is these bytes",
        arguments: [
            (.foreignGroup(GroupID(0x0102_0304), expected: GroupID(5)), "001300" + "0102030400000005"),
            (.unknownEpoch(4, newest: 3), "001401" + "00000000000000040000000000000003"),
            (.foreignPosition(7, expected: 2), "001502" + "0702"),
            (.notEntitled(.server(NodeID(0x0102))), "000100" + "00010102"),
            (.notEntitled(.server(NodeID(0x0102)), lacksAll: [.read, .write]), "000100" + "03010102"),
            (.invalidCertificate(.unknownServer(NodeID(0x0102))), "000a00" + "030102"),
            (.invalidCertificate(.unknownEpoch(4)), "000a01" + "070000000000000004"),
            (.invalidCertificate(.foreignGroup(GroupID(1), expected: GroupID(2))), "000a00" + "080000000100000002"),
            (.invalidCertificate(.unknownIncarnation(NodeID(1), Incarnation(2))), "000a01" + "0900010000000000000002"),
        ] as [(Refusal, String)])
    func knownRefusal(refusal: Refusal, head: String) {
        let frame = Message.reply(.refused(refusal)).frame(number: 1)
        #expect(hexadecimal(Array(frame.dropFirst(WireLimits.preambleSizeBytes))) == head)
    }

    @Test("of one COMMITTED is these bytes", arguments: [false, true])
    func knownCommitted(needsDescriptor: Bool) {
        let timestamp = Timestamp(counter: 5, writer: Sample.writer, digest: Digest256.sha256(Array("abc".utf8)))
        #expect(
            hexadecimal(Message.reply(.committed(timestamp, needsDescriptor: needsDescriptor)).frame(number: 42))
                == "83000000000000002a00000039" + "0000000000000005" + "0102030405060708090a0b0c0d0e0f10"
                + "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" + (needsDescriptor ? "01" : "00"))
    }

    @Test("carries a certificate whose signatures still verify")
    func certificateSurvives() throws {
        let keys = cluster.quorums.positions.map { _ in P256.Signing.PrivateKey() }
        let timestamp = Sample.timestamp(1, of: Sample.value)
        let scope = cluster.placement(of: Sample.key).scope
        let statements = try [0, 1, 3].map { (number: UInt16) in
            let signer = StatementSigner(
                node: NodeID(number), incarnation: Incarnation(1), mode: cluster.mode, key: .p256(keys[Int(number)]))
            func statement(_ key: ObjectKey) -> Statement {
                Statement(
                    scope: scope, node: NodeID(number), incarnation: Incarnation(1), key: key, timestamp: timestamp,
                    claim: .stored)
            }
            return try signer.sign([statement(Sample.longKey), statement(Sample.key), statement(Sample.longKey)])[1]
        }
        let certificate = Sample.certificate(timestamp, statements)
        let sent = Reply.certificate(CommittedClaim(certificate: certificate), certificate)
        let frame = Message.reply(sent).frame(number: 1)
        let (_, reply) = try Reply.decode(ByteBuffer(bytes: frame), parameters: cluster)
        guard case .certificate(let claim, let received?) = reply else {
            Issue.record("decoded \(reply)")
            return
        }
        let verifier = StatementVerifier(
            history: cluster.history, keys: StatementKeys(ofFirstLives: keys.map { .p256(KnownKey($0.publicKey)) }))
        #expect(claim.names(received))
        #expect(try verifier.verify(received, key: Sample.key).certificate == certificate)
    }

    @Test("of a reason that this release does not know keeps number, traits and evidence")
    func unknownReason() throws {
        for evidence in [[], [7], [UInt8](repeating: 9, count: 256)] {
            let some: [RefusalTraits] = [
                [], .transient, [.transient, .answersPreparationOnly], RefusalTraits(rawValue: 64),
            ]
            for traits in some {
                let refusal = Refusal.other(code: 999, traits: traits, evidence: evidence)
                let frame = Message.reply(.refused(refusal)).frame(number: 1)
                let (_, decoded) = try Direction.reply.decode(frame)
                #expect(decoded == .reply(.refused(refusal)))
                #expect(refusal.isTransient == traits.contains(.transient) && refusal.kind == nil)
            }
        }
    }

    @Test("of one BUSY refusal is these bytes")
    func knownRefusal() {
        #expect(hexadecimal(Message.reply(.refused(.busy)).frame(number: 3)) == "85000000000000000300000003000d01")
    }

    @Test("states a count beyond 32 bits as the largest that fits")
    func clampedCount() throws {
        let refusal = Refusal.tooManyStripes(got: Int.max, limit: 1)
        let (_, decoded) = try Direction.reply.decode(Message.reply(.refused(refusal)).frame(number: 1))
        #expect(decoded == .reply(.refused(.tooManyStripes(got: Int(UInt32.max), limit: 1))))
    }
}
