// The messages by which anybody who may connect asks a server how it is.

import NIOCore
import QuorumProtocol

/// How a server is, as it says itself. It is not signed, and nothing of the protocol goes by it.
package struct ServerStatus: Equatable, Sendable {
    /// What a server's store takes.
    package enum StorageState: UInt8, Sendable, CaseIterable {
        /// Everything.
        case writable = 0
        /// No puts before there is space again.
        case full = 1
        /// Nothing before the server is started again, since a write failed.
        case failed = 2
    }

    /// How far a server is that has lost its memory (docs/protocol.md, Rebuilding).
    package struct Rebuild: Equatable, Sendable {
        package enum Phase: UInt8, Sendable, CaseIterable {
            /// It has not lost it, or is well again.
            case none = 0
            /// The others have not told it enough: it answers no requests.
            case listing = 1
            /// It answers, and does not have everything back.
            case healing = 2
            /// Its store is an earlier state of what it was: it answers nothing, and has to be rebuilt.
            case rolledBack = 3
        }

        package var phase = Phase.none
        /// Slots that enough others have listed, of so many.
        package var slotsDone: UInt64 = 0
        package var slotsAll: UInt64 = 0
        /// Other servers that have not listed all that they have committed.
        package var serversMissing: UInt64 = 0
        /// Versions that others name and that this one has not yet.
        package var openVersions: UInt64 = 0

        package init() {}
    }

    /// The release of its software.
    package var version: String
    /// The configuration's epoch that it goes by.
    package var epoch: UInt64
    /// Which life of its store this is.
    package var incarnation: UInt64
    /// The versions of the lists that it goes by.
    package var addressesVersion: UInt64
    package var keysVersion: UInt64
    package var accessVersion: UInt64
    /// Since it was ready.
    package var uptimeMilliseconds: UInt64
    package var storage: StorageState
    /// Bytes that its journal holds.
    package var usedBytes: UInt64
    /// Bytes free on its disk, those included that it keeps back.
    package var freeBytes: UInt64
    /// Bytes of them that it keeps back: puts are refused beyond.
    package var reservedBytes: UInt64
    /// Sessions open now.
    package var sessions: UInt64
    /// Requests since its start, and the parts of objects that its disk has lost.
    package var requests: UInt64
    package var lostParts: UInt64
    /// Objects of which it lacks something, and those of them that could not be repaired lately.
    package var wants: UInt64
    package var failedWants: UInt64
    /// How many other servers it has to meet yet, since its start, before its wants are all that it has missed.
    package var serversToMeet: UInt64
    package var rebuild: Rebuild
    /// When all that it has was last read from end to end, in milliseconds since 1970; 0 for never.
    package var scrubEndMilliseconds: UInt64
    /// How long it takes to read all that it has, at its budget, when that is longer than it is asked to take; otherwise
    /// 0.
    package var scrubNeedsMilliseconds: UInt64
    /// When the certificate of its connections ends, in seconds since 1970.
    package var certificateEndSeconds: UInt64
    /// Proofs that it has of other servers' lies.
    package var evidence: UInt64
    /// Requests refused since its start, by the reason's name.
    package var refusals: [String: UInt64]
    /// Connections refused since its start, by the reason's name.
    package var refusedConnections: [String: UInt64]

    package init(
        version: String, epoch: UInt64, incarnation: UInt64, addressesVersion: UInt64, keysVersion: UInt64,
        accessVersion: UInt64, uptimeMilliseconds: UInt64, storage: StorageState, usedBytes: UInt64, freeBytes: UInt64,
        reservedBytes: UInt64, sessions: UInt64, requests: UInt64, lostParts: UInt64, wants: UInt64,
        failedWants: UInt64, serversToMeet: UInt64, rebuild: Rebuild = Rebuild(),
        scrubEndMilliseconds: UInt64, scrubNeedsMilliseconds: UInt64, certificateEndSeconds: UInt64,
        evidence: UInt64 = 0, refusals: [String: UInt64], refusedConnections: [String: UInt64]
    ) {
        self.version = version
        self.epoch = epoch
        self.incarnation = incarnation
        self.addressesVersion = addressesVersion
        self.keysVersion = keysVersion
        self.accessVersion = accessVersion
        self.uptimeMilliseconds = uptimeMilliseconds
        self.storage = storage
        self.usedBytes = usedBytes
        self.freeBytes = freeBytes
        self.reservedBytes = reservedBytes
        self.sessions = sessions
        self.requests = requests
        self.lostParts = lostParts
        self.wants = wants
        self.failedWants = failedWants
        self.serversToMeet = serversToMeet
        self.rebuild = rebuild
        self.scrubEndMilliseconds = scrubEndMilliseconds
        self.scrubNeedsMilliseconds = scrubNeedsMilliseconds
        self.certificateEndSeconds = certificateEndSeconds
        self.evidence = evidence
        self.refusals = refusals
        self.refusedConnections = refusedConnections
    }
}

