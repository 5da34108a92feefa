// FETCH-STATUS and STATUS as bytes.

import NIOCore
import QuorumProtocol
import QuorumWire
import Testing

@Suite struct StatusMessageTests {
    private static var rebuild: ServerStatus.Rebuild {
        var rebuild = ServerStatus.Rebuild()
        (rebuild.phase, rebuild.slotsDone, rebuild.slotsAll) = (.healing, 15, 16)
        (rebuild.serversMissing, rebuild.openVersions) = (17, 18)
        return rebuild
    }

    private static func status(reasons count: Int) -> ServerStatus {
        ServerStatus(
            version: "1.2.3", epoch: 1, incarnation: 2, addressesVersion: 3, keysVersion: 4, accessVersion: 5,
            uptimeMilliseconds: 6, storage: .full, usedBytes: 7, freeBytes: 8, reservedBytes: 9, sessions: 10,
            requests: 11, lostParts: .max, wants: 12, failedWants: 13, serversToMeet: 19, rebuild: rebuild,
            scrubEndMilliseconds: 14, scrubNeedsMilliseconds: 20, certificateEndSeconds: 21, evidence: 22,
            refusals: Dictionary(uniqueKeysWithValues: (0..<count).map { ("reason \($0)", UInt64($0)) }),
            refusedConnections: ["unknown peer": 1])
    }

    private static let messages: [StatusMessage] = [.fetch, .status(status(reasons: 0)), .status(status(reasons: 3))]

    private static func frame(_ message: StatusMessage) -> ByteBuffer { message.encoded(request: 77).headBuffer }

    @Test("It reads back as it was written, and is told from other messages by its first byte")
    func readsBack() throws {
        for message in Self.messages {
            #expect(StatusMessage.isOne(Self.frame(message)) && !ListMessage.isOne(Self.frame(message)))
            let decoded = try StatusMessage.decode(Self.frame(message))
            #expect(decoded.number == 77 && decoded.message == message)
        }
        for message in [ListMessage.fetch(.keys, known: 1), .offer([]), .list([])] {
            #expect(!StatusMessage.isOne(message.encoded(request: 1).headBuffer))
        }
        #expect(!StatusMessage.isOne(ByteBuffer()))
    }

    @Test("A message that is cut short or too long is refused, and so is a state that does not exist")
    func strict() throws {
        for message in Self.messages {
            let bytes = Array(buffer: Self.frame(message))
            for count in 0..<bytes.count {
                #expect(throws: WireError.self) { try StatusMessage.decode(ByteBuffer(bytes: bytes.prefix(count))) }
            }
            #expect(throws: WireError.self) { try StatusMessage.decode(ByteBuffer(bytes: bytes + [0])) }
        }
        var bytes = Array(buffer: Self.frame(Self.messages[1]))
        // Behind the preamble, the version with its count, and six numbers.
        let place = WireLimits.preambleSizeBytes + 4 + 5 + 6 * 8
        #expect(bytes[place] == ServerStatus.StorageState.full.rawValue)
        bytes[place] = 3
        #expect(throws: WireError.self) { try StatusMessage.decode(ByteBuffer(bytes: bytes)) }
    }

    @Test("However many reasons there are, the message stays small")
    func bounded() throws {
        let frame = Self.frame(.status(Self.status(reasons: 300)))
        #expect(frame.readableBytes < 16 << 10)
        guard case .status(let status) = try StatusMessage.decode(frame).message else {
            Issue.record("no status")
            return
        }
        #expect(status.refusals.count == StatusMessage.reasonCountMax)
    }

    @Test("No request and no reply is read from it")
    func isNoOther() throws {
        let parameters = ClusterParameters(
            Configuration(cluster: ClusterID(high: 1, low: 2), quorums: try QuorumConfiguration(faults: 1)))
        for message in Self.messages {
            #expect(throws: WireError.self) { try Request.decode(Self.frame(message), parameters: parameters) }
            #expect(throws: WireError.self) { try Reply.decode(Self.frame(message), parameters: parameters) }
        }
    }
}
