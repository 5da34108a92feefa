// Refusals that list more pending versions than a message has room for.

import NIOCore
import QuorumProtocol
import QuorumWire
import Testing

@Suite("A refusal that lists pending versions")
struct PendingVersionListTests {
    @Test("lists no more of them than a count can say, in their order")
    func moreThanCountable() throws {
        let versions = (1...300).map { Sample.pending(Sample.tombstone, counter: $0) }
        try expectPrefix(of: versions, atLeast: 255)
    }

    @Test("lists no more of them than a head may hold, in their order")
    func moreThanHeadHolds() throws {
        let large = Sample.sealedValue(
            lengthBytes: 300, stripeSizeBytes: 1,
            metadata: ObjectMetadata(user: ["note": String(repeating: "x", count: 8000)]))
        let versions = (1...40).map { Sample.pending(large, counter: $0) }
        try expectPrefix(of: versions, atLeast: (WireLimits.headSizeBytesMax - 2) / (large.bytes.count + 256))
    }

    private func expectPrefix(of versions: [PendingVersion], atLeast countMin: Int) throws {
        let frame = Message.reply(.refused(.tooManyPending(versions))).frame(number: 1)
        let (_, reply) = try Reply.decode(ByteBuffer(bytes: frame), parameters: cluster)
        guard case .refused(.tooManyPending(let listed)) = reply else {
            Issue.record("decoded \(reply)")
            return
        }
        #expect(listed.count >= countMin && listed.count < versions.count)
        #expect(listed == Array(versions.prefix(listed.count)))
    }
}