/// FETCH-STATUS asks a server how it is, and STATUS says it.
package enum StatusMessage: Equatable, Sendable {
    case fetch
    case status(ServerStatus)

    /// Bounds of what a STATUS holds: the bytes of a text, and the reasons of either kind.
    package static let textSizeBytesMax = 64
    package static let reasonCountMax = 64

    /// Whether the frame is one of these, going by its first byte.
    package static func isOne(_ frame: ByteBuffer) -> Bool {
        let type = frame.getInteger(at: frame.readerIndex, as: UInt8.self)
        return switch type.flatMap(MessageType.init) {
        case .fetchStatus, .status: true
        default: false
        }
    }

    /// The message's bytes; of a status with too many reasons those that come first by name.
    package func encoded(request number: UInt64) -> EncodedMessage {
        var head = CanonicalEncoder()
        guard case .status(let status) = self else {
            return EncodedMessage(type: .fetchStatus, request: number, head: head)
        }
        head.append(counted: Self.bounded(status.version))
        for value in [
            status.epoch, status.incarnation, status.addressesVersion, status.keysVersion, status.accessVersion,
            status.uptimeMilliseconds,
        ] { head.append(value) }
        head.append(status.storage.rawValue)
        for value in [
            status.usedBytes, status.freeBytes, status.reservedBytes, status.sessions, status.requests,
            status.lostParts, status.wants, status.failedWants, status.serversToMeet, status.scrubEndMilliseconds,
            status.scrubNeedsMilliseconds, status.certificateEndSeconds,
            status.evidence,
        ] { head.append(value) }
        head.append(status.rebuild.phase.rawValue)
        for value in [
            status.rebuild.slotsDone, status.rebuild.slotsAll, status.rebuild.serversMissing,
            status.rebuild.openVersions,
        ] { head.append(value) }
        for reasons in [status.refusals, status.refusedConnections] {
            let listed = reasons.sorted { $0.key < $1.key }.prefix(Self.reasonCountMax)
            head.append(UInt8(listed.count))
            for (name, count) in listed {
                head.append(counted: Self.bounded(name))
                head.append(count)
            }
        }
        return EncodedMessage(type: .status, request: number, head: head)
    }

    /// Names and versions are our own, and ASCII.
    private static func bounded(_ text: String) -> [UInt8] { Array(text.utf8.prefix(textSizeBytesMax)) }

    /// The message in a frame, and its number.
    ///
    /// - Throws: when the frame is anything but the exact encoding of one of these.
    package static func decode(_ frame: ByteBuffer) throws(WireError) -> (number: UInt64, message: StatusMessage) {
        try decoding {
            var opened = try OpenedMessage(frame)
            let message: StatusMessage
            switch opened.type {
            case .fetchStatus: message = .fetch
            case .status: message = .status(try status(&opened.head))
            default: throw WireError.misdirected(opened.type)
            }
            try opened.finish()
            return (opened.request, message)
        }
    }

    private static func status(_ head: inout CanonicalDecoder) throws(MalformedEncoding) -> ServerStatus {
        let version = try head.text("version", limit: textSizeBytesMax)
        let epoch: UInt64 = try head.integer("epoch")
        let incarnation: UInt64 = try head.integer("incarnation")
        let addresses: UInt64 = try head.integer("version of the addresses")
        let keys: UInt64 = try head.integer("version of the keys")
        let access: UInt64 = try head.integer("version of the access list")
        let uptime: UInt64 = try head.integer("uptime")
        let stateValue: UInt8 = try head.integer("state of the storage")
        guard let storage = ServerStatus.StorageState(rawValue: stateValue) else {
            throw .unknownValue(field: "state of the storage", value: UInt64(stateValue))
        }
        let used: UInt64 = try head.integer("used bytes")
        let free: UInt64 = try head.integer("free bytes")
        let reserved: UInt64 = try head.integer("reserved bytes")
        let sessions: UInt64 = try head.integer("sessions")
        let requests: UInt64 = try head.integer("requests")
        let lostParts: UInt64 = try head.integer("lost parts")
        let wants: UInt64 = try head.integer("wants")
        let failedWants: UInt64 = try head.integer("failed wants")
        let serversToMeet: UInt64 = try head.integer("servers to meet")
        let scrubEnd: UInt64 = try head.integer("end of the scrub")
        let scrubNeeds: UInt64 = try head.integer("time that a scrub needs")
        let certificateEnd: UInt64 = try head.integer("end of the certificate")
        let evidence: UInt64 = try head.integer("evidence")
        var rebuild = ServerStatus.Rebuild()
        let phaseValue: UInt8 = try head.integer("phase of rebuilding")
        guard let phase = ServerStatus.Rebuild.Phase(rawValue: phaseValue) else {
            throw .unknownValue(field: "phase of rebuilding", value: UInt64(phaseValue))
        }
        rebuild.phase = phase
        rebuild.slotsDone = try head.integer("slots listed")
        rebuild.slotsAll = try head.integer("slots")
        rebuild.serversMissing = try head.integer("servers missing")
        rebuild.openVersions = try head.integer("open versions")
        return ServerStatus(
            version: version, epoch: epoch, incarnation: incarnation, addressesVersion: addresses, keysVersion: keys,
            accessVersion: access, uptimeMilliseconds: uptime, storage: storage, usedBytes: used, freeBytes: free,
            reservedBytes: reserved, sessions: sessions, requests: requests, lostParts: lostParts, wants: wants,
            failedWants: failedWants, serversToMeet: serversToMeet, rebuild: rebuild,
            scrubEndMilliseconds: scrubEnd, scrubNeedsMilliseconds: scrubNeeds, certificateEndSeconds: certificateEnd,
            evidence: evidence, refusals: try reasons(&head), refusedConnections: try reasons(&head))
    }

    private static func reasons(_ head: inout CanonicalDecoder) throws(MalformedEncoding) -> [String: UInt64] {
        let count = try head.count("reasons", as: UInt8.self, limit: reasonCountMax)
        var reasons: [String: UInt64] = [:]
        var last: [UInt8] = []
        for index in 0..<count {
            let name = try head.text("reason", limit: textSizeBytesMax)
            let bytes = Array(name.utf8)
            guard index == 0 || last.lexicographicallyPrecedes(bytes) else {
                throw .unknownValue(field: "reason out of order", value: UInt64(index))
            }
            last = bytes
            reasons[name] = try head.integer("count")
        }
        return reasons
    }
}
