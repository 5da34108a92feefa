// Versions that are being read and that others have superseded meanwhile: they are kept while their readers say so
// (docs/protocol.md, Large values). A server remembers pins in memory only: a reader repeats them.

import Fingerprint

/// Which versions are pinned, and by whom.
struct VersionPins: Sendable {
    private struct Pin: Sendable {
        var firstMilliseconds: UInt64
        var untilMilliseconds: UInt64
    }

    private struct Name: Hashable, Sendable {
        let key: ObjectKey
        let timestamp: Timestamp
    }

    /// How many versions a client keeps so at a time.
    private static let pinsPerPrincipalMax = 256
    /// How long it may go on keeping one.
    private static let millisecondsMax: UInt64 = 86_400_000

    private var pins: [Principal: [Name: Pin]] = [:]

    /// Has a version kept from now on for so long. Beyond a principal's limit nothing is kept.
    mutating func pin(
        _ timestamp: Timestamp, of key: ObjectKey, for principal: Principal, nowMilliseconds: UInt64,
        forMilliseconds time: UInt64
    ) {
        let name = Name(key: key, timestamp: timestamp)
        var own = pins[principal] ?? [:]
        if own[name] == nil, own.count >= Self.pinsPerPrincipalMax {
            own = own.filter { $0.value.untilMilliseconds > nowMilliseconds }
            guard own.count < Self.pinsPerPrincipalMax else { return }
        }
        var pin = own[name] ?? Pin(firstMilliseconds: nowMilliseconds, untilMilliseconds: 0)
        guard nowMilliseconds &- pin.firstMilliseconds < Self.millisecondsMax else { return }
        pin.untilMilliseconds = nowMilliseconds &+ time
        own[name] = pin
        pins[principal] = own
    }

    /// The versions of an object that are pinned now.
    func pinned(_ key: ObjectKey, nowMilliseconds: UInt64) -> Set<Timestamp> {
        if pins.isEmpty || isPlanted(.pinsForgotten) { return [] }
        var pinned: Set<Timestamp> = []
        for own in pins.values {
            for (name, pin) in own where name.key == key && pin.untilMilliseconds > nowMilliseconds {
                pinned.insert(name.timestamp)
            }
        }
        return pinned
    }

    /// Forgets those whose time is over.
    mutating func expire(nowMilliseconds: UInt64) {
        guard !pins.isEmpty else { return }
        for (principal, own) in pins {
            let left = own.filter { $0.value.untilMilliseconds > nowMilliseconds }
            pins[principal] = left.isEmpty ? nil : left
        }
    }
}

/// Uploads that were discarded lately, or a version of which was committed: what was under way to them comes too late.
/// One that comes later still is kept until it expires.
struct RecentDiscards: Sendable {
    private struct Name: Hashable, Sendable {
        let key: ObjectKey
        let stager: ClientID
        let upload: UploadID
    }

    private static let countMax = 1024

    /// Whether a version of it was committed.
    private var isCommitted: [Name: Bool] = [:]
    private var order: [Name] = []
    private var next = 0

    mutating func add(_ upload: UploadID, of stager: ClientID, at key: ObjectKey, isCommitted commits: Bool) {
        let name = Name(key: key, stager: stager, upload: upload)
        let known = isCommitted[name]
        isCommitted[name] = commits || known ?? false
        guard known == nil else { return }
        if order.count < Self.countMax {
            order.append(name)
        } else {
            isCommitted[order[next]] = nil
            order[next] = name
            next = (next + 1) % Self.countMax
        }
    }

    /// Whether the stripe comes too late. One that fills a version which the discarded upload left behind does not; but
    /// what was committed, and dropped since, shall not be committed once more.
    func makesLate(_ stage: Stage) -> Bool {
        guard !isCommitted.isEmpty else { return false }
        let name = Name(key: stage.key, stager: stage.attempt.stager, upload: stage.attempt.upload)
        return isCommitted[name].map { $0 || !stage.fills } ?? false
    }
}
