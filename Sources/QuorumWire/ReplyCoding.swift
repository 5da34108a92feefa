// Replies as bytes, and back.

import ErasureCode
import Fingerprint
import NIOCore
import QuorumProtocol

extension Reply {
    /// The reply's message to the request of the given number.
    package func encoded(request number: UInt64) -> EncodedMessage {
        var head = CanonicalEncoder()
        switch self {
        case .timestamp(let claim):
            claim.encode(into: &head)
            return EncodedMessage(type: .timestampReply, request: number, head: head)
        case .prepared(let statement, let committed):
            statement.encode(into: &head)
            head.append(committed)
            return EncodedMessage(type: .preparedReply, request: number, head: head)
        case .committed(let timestamp, let needsDescriptor):
            head.append(timestamp)
            head.append(UInt8(needsDescriptor ? 1 : 0))
            return EncodedMessage(type: .committedReply, request: number, head: head)
        case .version(let claim, let parts):
            claim.encode(into: &head)
            head.append(UInt8(parts == nil ? 0 : 1))
            if let parts {
                head.append(parts.timestamp)
                head.append(parts.position.rawValue)
                head.append(counted: parts.descriptor.bytes)
                head.append(UInt8(parts.fragments == nil ? 0 : 1))
                head.appendSizes(of: parts.fragments ?? [])
            }
            return EncodedMessage(
                type: .versionReply, request: number, head: head, fragments: parts?.fragments ?? [])
        case .certificate(let claim, let certificate):
            claim.encode(into: &head)
            head.append(certificate)
            return EncodedMessage(type: .certificateReply, request: number, head: head)
        case .staged:
            return EncodedMessage(type: .stagedReply, request: number, head: head)
        case .discarded:
            return EncodedMessage(type: .discardedReply, request: number, head: head)
        case .fetched(let parts):
            head.append(parts.position.rawValue)
            head.append(parts.tag)
            head.append(UInt8(parts.page == nil ? 0 : 1))
            if let page = parts.page { head.append(counted: page) }
            let fragments = parts.fragment.map { [$0] } ?? []
            head.appendSizes(of: fragments)
            return EncodedMessage(type: .fetchedReply, request: number, head: head, fragments: fragments)
        case .held(let list):
            list.encode(into: &head)
            return EncodedMessage(type: .heldReply, request: number, head: head)
        case .refused(let refusal):
            refusal.encode(into: &head)
            return EncodedMessage(type: .refusedReply, request: number, head: head)
        }
    }

    /// The reply in a frame, and the number of the request that it answers.
    ///
    /// - Throws: when the frame is anything but the exact encoding of one reply of this cluster.
    package static func decode(
        _ frame: ByteBuffer, parameters: ClusterParameters
    ) throws(WireError) -> (number: UInt64, reply: Reply) {
        try decoding {
            var message = try OpenedMessage(frame)
            let reply: Reply
            switch message.type {
            case .timestampReply:
                reply = .timestamp(try CommittedClaim(from: &message.head, parameters: parameters))
            case .preparedReply:
                let statement = try SignedStatement(from: &message.head)
                reply = .prepared(statement, committed: try message.head.optionalTimestamp("committed"))
            case .committedReply:
                let timestamp = try message.head.timestamp("timestamp")
                reply = .committed(timestamp, needsDescriptor: try message.head.flag("needs descriptor"))
            case .versionReply:
                let claim = try CommittedClaim(from: &message.head, parameters: parameters)
                reply = .version(claim, try HeldParts.optional(from: &message, parameters: parameters))
            case .certificateReply:
                let claim = try CommittedClaim(from: &message.head, parameters: parameters)
                reply = .certificate(claim, try message.head.optionalCertificate())
            case .refusedReply:
                reply = .refused(try Refusal(from: &message.head, parameters: parameters))
            case .stagedReply: reply = .staged
            case .discardedReply: reply = .discarded
            case .fetchedReply:
                let position = Position(try message.head.integer("position"))
                let tag: UInt64 = try message.head.integer("tag")
                let limit = StripePage.sizeBytesMax(parameters)
                let page = try message.head.flag("page") ? Array(try message.head.counted("page", limit: limit)) : nil
                reply = .fetched(
                    FetchedParts(position: position, fragment: try message.fragments().first, page: page, tag: tag))
            case .heldReply: reply = .held(try HeldList(from: &message.head))
            case .readTimestamp, .prepare, .commit, .read, .fetchCertificate, .descriptor, .stage, .fetch, .discard,
                .listHeld, .restate, .fetchList, .offerList,
                .list, .fetchStatus, .status, .listPending, .pending, .listObjects, .listing, .listSlots, .slots,
                .listSlot,
                .slot, .audit, .audited, .doubt, .noted, .listWants, .wants:
                throw WireError.misdirected(message.type)
            }
            try message.finish()
            return (message.request, reply)
        }
    }
}

extension HeldList {
    fileprivate func encode(into head: inout CanonicalEncoder) {
        switch self {
        case .versions(let versions):
            head.append(UInt8(1))
            head.append(UInt32(versions.count))
            for version in versions { version.encode(into: &head) }
        case .staged(let attempts):
            head.append(UInt8(2))
            head.append(UInt32(attempts.count))
            for attempt in attempts { attempt.encode(into: &head) }
        case .uploads(let uploads):
            head.append(UInt8(3))
            head.append(UInt32(uploads.count))
            for upload in uploads { upload.encode(into: &head) }
        }
    }

    fileprivate init(from head: inout CanonicalDecoder) throws {
        let kind: UInt8 = try head.integer("kind of list")
        switch kind {
        case 1:
            var versions: [KeptVersion] = []
            let count = try head.count("versions", as: UInt32.self, limit: Self.versionsMax)
            for _ in 0..<count {
                let version = try KeptVersion(from: &head)
                guard versions.last.map({ $0.timestamp < version.timestamp }) ?? true else {
                    throw MalformedEncoding.notCanonical(field: "versions' order")
                }
                versions.append(version)
            }
            self = .versions(versions)
        case 2:
            var attempts: [StagedStatus] = []
            let count = try head.count("staged attempts", as: UInt32.self, limit: StagedLimits.attemptsMax)
            for _ in 0..<count {
                let status = try StagedStatus(from: &head)
                guard attempts.last.map({ $0.attempt < status.attempt }) ?? true else {
                    throw MalformedEncoding.notCanonical(field: "staged attempts' order")
                }
                attempts.append(status)
            }
            self = .staged(attempts)
        case 3:
            var uploads: [UploadStatus] = []
            let count = try head.count("uploads", as: UInt32.self, limit: StagedLimits.attemptsMax)
            for _ in 0..<count {
                let status = try UploadStatus(from: &head)
                guard uploads.last.map({ $0.upload < status.upload }) ?? true else {
                    throw MalformedEncoding.notCanonical(field: "uploads' order")
                }
                uploads.append(status)
            }
            self = .uploads(uploads)
        default: throw MalformedEncoding.unknownValue(field: "kind of list", value: UInt64(kind))
        }
    }
}

extension CommittedClaim {
    /// The sound version, and whether more follows: only where versions are verified later is there anything.
    fileprivate func encode(into head: inout CanonicalEncoder) {
        head.append(UInt8(sound == nil ? 0 : 1))
        sound?.encode(into: &head)
        let hasMore = !unverified.isEmpty || !poisonous.isEmpty
        head.append(UInt8(hasMore ? 1 : 0))
        guard hasMore else { return }
        head.append(UInt32(unverified.count))
        for version in unverified { version.encode(into: &head) }
        // Clients can drive their number beyond all bounds of a message; the highest ones are in readers' way first.
        // Of unverified ones none can be left out: they are bounded, and take what they take.
        var room = min(
            WireLimits.poisonousSizeBytesMax,
            WireLimits.headSizeBytesMax - WireLimits.claimFollowerSizeBytesMax - head.bytes.count)
        var listed: [[UInt8]] = []
        for version in poisonous.reversed().prefix(WireLimits.claimedVersionsMax) {
            var entry = CanonicalEncoder()
            version.encode(into: &entry)
            guard entry.bytes.count <= room else { break }
            room -= entry.bytes.count
            listed.append(entry.bytes)
        }
        head.append(UInt32(listed.count))
        for entry in listed.reversed() { head.append(raw: entry) }
    }

    fileprivate convenience init(from head: inout CanonicalDecoder, parameters: ClusterParameters)
        throws(MalformedEncoding)
    {
        let sound = try head.flag("sound version") ? try ClaimedVersion(from: &head) : nil
        guard try head.flag("more versions") else {
            self.init(sound: sound)
            return
        }
        guard parameters.mode.verifiesLater else { throw .notCanonical(field: "more versions") }
        let unverified = try head.claimedVersions(
            above: sound?.timestamp, countMax: 2 * parameters.limits.unverifiedVersionsMax)
        let poisonous = try head.poisonousVersions(above: sound?.timestamp, countMax: WireLimits.claimedVersionsMax)
        guard !unverified.isEmpty || !poisonous.isEmpty else { throw .notCanonical(field: "more versions") }
        self.init(sound: sound, unverified: unverified, poisonous: poisonous)
    }
}

extension ClaimedVersion {
    fileprivate func encode(into head: inout CanonicalEncoder) {
        head.append(timestamp)
        head.append(certificateDigest)
    }

    fileprivate init(from head: inout CanonicalDecoder) throws(MalformedEncoding) {
        let timestamp = try head.timestamp("claimed version")
        self.init(timestamp, certificateDigest: try head.digest("certificate's digest"))
    }
}

extension CanonicalDecoder {
    /// Ascending versions above the given one.
    fileprivate mutating func claimedVersions(
        above lowest: Timestamp?, countMax: Int
    ) throws(MalformedEncoding) -> [ClaimedVersion] {
        let count = try count("unverified versions", as: UInt32.self, limit: countMax)
        var versions: [ClaimedVersion] = []
        for _ in 0..<count {
            let version = try ClaimedVersion(from: &self)
            guard (versions.last?.timestamp ?? lowest).precedes(version.timestamp) else {
                throw .notCanonical(field: "unverified versions' order")
            }
            versions.append(version)
        }
        return versions
    }
}

extension HeldParts {
    fileprivate static func optional(
        from message: inout OpenedMessage, parameters: ClusterParameters
    ) throws -> HeldParts? {
        guard try message.head.flag("held parts") else { return nil }
        let timestamp = try message.head.timestamp("held version")
        let position = Position(try message.head.integer("position"))
        let descriptor = try message.head.descriptor(parameters)
        let hasFragments = try message.head.flag("held fragments")
        let fragments = try message.fragments()
        guard hasFragments || fragments.isEmpty else { throw MalformedEncoding.notCanonical(field: "held fragments") }
        return HeldParts(
            timestamp: timestamp, position: position, descriptor: descriptor, fragments: hasFragments ? fragments : nil)
    }
}
